"""Sets and graphs, as their authors initialise them."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from check_unseen_healthy_data import Batch, Case, digits
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KINDS"]


def _points(seed: int, n: int = 32, k: int = 32) -> tuple[Tensor, Tensor]:
    """Digits as sets of points (x, y, ink), drawn in proportion to ink."""
    x, y = digits(seed, n, standard=False)
    at = torch.multinomial(x + 1e-3, k, replacement=False, generator=torch.Generator().manual_seed(seed))
    points = torch.stack([at % 8 / 3.5 - 1, at // 8 / 3.5 - 1, x.gather(1, at) * 2 - 1], -1)
    return points.float(), y


def _sets(seed: int) -> Batch:
    x, y = _points(seed)
    return (x,), y


class DeepSets(nn.Module):
    def __init__(self, d: int = 64) -> None:
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(3, d), nn.ELU(), nn.Linear(d, d), nn.ELU(), nn.Linear(d, d))
        self.rho = nn.Sequential(nn.Linear(d, d), nn.ELU(), nn.Linear(d, 10))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.rho(self.phi(x).mean(1))
        return out


def deepsets(_: int) -> Case:
    return Case(model=DeepSets(), draw=_sets, lr=5e-3, share=0.7, steps=400)


class MAB(nn.Module):
    """Set Transformer's attention block by juho-lee: no norms, queries added after projection."""

    def __init__(self, q: int, k: int, d: int, heads: int) -> None:
        super().__init__()
        self.d, self.heads = d, heads
        self.fc_q, self.fc_k, self.fc_v, self.fc_o = (
            nn.Linear(q, d),
            nn.Linear(k, d),
            nn.Linear(k, d),
            nn.Linear(d, d),
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        q, k, v = self.fc_q(a), self.fc_k(b), self.fc_v(b)
        qs, ks, vs = (torch.cat(t.split(self.d // self.heads, 2), 0) for t in (q, k, v))
        w = torch.softmax(qs.bmm(ks.transpose(1, 2)) / math.sqrt(self.d), 2)
        o = torch.cat((qs + w.bmm(vs)).split(q.size(0), 0), 2)
        return o + functional.relu(self.fc_o(o))


class SetTransformer(nn.Module):
    def __init__(self, d: int = 64) -> None:
        super().__init__()
        self.sab1, self.sab2, self.pma, self.sab3 = (
            MAB(3, 3, d, 4),
            MAB(d, d, d, 4),
            MAB(d, d, d, 4),
            MAB(d, d, d, 4),
        )
        self.seeds, self.out = nn.Parameter(torch.empty(1, 2, d)), nn.Linear(2 * d, 10)
        nn.init.xavier_uniform_(self.seeds)

    def forward(self, x: Tensor) -> Tensor:
        h = self.sab1(x, x)
        h = self.sab2(h, h)
        h = self.pma(self.seeds.repeat(len(x), 1, 1), h)
        out: Tensor = self.out(self.sab3(h, h).flatten(1))
        return out


def set_transformer(_: int) -> Case:
    return Case(model=SetTransformer(), draw=_sets, lr=1e-3, share=0.7)


class PointNet(nn.Module):
    """Shared convolutions with batch norm, a transform that begins as the identity, max over points."""

    def __init__(self) -> None:
        super().__init__()

        def shared(i: int, o: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv1d(i, o, 1), nn.BatchNorm1d(o), nn.ReLU())

        self.t1, self.t2 = nn.Sequential(shared(3, 32), shared(32, 64)), nn.Linear(64, 9)
        nn.init.zeros_(self.t2.weight)
        self.t2.bias.data.copy_(torch.eye(3).flatten())
        self.body = nn.Sequential(shared(3, 32), shared(32, 64), shared(64, 128))
        self.top = nn.Sequential(
            nn.Linear(128, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        turn = self.t2(self.t1(x.transpose(1, 2)).max(2).values).view(-1, 3, 3)
        h = self.body((x @ turn).transpose(1, 2)).max(2).values
        return functional.log_softmax(self.top(h), dim=-1)


def pointnet(_: int) -> Case:
    return Case(model=PointNet(), draw=_sets, loss=functional.nll_loss, lr=3e-3, share=0.7)


@cache
def _graph() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Join each of 300 digits to its six nearest by half of the pixels; the other half are features."""
    x, y = load_digits(return_X_y=True)
    x, y = x[:300] / 16, y[:300]
    near = np.argsort(((x[:, None, 32:] - x[None, :, 32:]) ** 2).sum(-1), 1)[:, 1:7]
    a = np.zeros((300, 300))
    a[np.arange(300)[:, None], near] = 1
    a = np.maximum(a, a.T) + np.eye(300)
    d = a.sum(1) ** -0.5
    features = (x[:, :32] - x[:, :32].mean()) / x[:, :32].std()
    return (
        torch.tensor(features, dtype=torch.float32),
        torch.tensor(a, dtype=torch.float32),
        torch.tensor(a * d * d[:, None], dtype=torch.float32),
        torch.tensor(y),
    )


class GCN(nn.Module):
    """Kipf's: weights and biases U(±1/sqrt of outputs), dropout a half, log-softmax."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.w1, self.b1 = nn.Parameter(torch.empty(32, hidden)), nn.Parameter(torch.empty(hidden))
        self.w2, self.b2 = nn.Parameter(torch.empty(hidden, 10)), nn.Parameter(torch.empty(10))
        for p in (self.w1, self.b1, self.w2, self.b2):
            bound = 1 / math.sqrt(p.shape[-1])
            nn.init.uniform_(p, -bound, bound)

    def forward(self, x: Tensor, a: Tensor) -> Tensor:
        h = functional.dropout(functional.relu(a @ (x @ self.w1) + self.b1), 0.5, self.training)
        return functional.log_softmax(a @ (h @ self.w2) + self.b2, dim=1)


def gcn(_: int) -> Case:
    x, _, norm, y = _graph()
    return Case(model=GCN(), draw=lambda _: ((x, norm), y), loss=functional.nll_loss, lr=1e-2)


class GATHead(nn.Module):
    """pyGAT's: W and a by Xavier's with gain 1.414, masked softmax by -9e15."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.w, self.a, self.o = nn.Parameter(torch.empty(i, o)), nn.Parameter(torch.empty(2 * o, 1)), o
        nn.init.xavier_uniform_(self.w, gain=1.414)
        nn.init.xavier_uniform_(self.a, gain=1.414)

    def forward(self, x: Tensor, adj: Tensor) -> Tensor:
        h = x @ self.w
        e = functional.leaky_relu(h @ self.a[: self.o] + (h @ self.a[self.o :]).T, 0.2)
        w = functional.dropout(
            functional.softmax(torch.where(adj > 0, e, -9e15 * torch.ones_like(e)), dim=1), 0.3, self.training
        )
        return w @ h


class GAT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads, self.out = nn.ModuleList(GATHead(32, 8) for _ in range(4)), GATHead(32, 10)

    def forward(self, x: Tensor, adj: Tensor) -> Tensor:
        h = torch.cat([functional.elu(head(x, adj)) for head in self.heads], 1)
        return functional.log_softmax(functional.elu(self.out(h, adj)), dim=1)


def gat(_: int) -> Case:
    x, adj, _, y = _graph()
    return Case(model=GAT(), draw=lambda _: ((x, adj), y), loss=functional.nll_loss, lr=1e-2)


class GIN(nn.Module):
    """Sums over neighbours by index_add, MLPs with batch norm, a jumping sum of layers."""

    def __init__(self) -> None:
        super().__init__()

        def mlp(i: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(i, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32))

        self.mlps, self.norms = (
            nn.ModuleList((mlp(32), mlp(32), mlp(32))),
            nn.ModuleList(nn.BatchNorm1d(32) for _ in range(3)),
        )
        self.eps, self.outs = nn.Parameter(torch.zeros(3)), nn.ModuleList(nn.Linear(32, 10) for _ in range(4))

    def forward(self, x: Tensor, source: Tensor, goal: Tensor) -> Tensor:
        out = self.outs[0](x)
        for i in range(3):
            gathered = torch.zeros_like(x).index_add(0, goal, x[source])
            x = functional.relu(self.norms[i](self.mlps[i]((1 + self.eps[i]) * x + gathered)))
            out = out + self.outs[i + 1](x)
        return out


def gin(_: int) -> Case:
    x, adj, _, y = _graph()
    source, goal = torch.nonzero(adj - torch.eye(300), as_tuple=True)
    return Case(model=GIN(), draw=lambda _: ((x, source, goal), y), lr=5e-3)


KINDS = {f.__name__: f for f in (deepsets, set_transformer, pointnet, gcn, gat, gin)}
