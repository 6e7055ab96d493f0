"""Further architectures for the calibration, of other kinds than those of `check_blocks`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from check_blocks import CLASSES
from torch import nn
from torch.nn import functional

__all__ = [
    "Adapted", "Attending", "Coupling", "Dense", "Excited", "Experts", "Field", "Graph",
    "Mixer", "Points", "Ranking", "Separable", "Siamese", "Temporal", "Towers", "Translator", "UNet",
    "Variational", "Windows", "convs", "depthwise", "image_head",
]  # fmt: skip


Norm: TypeAlias = Callable[[int], nn.Module]


def convs(*widths: int, kernel: int = 3, norm: Callable[[int], nn.Module] | None = None) -> nn.Sequential:
    """Convolutions with ReLU, and a norm in between if asked."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Conv2d(a, b, kernel, padding=kernel // 2), *([norm(b)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers)


def image_head(channels: int) -> nn.Sequential:
    """Mean over positions, and a linear head."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


class UNet(nn.Module):
    """Down and up again, with concatenated skips; `time` adds a shift from an embedded number."""

    def __init__(
        self, c: int, norm: Callable[[int], nn.Module] | None, out: int, *, time: bool = False
    ) -> None:
        super().__init__()
        self.down1, self.down2 = convs(3, c, c, norm=norm), convs(c, 2 * c, 2 * c, norm=norm)
        self.middle = convs(2 * c, 4 * c, 4 * c, norm=norm)
        self.up2, self.up1 = (nn.ConvTranspose2d(k * c, k * c // 2, 2, stride=2) for k in (4, 2))
        self.mix2, self.mix1 = convs(4 * c, 2 * c, 2 * c, norm=norm), convs(2 * c, c, c, norm=norm)
        self.out = nn.Conv2d(c, out, 1)
        self.time = nn.Sequential(nn.Linear(16, 4 * c), nn.SiLU(), nn.Linear(4 * c, 4 * c)) if time else None

    def forward(self, x: torch.Tensor, t: torch.Tensor | None = None) -> torch.Tensor:
        """Run it."""
        a = self.down1(x)
        b = self.down2(functional.max_pool2d(a, 2))
        m = self.middle(functional.max_pool2d(b, 2))
        if self.time is not None and t is not None:
            waves = t[:, None] * torch.exp(-torch.arange(8) * math.log(1e4) / 8)
            m = m + self.time(torch.cat([waves.sin(), waves.cos()], 1))[:, :, None, None]
        b = self.mix2(torch.cat([b, self.up2(m)], 1))
        return self.out(self.mix1(torch.cat([a, self.up1(b)], 1)))


class Dense(nn.Module):
    """Every layer reads what all before it made (DenseNet)."""

    def __init__(self, layers: int, growth: int) -> None:
        super().__init__()
        self.start = nn.Conv2d(3, 2 * growth, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, growth, 3, padding=1, bias=False))
            for c in range(2 * growth, (layers + 2) * growth, growth)
        )
        self.end = nn.Sequential(nn.BatchNorm2d((layers + 2) * growth), nn.ReLU(),
                                 image_head((layers + 2) * growth))  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        x = self.start(x)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return self.end(x)


class Excited(nn.Module):
    """Residual block with squeeze and excitation, and any norm."""

    def __init__(self, c: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(c, c, 3, padding=1, bias=False), norm(c), nn.ReLU(),
                                  nn.Conv2d(c, c, 3, padding=1, bias=False), norm(c))  # fmt: skip
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c // 4, 1), nn.ReLU(),
                                  nn.Conv2d(c // 4, c, 1), nn.Sigmoid())  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        y = self.body(x)
        return torch.relu(x + y * self.gate(y))


def depthwise(c: int) -> nn.Conv2d:
    """One kernel a channel."""
    return nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False)


class Separable(nn.Module):
    """Inverted residual of MobileNet V2: expand, depthwise, project, each with a batch norm."""

    def __init__(self, c: int, wide: int = 4) -> None:
        super().__init__()
        h = wide * c
        self.body = nn.Sequential(nn.Conv2d(c, h, 1, bias=False), nn.BatchNorm2d(h), nn.ReLU6(),
                                  depthwise(h), nn.BatchNorm2d(h), nn.ReLU6(),
                                  nn.Conv2d(h, c, 1, bias=False), nn.BatchNorm2d(c))  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        return x + self.body(x)


class Mixer(nn.Module):
    """MLP-Mixer block: over positions, then over channels."""

    def __init__(self, places: int, c: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.places = nn.Sequential(nn.Linear(places, 2 * places), nn.GELU(), nn.Linear(2 * places, places))
        self.channels = nn.Sequential(nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        x = x + self.places(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Attending(nn.Module):
    """Pre-norm block with RMS norms by hand, grouped queries and a gated MLP, as in Llama.

    `scale` multiplies the scores instead of 1 / sqrt(d); `copies` gives every head the weights of the first.
    """

    def __init__(self, c: int, heads: int = 4, scale: float | None = None) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(c, c, bias=False), nn.Linear(c, c // 2, bias=False), nn.Linear(c, c // 2, bias=False)  # fmt: skip  # noqa: E501
        self.o, self.gate, self.up = nn.Linear(c, c, bias=False), nn.Linear(c, 2 * c, bias=False), nn.Linear(c, 2 * c, bias=False)  # fmt: skip  # noqa: E501
        self.down = nn.Linear(2 * c, c, bias=False)
        self.norm1, self.norm2 = nn.Parameter(torch.ones(c)), nn.Parameter(torch.ones(c))
        self.heads, self.scale = heads, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        b, t, c = x.shape
        d = c // self.heads
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.norm1
        q = self.q(y).view(b, t, self.heads, d).transpose(1, 2)
        k, v = (
            p(y).view(b, t, self.heads // 2, d).transpose(1, 2).repeat_interleave(2, 1)
            for p in (self.k, self.v)
        )
        scores = q @ k.transpose(2, 3) * (self.scale or d**-0.5)
        scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), -math.inf)
        x = x + self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, t, c))
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.norm2
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Windows(nn.Module):
    """Attention within windows of a map, shifted or not, with a learned bias for each distance."""

    def __init__(self, c: int, side: int, shift: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.side, self.shift = nn.LayerNorm(c), nn.LayerNorm(c), side, shift
        self.qkv, self.out = nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.bias = nn.Parameter(0.02 * torch.randn(4, side * side, side * side))
        self.mlp = nn.Sequential(nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it on (batch, height, width, channels)."""
        b, h, w, c = x.shape
        s = self.side
        y = self.norm1(x).roll((-self.shift, -self.shift), (1, 2))
        y = y.view(b, h // s, s, w // s, s, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, s * s, c)
        q, k, v = self.qkv(y).view(-1, s * s, 3, 4, c // 4).permute(2, 0, 3, 1, 4)
        y = ((q * (c // 4) ** -0.5) @ k.transpose(2, 3) + self.bias).softmax(-1) @ v
        y = self.out(y.transpose(1, 2).reshape(-1, s * s, c))
        y = y.view(b, h // s, w // s, s, s, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        x = x + y.roll((self.shift, self.shift), (1, 2))
        return x + self.mlp(self.norm2(x))


class Graph(nn.Module):
    """Graph convolutions: mean over neighbours, then weights."""

    def __init__(self, c: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16 if i == 0 else c, c) for i in range(depth))
        self.own = nn.ModuleList(nn.Linear(16 if i == 0 else c, c) for i in range(depth))
        self.out = nn.Linear(c, CLASSES)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """Run it on (nodes, features) and (2, edges)."""
        for layer, own in zip(self.layers, self.own, strict=True):
            sums = torch.zeros_like(x).index_add(0, edges[1], x[edges[0]])
            count = torch.zeros(len(x)).index_add(0, edges[1], torch.ones(edges.shape[1])).clamp(min=1)
            x = torch.relu(layer(sums / count[:, None]) + own(x))
        return self.out(x)


class Variational(nn.Module):
    """Encoder to a mean and a log variance, a sample, decoder."""

    def __init__(self, c: int, z: int) -> None:
        super().__init__()
        self.into = nn.Sequential(nn.Linear(64, c), nn.ReLU(), nn.Linear(c, c), nn.ReLU())
        self.mean, self.log_var = nn.Linear(c, z), nn.Linear(c, z)
        self.out = nn.Sequential(nn.Linear(z, c), nn.ReLU(), nn.Linear(c, c), nn.ReLU(), nn.Linear(c, 64))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run it."""
        h = self.into(x)
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + torch.randn_like(mean) * (0.5 * log_var).exp()
        return self.out(z), mean, log_var


class Siamese(nn.Module):
    """One tower used twice, and the distance of what it makes."""

    def __init__(self, tower: nn.Module, c: int) -> None:
        super().__init__()
        self.tower, self.out = tower, nn.Linear(c, 2)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Run it."""
        return self.out((self.tower(a) - self.tower(b)).abs())


class Translator(nn.Module):
    """GRU encoder and decoder with additive attention, step by step."""

    def __init__(self, c: int, words: int) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(words, c), nn.Embedding(words, c)
        self.reads = nn.GRU(c, c, batch_first=True, bidirectional=True)
        self.cell = nn.GRUCell(3 * c, c)
        self.query, self.key, self.energy = nn.Linear(c, c), nn.Linear(2 * c, c), nn.Linear(c, 1, bias=False)
        self.out = nn.Linear(c, words)

    def forward(self, given: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Run it."""
        seen, _ = self.reads(self.source(given))
        keys, state, rows = self.key(seen), seen.new_zeros(len(given), self.out.in_features), []
        for step in range(wanted.shape[1]):
            scores = self.energy(torch.tanh(self.query(state)[:, None] + keys)).squeeze(2)
            context = (scores.softmax(1)[:, :, None] * seen).sum(1)
            state = self.cell(torch.cat([self.target(wanted[:, step]), context], 1), state)
            rows.append(self.out(state))
        return torch.stack(rows, 1)


class Ranking(nn.Module):
    """DLRM: embedding bags and dense features, their products, an MLP."""

    def __init__(self, c: int, tables: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.EmbeddingBag(100, c, mode="sum") for _ in range(tables))
        self.bottom = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, c), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(c + (tables + 1) * tables // 2, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, dense: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Run it."""
        x = self.bottom(dense)
        all_ = torch.stack([x, *[table(words[:, i]) for i, table in enumerate(self.tables)]], 1)
        low = torch.tril_indices(all_.shape[1], all_.shape[1], -1)
        return self.top(torch.cat([x, (all_ @ all_.transpose(1, 2))[:, low[0], low[1]]], 1)).squeeze(1)


class Field(nn.Module):
    """NeRF: waves of a place, an MLP that reads them again half way, density and colour."""

    def __init__(self, c: int, depth: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(60 if i == 0 else c + 60 * (i == depth // 2), c) for i in range(depth)
        )
        self.density, self.colour = nn.Linear(c, 1), nn.Sequential(nn.Linear(c, c // 2), nn.ReLU(), nn.Linear(c // 2, 3))  # fmt: skip  # noqa: E501

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        waves = (x[:, :, None] * 2.0 ** torch.arange(10)).flatten(1)
        waves = h = torch.cat([waves.sin(), waves.cos()], 1)
        for i, layer in enumerate(self.layers):
            h = torch.relu(layer(torch.cat([h, waves], 1) if i == len(self.layers) // 2 else h))
        return torch.cat([torch.sigmoid(self.colour(h)), self.density(h)], 1)


class Coupling(nn.Module):
    """RealNVP: half of the features scales and shifts the other, in turn."""

    def __init__(self, c: int, depth: int) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(32, c), nn.ReLU(), nn.Linear(c, c), nn.ReLU(), nn.Linear(c, 64))
            for _ in range(depth)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run it."""
        a, b = x.chunk(2, 1)
        volume = x.new_zeros(len(x))
        for net in self.nets:
            scale, shift = net(a).chunk(2, 1)
            scale = torch.tanh(scale)
            a, b, volume = b * scale.exp() + shift, a, volume + scale.sum(1)
        return torch.cat([a, b], 1), volume


class Experts(nn.Module):
    """A block whose MLP is a choice of two among some, with a softmax router."""

    def __init__(self, c: int, count: int) -> None:
        super().__init__()
        self.norm, self.router = nn.LayerNorm(c), nn.Linear(c, count, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(c, 2 * c), nn.GELU(), nn.Linear(2 * c, c)) for _ in range(count)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        y = self.norm(x)
        weights, chosen = self.router(y).softmax(-1).topk(2, -1)
        table = torch.zeros(*y.shape[:-1], len(self.experts)).scatter(-1, chosen, weights / weights.sum(-1, keepdim=True))  # fmt: skip  # noqa: E501
        return x + sum(expert(y) * table[..., i : i + 1] for i, expert in enumerate(self.experts))


class Towers(nn.Module):
    """A common body and two heads: classes and a number."""

    def __init__(self, body: nn.Module, c: int) -> None:
        super().__init__()
        self.body, self.classes, self.number = body, nn.Linear(c, CLASSES), nn.Linear(c, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run it."""
        h = self.body(x)
        return self.classes(h), self.number(h)


class Adapted(nn.Module):
    """A frozen linear layer with a low-rank addition (LoRA)."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down, self.up = nn.Linear(layer.in_features, rank, bias=False), nn.Linear(rank, layer.out_features, bias=False)  # fmt: skip  # noqa: E501
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5.0))
        nn.init.zeros_(self.up.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        return self.layer(x) + 2.0 * self.up(self.down(x))


class Temporal(nn.Module):
    """Residual block of two dilated causal convolutions (TCN)."""

    def __init__(self, c: int, dilation: int, wrap: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.pad = 2 * dilation
        self.one, self.two = (wrap(nn.Conv1d(c, c, 3, dilation=dilation)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        y = torch.relu(self.one(functional.pad(x, (self.pad, 0))))
        return torch.relu(x + torch.relu(self.two(functional.pad(y, (self.pad, 0)))))


class Points(nn.Module):
    """PointNet: one MLP for every point, the largest of all, an MLP."""

    def __init__(self, c: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in ((3, c), (c, c), (c, 4 * c)):
            layers += [nn.Conv1d(a, b, 1), nn.BatchNorm1d(b), nn.ReLU()]
        self.each = nn.Sequential(*layers)
        self.all = nn.Sequential(nn.Linear(4 * c, c), nn.ReLU(), nn.Linear(c, CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run it."""
        return self.all(self.each(x).amax(2))
