"""Networks called in odd ways: inner steps, solvers, records, operators."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from check_brought_data import IMAGES, LETTERS, Case, digits, text, waves
from torch import nn
from torch.nn import functional

__all__ = ["KINDS"]


def _next(out: Any, ids: Any) -> Any:
    return functional.cross_entropy(out[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def _text(g: torch.Generator) -> Any:
    ids = text(g)
    return (ids,), ids


class SpectralConv(nn.Module):
    def __init__(self, width: Any, modes: Any) -> None:
        super().__init__()
        self.modes = modes
        self.weights = nn.Parameter(torch.rand(width, width, modes, dtype=torch.cfloat) / (width * width))

    def forward(self, x: Any) -> Any:
        ft = torch.fft.rfft(x)
        out = torch.zeros_like(ft)
        out[..., : self.modes] = torch.einsum("bix,iox->box", ft[..., : self.modes], self.weights)
        return torch.fft.irfft(out, n=x.shape[-1])


class FNO(nn.Module):
    def __init__(self, width: Any = 24, modes: Any = 8, depth: Any = 3) -> None:
        super().__init__()
        self.fc0 = nn.Linear(2, width)
        for i in range(depth):
            setattr(self, f"conv{i}", SpectralConv(width, modes))
            setattr(self, f"w{i}", nn.Conv1d(width, width, 1))
        self.depth = depth
        self.fc1 = nn.Linear(width, 64)
        self.fc2 = nn.Linear(64, 1)

    def forward(self, u: Any) -> Any:
        grid = torch.linspace(0, 1, u.shape[1], device=u.device).expand_as(u)
        x = self.fc0(torch.stack((u, grid), -1)).transpose(1, 2)
        for i in range(self.depth):
            x = getattr(self, f"conv{i}")(x) + getattr(self, f"w{i}")(x)
            if i < self.depth - 1:
                x = functional.gelu(x)
        return self.fc2(functional.gelu(self.fc1(x.transpose(1, 2)))).squeeze(-1)


def fourier_operator(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        u, _ = waves(g, 16, 64)
        v = torch.fft.irfft(torch.fft.rfft(u) * torch.exp(-0.02 * torch.arange(33.0) ** 1.5), n=64)
        return (u,), v.roll(4, 1)

    return Case(FNO(), draw, None, 3e-3)


class ParameterListMLP(nn.Module):
    """All weights in one list, the forward a loop over pairs (the meta-learning style)."""

    def __init__(self, sizes: Any = (64, 48, 48, 10)) -> None:
        super().__init__()
        self.vars = nn.ParameterList()
        for ins, outs in itertools.pairwise(sizes):
            w = nn.Parameter(torch.ones(outs, ins))
            nn.init.kaiming_normal_(w)
            self.vars.append(w)
            self.vars.append(nn.Parameter(torch.zeros(outs)))

    def forward(self, x: Any, fast: Any = None) -> Any:
        weights = self.vars if fast is None else fast
        x = x.flatten(1)
        for i in range(0, len(weights) - 2, 2):
            x = functional.relu(functional.linear(x, weights[i], weights[i + 1]))
        return functional.linear(x, weights[-2], weights[-1])


class Maml(nn.Module):
    """One inner gradient step on a support set, then the query set's logits."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ParameterListMLP()

    def forward(self, support: Any, labels: Any, query: Any) -> Any:
        loss = functional.cross_entropy(self.net(support), labels)
        grads = torch.autograd.grad(loss, list(self.net.vars), create_graph=True)
        fast = [p - 0.1 * g for p, g in zip(self.net.vars, grads, strict=True)]
        return self.net(query, fast)


def maml_inner_step(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        xs, ys = digits(g, 32)
        xq, yq = digits(g, 32)
        return (xs, ys, xq), yq

    return Case(Maml(), draw)


@dataclass
class Record:
    kind: str
    values: torch.Tensor
    tag: torch.Tensor


class Router(nn.Module):
    """A module for each sort of field, chosen by name; a dataclass as input."""

    def __init__(self, width: Any = 32) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {"image": nn.Sequential(nn.Linear(64, width), nn.Tanh()), "tag": nn.Embedding(5, width)}
        )
        self.norms = nn.ModuleDict({k: nn.LayerNorm(width) for k in ("image", "tag")})
        self.head = nn.ModuleDict({"classes": nn.Linear(2 * width, 10)})

    def forward(self, record: Any) -> Any:
        a = self.norms["image"](self.encoders["image"](record.values))
        b = self.norms["tag"](self.encoders["tag"](record.tag))
        return self.head["classes"](torch.cat((a, b), -1))


def dataclass_router(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x, y = digits(g)
        return (Record("image", x.flatten(1), (y % 5)),), y

    return Case(Router(), draw)


class EinsumBlock(nn.Module):
    """Attention with weights of shape (model, head, key), written in einsum; normal of std 1/sqrt(fan)."""

    def __init__(self, d: Any = 32, h: Any = 4) -> None:
        super().__init__()
        k = d // h
        self.wq, self.wk, self.wv = (nn.Parameter(torch.randn(d, h, k) * d**-0.5) for _ in range(3))
        self.wo = nn.Parameter(torch.randn(h, k, d) * (h * k) ** -0.5)
        self.w1 = nn.Parameter(torch.randn(d, 4 * d) * (2 / d) ** 0.5)
        self.w2 = nn.Parameter(torch.randn(4 * d, d) * (4 * d) ** -0.5)
        self.g1, self.g2 = nn.Parameter(torch.ones(d)), nn.Parameter(torch.ones(d))

    def forward(self, x: Any) -> Any:
        h = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.g1
        q, k, v = (torch.einsum("btd,dhk->bhtk", h, w) for w in (self.wq, self.wk, self.wv))
        s = torch.einsum("bhtk,bhsk->bhts", q, k) / q.shape[-1] ** 0.5
        s = s + torch.full(s.shape[-2:], -1e9).triu(1)
        x = x + torch.einsum("bhts,bhsk,hkd->btd", s.softmax(-1), v, self.wo)
        h = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.g2
        return x + functional.relu(h @ self.w1) @ self.w2


class EinsumLM(nn.Module):
    def __init__(self, d: Any = 32, depth: Any = 2) -> None:
        super().__init__()
        self.embed = nn.Parameter(torch.randn(LETTERS, d))
        self.pos = nn.Parameter(0.02 * torch.randn(24, d))
        self.blocks = nn.ModuleList([EinsumBlock(d) for _ in range(depth)])
        self.out = nn.Parameter(torch.randn(d, LETTERS) * d**-0.5)

    def forward(self, ids: Any) -> Any:
        x = self.embed[ids] + self.pos[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return functional.layer_norm(x, x.shape[-1:]) @ self.out


def einsum_attention(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(EinsumLM(), _text, _next)


class OdeNet(nn.Module):
    """A vector field with the time as an extra channel, stepped by Runge-Kutta of order four."""

    def __init__(self, width: Any = 32, steps: Any = 6) -> None:
        super().__init__()
        self.up = nn.Linear(64, width)
        self.f1, self.f2 = nn.Linear(width + 1, width), nn.Linear(width + 1, width)
        self.down = nn.Linear(width, 10)
        self.steps = steps

    def field(self, t: Any, x: Any) -> Any:
        column = torch.full_like(x[:, :1], t)
        x = torch.tanh(self.f1(torch.cat((x, column), 1)))
        return self.f2(torch.cat((x, column), 1))

    def forward(self, x: Any) -> Any:
        x, h = self.up(x.flatten(1)), 1.0 / self.steps
        for i in range(self.steps):
            t = i * h
            k1 = self.field(t, x)
            k2 = self.field(t + h / 2, x + h / 2 * k1)
            k3 = self.field(t + h / 2, x + h / 2 * k2)
            k4 = self.field(t + h, x + h * k3)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return self.down(x)


def ode_runge_kutta(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x, y = digits(g)
        return (x,), y

    return Case(OdeNet(), draw)


class HashGrid(nn.Module):
    """A multiresolution hash grid (features uniform in 1e-4) before a small MLP, as for neural graphics."""

    def __init__(self, levels: Any = 6, entries: Any = 256, features: Any = 2) -> None:
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(entries, features) for _ in range(levels)])
        for table in self.tables:
            nn.init.uniform_(table.weight, -1e-4, 1e-4)
        self.entries = entries
        self.mlp = nn.Sequential(
            nn.Linear(levels * features, 64, bias=False),
            nn.ReLU(),
            nn.Linear(64, 64, bias=False),
            nn.ReLU(),
            nn.Linear(64, 1, bias=False),
        )

    def forward(self, xy: Any) -> Any:
        features = []
        for level, table in enumerate(self.tables):
            scaled = xy * (4 * 1.5**level)
            low = scaled.floor().long()
            part = scaled - low
            total = 0
            for dx in (0, 1):
                for dy in (0, 1):
                    corner = low + torch.tensor([dx, dy])
                    index = (corner[:, 0] ^ (corner[:, 1] * 2654435761)) % self.entries
                    weight = (part[:, 0] if dx else 1 - part[:, 0]) * (part[:, 1] if dy else 1 - part[:, 1])
                    total = total + weight[:, None] * table(index)
            features.append(total)
        return self.mlp(torch.cat(features, -1)).squeeze(-1)


def hash_grid_image(seed: int) -> Case:
    torch.manual_seed(seed)
    image = IMAGES[0][None, None]

    def draw(g: torch.Generator) -> Any:
        xy = torch.rand(128, 2, generator=g)
        value = functional.grid_sample(image, (2 * xy - 1)[None, None], align_corners=True)[0, 0, 0]
        return (xy,), value

    return Case(HashGrid(), draw, None, 1e-2)


class Pinn(nn.Module):
    """The residual of u'' = -u with boundary values, by automatic differentiation inside the forward."""

    def __init__(self, width: Any = 32) -> None:
        super().__init__()
        layers = []
        for ins, outs in ((1, width), (width, width), (width, 1)):
            layer = nn.Linear(ins, outs)
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.Tanh()]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, t: Any) -> Any:
        t = t.requires_grad_(True)
        u = self.net(t)
        du = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
        d2u = torch.autograd.grad(du.sum(), t, create_graph=True)[0]
        start = self.net(torch.zeros(1, 1))
        end = self.net(torch.full((1, 1), math.pi / 2))
        return {"residual": d2u + u, "start": start, "end": end - 1}


def physics_residual(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        return (torch.rand(64, 1, generator=g) * math.pi / 2,), None

    return Case(
        Pinn(),
        lambda g: (draw(g)[0], torch.zeros(1)),
        lambda out, _: sum(v.square().mean() for v in out.values()),
        3e-3,
    )


KINDS = (
    fourier_operator,
    maml_inner_step,
    dataclass_router,
    einsum_attention,
    ode_runge_kutta,
    hash_grid_image,
    physics_residual,
)
