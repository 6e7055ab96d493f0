"""Trees, splines, memories, graphs, sets and weights made of others."""

from __future__ import annotations

import math
from typing import Any

import torch
from check_brought_data import Case, digits, waves
from torch import nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.utils import parametrizations

__all__ = ["KINDS"]


def _digits(g: torch.Generator) -> Any:
    x, y = digits(g)
    return (x,), y


class Vocoder(nn.Module):
    """A waveform from frames: weight-normed transposed convolutions, means of residual blocks."""

    def __init__(self, d: Any = 32) -> None:
        super().__init__()
        wn = parametrizations.weight_norm
        self.pre, self.post = wn(nn.Conv1d(16, d, 7, 1, 3)), wn(nn.Conv1d(d // 4, 1, 7, 1, 3))
        self.ups = nn.ModuleList([wn(nn.ConvTranspose1d(d >> i, d >> (i + 1), 8, 4, 2)) for i in range(2)])
        self.res = nn.ModuleList(
            [
                nn.ModuleList(
                    [
                        nn.ModuleList(
                            [
                                wn(nn.Conv1d(d >> (i + 1), d >> (i + 1), k, 1, dil * (k - 1) // 2, dil))
                                for dil in (1, 3)
                            ]
                        )
                        for k in (3, 7)
                    ]
                )
                for i in range(2)
            ]
        )
        for up in self.ups:
            up.parametrizations.weight.original1.data.normal_(0, 0.05)

    def forward(self, x: Any) -> Any:
        x = self.pre(x)
        for up, kernels in zip(self.ups, self.res, strict=True):
            x = up(functional.leaky_relu(x, 0.1))
            total = 0
            for convs in kernels:
                y = x
                for conv in convs:
                    y = y + conv(functional.leaky_relu(y, 0.1))
                total = total + y
            x = total / len(kernels)
        return torch.tanh(self.post(functional.leaky_relu(x)))


def vocoder_weight_norm(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        wave, _ = waves(g, 16, 128)
        wave = wave / 2.5
        return (wave.view(16, 8, 16).transpose(1, 2).contiguous(),), wave[:, None]

    return Case(Vocoder(), draw, lambda out, y: (out - y).abs().mean() + functional.mse_loss(out, y), 3e-3)


class SoftTree(nn.Module):
    """A soft decision tree: gates at the nodes, class scores at the leaves; returns probabilities."""

    def __init__(self, depth: Any = 5) -> None:
        super().__init__()
        self.depth = depth
        self.gates = nn.Linear(64, 2**depth - 1)
        self.leaves = nn.Parameter(torch.randn(2**depth, 10))
        self.beta = nn.Parameter(torch.ones(2**depth - 1))

    def forward(self, x: Any) -> Any:
        p = torch.sigmoid(self.beta * self.gates(x.flatten(1)))
        path, at = torch.ones(len(x), 1), 0
        for level in range(self.depth):
            here = p[:, at : at + 2**level]
            path = torch.stack((path * here, path * (1 - here)), -1).flatten(1)
            at += 2**level
        return path @ self.leaves.softmax(-1)


def soft_tree(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(SoftTree(), _digits, lambda out, y: functional.nll_loss(torch.log(out + 1e-8), y), 2e-2)


class Kan(nn.Module):
    """Splines on edges: a SiLU base (Kaiming uniform) and B-spline coefficients with small noise, scaled."""

    def __init__(self, ins: Any, outs: Any, grid: Any = 5, order: Any = 3) -> None:
        super().__init__()
        h = 2 / grid
        self.register_buffer("knots", torch.arange(-order, grid + order + 1) * h - 1)
        self.order = order
        self.base_weight = nn.Parameter(torch.empty(outs, ins))
        nn.init.kaiming_uniform_(self.base_weight, a=5**0.5)
        self.spline_weight = nn.Parameter((torch.rand(outs, ins, grid + order) - 0.5) * 0.1 / grid)
        self.spline_scaler = nn.Parameter(torch.empty(outs, ins))
        nn.init.kaiming_uniform_(self.spline_scaler, a=5**0.5)

    def bases(self, x: Any) -> Any:
        t, x = self.knots, x[..., None]
        b = ((x >= t[:-1]) & (x < t[1:])).to(x.dtype)
        for k in range(1, self.order + 1):
            b = (x - t[: -k - 1]) / (t[k:-1] - t[: -k - 1]) * b[..., :-1] + (t[k + 1 :] - x) / (
                t[k + 1 :] - t[1:-k]
            ) * b[..., 1:]
        return b

    def forward(self, x: Any) -> Any:
        spline = functional.linear(
            self.bases(x).flatten(1), (self.spline_weight * self.spline_scaler[..., None]).flatten(1)
        )
        return functional.linear(functional.silu(x), self.base_weight) + spline


def kolmogorov_arnold(seed: int) -> Case:
    torch.manual_seed(seed)
    model = nn.Sequential(Kan(2, 16), Kan(16, 16), Kan(16, 1))

    def draw(g: torch.Generator) -> Any:
        x = torch.rand(128, 2, generator=g) * 2 - 1
        return (x,), torch.exp(torch.sin(math.pi * x[:, :1]) + x[:, 1:] ** 2) - 1.5

    return Case(model, draw, None, 1e-2)


class Memory(nn.Module):
    """An end-to-end memory network of three hops, adjacent weights shared by assignment, all N(0, 0.1)."""

    def __init__(self, vocab: Any = 32, d: Any = 24, hops: Any = 3) -> None:
        super().__init__()
        tables = [nn.Embedding(vocab, d) for _ in range(hops + 1)]
        for table in tables:
            table.weight.data.normal_(0, 0.1)
        self.A = nn.ModuleList(tables[:-1])
        self.C = nn.ModuleList(tables[1:])
        self.B = self.A[0]
        self.TA = nn.Parameter(0.1 * torch.randn(8, d))

    def forward(self, story: Any, query: Any) -> Any:
        u = self.B(query)
        for a, c in zip(self.A, self.C, strict=True):
            p = ((a(story).sum(2) + self.TA) @ u[..., None]).squeeze(-1).softmax(-1)
            u = u + (p[..., None] * c(story).sum(2)).sum(1)
        return u @ self.C[-1].weight.T


def memory_hops(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        keys = torch.argsort(torch.rand(32, 16, generator=g), 1)[:, :8]
        values = torch.randint(16, 32, (32, 8), generator=g)
        pick = torch.randint(8, (32, 1), generator=g)
        return (torch.stack((keys, values), -1), keys.gather(1, pick)[:, 0]), values.gather(1, pick)[:, 0]

    return Case(Memory(), draw, None, 1e-2)


class SparseGraph(nn.Module):
    """A sparse adjacency matrix, lazy layers, soft pooling of nodes to clusters."""

    def __init__(self) -> None:
        super().__init__()
        self.lin1, self.lin2, self.assign = nn.LazyLinear(32), nn.LazyLinear(32), nn.LazyLinear(6)
        self.bn = nn.LazyBatchNorm1d()
        self.out = nn.LazyLinear(2)

    def forward(self, adj: Any, x: Any, batch: Any) -> Any:
        h = functional.relu(self.bn(torch.sparse.mm(adj, self.lin1(x))))
        s = self.assign(h).softmax(-1)
        h = functional.relu(torch.sparse.mm(adj, self.lin2(h)))
        pooled = torch.zeros(int(batch.max()) + 1, 6, 32).index_add(0, batch, s[..., None] * h[:, None])
        return self.out(pooled.flatten(1))


def sparse_lazy_graph(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        n, graphs = 12, 24
        label = torch.randint(2, (graphs,), generator=g)
        blocks = []
        for y in label:
            p = 0.2 + 0.25 * float(y)
            a = (torch.rand(n, n, generator=g) < p).float().triu(1)
            a = a + a.T + torch.eye(n)
            blocks.append(a / a.sum(1, keepdim=True) ** 0.5)
        adj = torch.block_diag(*blocks)
        x = torch.stack((adj.sum(1), torch.ones(len(adj)), torch.randn(len(adj), generator=g)), 1)
        return (adj.to_sparse(), x, torch.arange(graphs).repeat_interleave(n)), label

    model = SparseGraph()
    args, _ = draw(torch.Generator().manual_seed(0))
    model.eval()
    model(*args)
    model.train()
    return Case(model, draw, None, 1e-2)


class Energy(nn.Module):
    """A spectrally normed energy told from noise-contrastive pairs; one number a picture."""

    def __init__(self, d: Any = 16) -> None:
        super().__init__()
        sn = parametrizations.spectral_norm
        self.net = nn.Sequential(
            sn(nn.Conv2d(1, d, 3, 1, 1)),
            nn.SiLU(),
            sn(nn.Conv2d(d, 2 * d, 4, 2, 1)),
            nn.SiLU(),
            sn(nn.Conv2d(2 * d, 2 * d, 4, 2, 1)),
            nn.SiLU(),
        )
        self.head = sn(nn.Linear(8 * d, 1))

    def forward(self, x: Any) -> Any:
        return -self.head(self.net(x).flatten(1)).squeeze(1)


def spectral_energy(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        real, _ = digits(g, 32)
        fake = real.flatten(1)[:, torch.randperm(64, generator=g)].view_as(real)
        return (torch.cat((real, fake)),), (torch.arange(64) >= 32).float()

    return Case(Energy(), draw, functional.binary_cross_entropy_with_logits, 3e-3)


class HyperNetwork(nn.Module):
    """A network whose weights are made by another from a task code, called by functional_call."""

    def __init__(self, d: Any = 16) -> None:
        super().__init__()
        self.main = [
            nn.Sequential(nn.Linear(1, d), nn.Tanh(), nn.Linear(d, 1)).requires_grad_(False)
        ]  # not registered
        self.sizes = {k: v.shape for k, v in self.main[0].named_parameters()}
        total = sum(s.numel() for s in self.sizes.values())
        self.trunk = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU())
        self.head = nn.Linear(48, total)

    def forward(self, code: Any, x: Any) -> Any:
        flat = self.head(self.trunk(code))
        out = []
        for row, xs in zip(flat, x, strict=True):
            params, at = {}, 0
            for name, size in self.sizes.items():
                params[name] = row[at : at + size.numel()].view(size)
                at += size.numel()
            out.append(functional_call(self.main[0], params, xs))
        return torch.stack(out)


def hypernetwork_call(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        code = torch.randn(12, 2, generator=g)
        x = torch.rand(12, 16, 1, generator=g) * 4 - 2
        return (code, x), torch.sin(x + code[:, :1, None]) * (1 + 0.5 * code[:, 1:, None])

    return Case(HyperNetwork(), draw, None, 5e-3)


class NestedSets(nn.Module):
    """Sets of changing size as a nested tensor, padded and pooled under a mask."""

    def __init__(self, d: Any = 32) -> None:
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(2, d), nn.Mish(), nn.Linear(d, d), nn.Mish())
        self.rho = nn.Sequential(nn.Linear(2 * d, d), nn.Mish(), nn.Linear(d, 1))

    def forward(self, sets: Any) -> Any:
        x = torch.nested.to_padded_tensor(sets, 0.0)
        mask = torch.arange(x.shape[1])[None] < torch.tensor([len(s) for s in sets.unbind()])[:, None]
        h = self.phi(x)
        mean = (h * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        top = h.masked_fill(~mask[..., None], -torch.inf).amax(1)
        return self.rho(torch.cat((mean, top), 1)).squeeze(-1)


def nested_sets(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        sets = [torch.randn(int(n), 2, generator=g) for n in torch.randint(3, 9, (48,), generator=g)]
        goal = torch.stack([s[:, 0].max() + s[:, 1].mean() for s in sets])
        return (torch.nested.nested_tensor(sets),), goal - 1.2

    return Case(NestedSets(), draw, None, 3e-3)


KINDS = (
    vocoder_weight_norm,
    soft_tree,
    kolmogorov_arnold,
    memory_hops,
    sparse_lazy_graph,
    spectral_energy,
    hypernetwork_call,
    nested_sets,
)
