"""Tables and recommendation, as their authors initialise them."""

from __future__ import annotations

import math

import numpy as np
import torch
from check_unseen_healthy_data import Batch, Case, table
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KINDS"]


def _tumours(seed: int) -> Batch:
    x, y = table(seed)
    return (x,), y


class Tokenizer(nn.Module):
    """FT-Transformer's: a weight and bias for each feature, U(±1/√d), and a class token."""

    def __init__(self, n: int, d: int) -> None:
        super().__init__()
        self.weight, self.bias, self.cls = (nn.Parameter(torch.empty(k, d)) for k in (n, n, 1))
        for p in (self.weight, self.bias, self.cls):
            nn.init.uniform_(p, -(d**-0.5), d**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        h = x[..., None] * self.weight + self.bias
        return torch.cat([self.cls.expand(len(x), 1, -1), h], 1)


class ReGLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=-1)
        return a * functional.relu(b)


class FTBlock(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.attn, self.n1, self.n2 = (
            nn.MultiheadAttention(d, 4, batch_first=True),
            nn.LayerNorm(d),
            nn.LayerNorm(d),
        )
        self.ff = nn.Sequential(nn.Linear(d, 2 * d), ReGLU(), nn.Linear(d, d))

    def forward(self, x: Tensor) -> Tensor:
        h = self.n1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        out: Tensor = x + self.ff(self.n2(x))
        return out


class FT(nn.Module):
    def __init__(self, d: int = 32) -> None:
        super().__init__()
        self.tokens, self.blocks = Tokenizer(30, d), nn.Sequential(*(FTBlock(d) for _ in range(3)))
        self.head = nn.Sequential(nn.LayerNorm(d), nn.ReLU(), nn.Linear(d, 2))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.blocks(self.tokens(x))[:, 0])
        return out


def ft_transformer(_: int) -> Case:
    return Case(model=FT(), draw=_tumours, chance=0.66, lr=1e-3)


class TabBlock(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm1d(d), nn.Linear(d, 2 * d), nn.ReLU(), nn.Dropout(0.1), nn.Linear(2 * d, d)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


def tab_resnet(_: int) -> Case:
    model = nn.Sequential(
        nn.Linear(30, 32),
        *(TabBlock(32) for _ in range(4)),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 1),
        nn.Flatten(0),
    )

    def draw(s: int) -> Batch:
        x, y = table(s)
        return (x,), y.float()

    return Case(model=model, draw=draw, loss=functional.binary_cross_entropy_with_logits, chance=0.66)


class GhostGLU(nn.Module):
    """TabNet's feature layer: linear without bias, batch norm, GLU; √½ after the sum."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.fc, self.bn = nn.Linear(i, 2 * o, bias=False), nn.BatchNorm1d(2 * o)
        nn.init.xavier_normal_(self.fc.weight, gain=math.sqrt((i + 2 * o) / math.sqrt(i)))

    def forward(self, x: Tensor) -> Tensor:
        return functional.glu(self.bn(self.fc(x)))


class TabNet(nn.Module):
    """Steps of attentive feature choice (softmax in sparsemax's stead), pytorch-tabnet's gains."""

    def __init__(self, d: int = 16, steps: int = 3) -> None:
        super().__init__()
        self.bn, self.shared = nn.BatchNorm1d(30), GhostGLU(30, 2 * d)
        self.own = nn.ModuleList(GhostGLU(2 * d, 2 * d) for _ in range(steps + 1))
        self.pick = nn.ModuleList(nn.Linear(d, 30, bias=False) for _ in range(steps))
        self.pick_bn, self.out, self.d = (
            nn.ModuleList(nn.BatchNorm1d(30) for _ in range(steps)),
            nn.Linear(d, 2, bias=False),
            d,
        )
        for p in self.pick:
            nn.init.xavier_normal_(p.weight, gain=math.sqrt((d + 30) / math.sqrt(4 * d)))
        nn.init.xavier_normal_(self.out.weight, gain=math.sqrt((d + 2) / math.sqrt(4 * d)))

    def _features(self, x: Tensor, i: int) -> Tensor:
        h = self.shared(x)
        out: Tensor = (h + self.own[i](h)) * math.sqrt(0.5)
        return out

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(x)
        a, prior, total = self._features(x, 0)[:, self.d :], torch.ones_like(x), 0.0
        for i, (pick, bn) in enumerate(zip(self.pick, self.pick_bn, strict=True)):
            mask = functional.softmax(bn(pick(a)) * prior, dim=-1)
            prior = prior * (1.3 - mask)
            h = self._features(mask * x, i + 1)
            total = total + functional.relu(h[:, : self.d])
            a = h[:, self.d :]
        out: Tensor = self.out(total)
        return out


def tabnet(_: int) -> Case:
    return Case(model=TabNet(), draw=_tumours, chance=0.66, lr=1e-2)


def _ratings(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """User and item ids, and whether they agree in a hidden taste."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(100, size=256), rng.integers(50, size=256)
    taste = np.random.default_rng(7).normal(size=(150, 3))
    like = (taste[users] * taste[100 + items]).sum(1) > 0
    return torch.from_numpy(users), torch.from_numpy(items), torch.from_numpy(like).float()


def _pairs(seed: int) -> Batch:
    u, i, y = _ratings(seed)
    return (u, i), y


class NCF(nn.Module):
    """NeuMF: embeddings N(0, 0.01), MLP by Xavier's, the last by kaiming_uniform with a=1 and sigmoid."""

    def __init__(self, k: int = 16) -> None:
        super().__init__()
        self.ug, self.ig = nn.Embedding(100, k), nn.Embedding(50, k)
        self.um, self.im = nn.Embedding(100, 2 * k), nn.Embedding(50, 2 * k)
        self.mlp, self.predict = (
            nn.Sequential(nn.Linear(4 * k, 2 * k), nn.ReLU(), nn.Linear(2 * k, k), nn.ReLU()),
            nn.Linear(2 * k, 1),
        )
        for e in (self.ug, self.ig, self.um, self.im):
            nn.init.normal_(e.weight, std=0.01)
        for m in self.mlp:
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                nn.init.zeros_(m.bias)
        nn.init.kaiming_uniform_(self.predict.weight, a=1, nonlinearity="sigmoid")
        nn.init.zeros_(self.predict.bias)

    def forward(self, u: Tensor, i: Tensor) -> Tensor:
        deep = self.mlp(torch.cat([self.um(u), self.im(i)], -1))
        out: Tensor = self.predict(torch.cat([self.ug(u) * self.ig(i), deep], -1))
        return out.view(-1)


def ncf(_: int) -> Case:
    return Case(
        model=NCF(),
        draw=_pairs,
        loss=functional.binary_cross_entropy_with_logits,
        chance=math.log(2),
        lr=1e-2,
        share=0.7,
    )


class MF(nn.Module):
    """Matrix factorisation with biases, embeddings N(0, 0.1)."""

    def __init__(self, k: int = 8) -> None:
        super().__init__()
        self.u, self.i, self.bu, self.bi = (
            nn.Embedding(100, k),
            nn.Embedding(50, k),
            nn.Embedding(100, 1),
            nn.Embedding(50, 1),
        )
        for e in (self.u, self.i):
            nn.init.normal_(e.weight, 0, 0.1)
        for e in (self.bu, self.bi):
            nn.init.zeros_(e.weight)
        self.mean = nn.Parameter(torch.zeros(()))

    def forward(self, u: Tensor, i: Tensor) -> Tensor:
        out: Tensor = (
            (self.u(u) * self.i(i)).sum(-1) + self.bu(u).squeeze(-1) + self.bi(i).squeeze(-1) + self.mean
        )
        return out


def matrix_factorisation(_: int) -> Case:
    return Case(
        model=MF(),
        draw=_pairs,
        loss=functional.binary_cross_entropy_with_logits,
        chance=math.log(2),
        lr=1e-2,
        share=0.7,
    )


def _clicks(seed: int) -> Batch:
    """Thirteen numbers and four categories: the tumours, the categories made of thresholds."""
    x, y = table(seed, 128)
    return (x[:, :13], ((x[:, 13:17].clamp(-2, 2) + 2) * 2).long()), y.float()


class DLRM(nn.Module):
    """Facebook's: N(0, √(2/(m+n))), biases N(0, √(1/m)), embeddings U(±√(1/rows)); pairwise dots."""

    def __init__(self, k: int = 8) -> None:
        super().__init__()
        self.bottom = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, k), nn.ReLU())
        self.tables = nn.ModuleList(nn.Embedding(9, k) for _ in range(4))
        self.top = nn.Sequential(nn.Linear(k + 10, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid())
        for m in (*self.bottom, *self.top):
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, 0, math.sqrt(2 / (m.in_features + m.out_features)))
                nn.init.normal_(m.bias, 0, math.sqrt(1 / m.out_features))
        for e in self.tables:
            nn.init.uniform_(e.weight, -math.sqrt(1 / 9), math.sqrt(1 / 9))

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        x = self.bottom(numbers)
        t = torch.stack([x, *(e(ids[:, i]) for i, e in enumerate(self.tables))], 1)
        z = t @ t.transpose(1, 2)
        i, j = torch.tril_indices(5, 5, -1)
        out: Tensor = self.top(torch.cat([x, z[:, i, j]], 1))
        return out.squeeze(1)


def dlrm(_: int) -> Case:
    return Case(model=DLRM(), draw=_clicks, loss=functional.binary_cross_entropy, chance=0.66, lr=3e-3)


class WideDeep(nn.Module):
    def __init__(self, k: int = 8) -> None:
        super().__init__()
        self.wide, self.tables = nn.Embedding(36, 1), nn.ModuleList(nn.Embedding(9, k) for _ in range(4))
        nn.init.zeros_(self.wide.weight)
        for e in self.tables:
            nn.init.xavier_uniform_(e.weight)
        self.deep = nn.Sequential(
            nn.Linear(13 + 4 * k, 64),
            nn.BatchNorm1d(64),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(64, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(32, 1),
        )

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        wide = self.wide(ids + torch.arange(4) * 9).sum((1, 2))
        deep = torch.cat([numbers, *(e(ids[:, i]) for i, e in enumerate(self.tables))], 1)
        out: Tensor = wide + self.deep(deep).squeeze(1)
        return out


def wide_and_deep(_: int) -> Case:
    return Case(
        model=WideDeep(), draw=_clicks, loss=functional.binary_cross_entropy_with_logits, chance=0.66, lr=3e-3
    )


class AutoInt(nn.Module):
    """The one of pytorch-fm: a table by Xavier's, attention layers, a residual projection, a linear term."""

    def __init__(self, k: int = 16) -> None:
        super().__init__()
        self.table, self.linear, self.bias = (
            nn.Embedding(36, k),
            nn.Embedding(36, 1),
            nn.Parameter(torch.zeros(1)),
        )
        nn.init.xavier_uniform_(self.table.weight)
        self.atten, self.short = nn.Linear(k, 32), nn.Linear(k, 32)
        self.layers = nn.ModuleList(nn.MultiheadAttention(32, 2, batch_first=True) for _ in range(2))
        self.out = nn.Linear(128, 1)

    def forward(self, _: Tensor, ids: Tensor) -> Tensor:
        at = ids + torch.arange(4) * 9
        e = self.table(at)
        h = self.atten(e)
        for layer in self.layers:
            h = layer(h, h, h, need_weights=False)[0]
        h = functional.relu(h + self.short(e)).flatten(1)
        out: Tensor = self.linear(at).sum((1, 2)) + self.bias + self.out(h).squeeze(1)
        return torch.sigmoid(out)


def autoint(_: int) -> Case:
    return Case(
        model=AutoInt(), draw=_clicks, loss=functional.binary_cross_entropy, chance=0.66, lr=5e-3, share=0.6
    )


KINDS = {
    f.__name__: f
    for f in (ft_transformer, tab_resnet, tabnet, ncf, matrix_factorisation, dlrm, wide_and_deep, autoint)
}
