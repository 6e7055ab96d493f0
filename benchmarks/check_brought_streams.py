"""Streams of several lanes, on the sphere, with multipliers, with a matrix as memory."""

from __future__ import annotations

from typing import Any

import torch
from check_brought_data import LETTERS, Case, text
from torch import nn
from torch.nn import functional

__all__ = ["KINDS"]


def _next(out: Any, ids: Any) -> Any:
    return functional.cross_entropy(out[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def _text(g: torch.Generator) -> Any:
    ids = text(g)
    return (ids,), ids


class Hyper(nn.Module):
    """Hyper-connections: n streams; dynamic weights start at zero, static ones as a unit matrix."""

    def __init__(self, d: Any, index: Any, n: Any = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d, bias=False)
        first = torch.zeros(n, 1)
        first[index % n] = 1
        self.static_alpha = nn.Parameter(torch.cat((first, torch.eye(n)), 1))
        self.static_beta = nn.Parameter(torch.ones(n))
        self.dynamic_alpha, self.dynamic_beta = (
            nn.Parameter(torch.zeros(d, n + 1)),
            nn.Parameter(torch.zeros(d)),
        )
        self.alpha_scale, self.beta_scale = (
            nn.Parameter(torch.full((), 0.01)),
            nn.Parameter(torch.full((), 0.01)),
        )

    def forward(self, streams: Any, branch: Any) -> Any:
        h = self.norm(streams)
        alpha = torch.tanh(h @ self.dynamic_alpha) * self.alpha_scale + self.static_alpha
        beta = torch.tanh(h @ self.dynamic_beta) * self.beta_scale + self.static_beta
        mixed = torch.einsum("btnm,btnd->btmd", alpha, streams)
        return mixed[:, :, 1:] + beta[..., None] * branch(mixed[:, :, 0])[:, :, None]


class CausalConv(nn.Module):
    def __init__(self, d: Any) -> None:
        super().__init__()
        self.norm, self.conv, self.out = nn.LayerNorm(d), nn.Conv1d(d, 2 * d, 4), nn.Linear(2 * d, d)

    def forward(self, x: Any) -> Any:
        return self.out(
            functional.gelu(self.conv(functional.pad(self.norm(x).transpose(1, 2), (3, 0)))).transpose(1, 2)
        )


class HyperLm(nn.Module):
    def __init__(self, d: Any = 32, depth: Any = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(LETTERS, d)
        self.branches = nn.ModuleList([CausalConv(d) for _ in range(depth)])
        self.hyper = nn.ModuleList([Hyper(d, i) for i in range(depth)])
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, LETTERS, bias=False)

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids)[:, :, None].expand(-1, -1, 4, -1)
        for hyper, branch in zip(self.hyper, self.branches, strict=True):
            x = hyper(x, branch)
        return self.head(self.norm(x.sum(2)))


def hyper_connections(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(HyperLm(), _text, _next, 3e-3)


def _unit(x: Any, dim: Any = -1) -> Any:
    return functional.normalize(x, dim=dim)


class NormalisedBlock(nn.Module):
    """A block of the normalised transformer: unit weights, states on the sphere, learned steps and scales."""

    def __init__(self, d: Any, h: Any = 4) -> None:
        super().__init__()
        self.h, self.base = h, d**-0.5
        for name, (o, i) in {
            "q": (d, d),
            "k": (d, d),
            "v": (d, d),
            "o": (d, d),
            "u": (4 * d, d),
            "g": (4 * d, d),
            "down": (d, 4 * d),
        }.items():
            setattr(self, name, nn.Parameter(torch.randn(o, i) * self.base))
        self.alpha_a, self.alpha_m = (
            nn.Parameter(torch.full((d,), self.base)),
            nn.Parameter(torch.full((d,), self.base)),
        )
        self.sqk, self.su = nn.Parameter(torch.full((d,), self.base)), nn.Parameter(torch.ones(4 * d))

    def forward(self, x: Any) -> Any:
        b, t, d = x.shape
        sqk = (self.sqk / self.base).view(self.h, 1, -1)
        q, k, v = (
            functional.linear(x, _unit(w)).view(b, t, self.h, -1).transpose(1, 2)
            for w in (self.q, self.k, self.v)
        )
        y = functional.scaled_dot_product_attention(
            sqk * _unit(q), sqk * _unit(k), v, is_causal=True, scale=(d // self.h) ** 0.5
        )
        y = functional.linear(y.transpose(1, 2).reshape(b, t, d), _unit(self.o, 0))
        x = _unit(x + (self.alpha_a * 0.05 / self.base).abs() * (_unit(y) - x))
        y = functional.linear(
            self.su
            * functional.linear(x, _unit(self.u))
            * functional.silu(self.su * d**0.5 * functional.linear(x, _unit(self.g))),
            _unit(self.down, 0),
        )
        return _unit(x + (self.alpha_m * 0.05 / self.base).abs() * (_unit(y) - x))


class NormalisedLm(nn.Module):
    def __init__(self, d: Any = 32, depth: Any = 3) -> None:
        super().__init__()
        self.wte, self.head = (
            nn.Parameter(torch.randn(LETTERS, d) * d**-0.5),
            nn.Parameter(torch.randn(LETTERS, d) * d**-0.5),
        )
        self.blocks = nn.ModuleList([NormalisedBlock(d) for _ in range(depth)])
        self.sz = nn.Parameter(torch.full((LETTERS,), d**-0.5))
        self.d = d

    def forward(self, ids: Any) -> Any:
        x = functional.embedding(ids, _unit(self.wte))
        for block in self.blocks:
            x = block(x)
        return functional.linear(x, _unit(self.head)) * self.sz * self.d**0.5


def normalised_weights(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(NormalisedLm(), _text, _next, 5e-3)


class MuLm(nn.Module):
    """Multipliers as in muP: embedding x10, queries by 1/d, readout zero and by 1/width-multiplier."""

    def __init__(self, d: Any = 64, depth: Any = 2, base: Any = 32) -> None:
        super().__init__()
        self.embed, self.pos = nn.Embedding(LETTERS, d), nn.Embedding(24, d)
        self.blocks = nn.ModuleList(
            [
                nn.ModuleDict(
                    {
                        "n1": nn.LayerNorm(d),
                        "qkv": nn.Linear(d, 3 * d),
                        "o": nn.Linear(d, d),
                        "n2": nn.LayerNorm(d),
                        "f1": nn.Linear(d, 4 * d),
                        "f2": nn.Linear(4 * d, d),
                    }
                )
                for _ in range(depth)
            ]
        )
        self.norm, self.readout = nn.LayerNorm(d), nn.Linear(d, LETTERS, bias=False)
        self.mult = base / d
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=0.08 * self.mult**0.5)
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
            elif isinstance(m, nn.Embedding):
                nn.init.normal_(m.weight, std=0.08)
        for block in self.blocks:
            nn.init.zeros_(block["qkv"].weight[:d].data)
            nn.init.normal_(block["o"].weight, std=0.08 * self.mult**0.5 / (2 * depth) ** 0.5)
            nn.init.normal_(block["f2"].weight, std=0.08 * self.mult**0.5 / (2 * depth) ** 0.5)
        nn.init.zeros_(self.readout.weight)

    def forward(self, ids: Any) -> Any:
        x = 10 * (self.embed(ids) + self.pos.weight[: ids.shape[1]])
        for b in self.blocks:
            q, k, v = (z.unflatten(-1, (4, -1)).transpose(1, 2) for z in b["qkv"](b["n1"](x)).chunk(3, -1))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=8 / q.shape[-1])
            x = x + b["o"](y.transpose(1, 2).flatten(2))
            x = x + b["f2"](functional.gelu(b["f1"](b["n2"](x))))
        return self.readout(self.norm(x)) * self.mult


def mup_multipliers(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(MuLm(), _text, _next, 3e-3)


class MLstm(nn.Module):
    """A matrix memory with exponential gates in its parallel form; forget biases 3 to 6."""

    def __init__(self, d: Any, h: Any = 4) -> None:
        super().__init__()
        self.h = h
        self.up, self.down = nn.Linear(d, 4 * d, bias=False), nn.Linear(2 * d, d, bias=False)
        self.q, self.k, self.v = (nn.Linear(2 * d, 2 * d, bias=False) for _ in range(3))
        self.ig, self.fg = nn.Linear(2 * d, h), nn.Linear(2 * d, h)
        for layer in (self.ig, self.fg):
            nn.init.zeros_(layer.weight)
        nn.init.normal_(self.ig.bias, std=0.1)
        self.fg.bias.data = torch.linspace(3, 6, h)
        self.norm, self.skip = nn.GroupNorm(h, 2 * d), nn.Parameter(torch.ones(2 * d))
        for layer in (self.up, self.q, self.k, self.v):
            nn.init.normal_(layer.weight, std=(2 / (5 * layer.in_features)) ** 0.5)

    def forward(self, x: Any) -> Any:
        b, t, _ = x.shape
        a, z = self.up(x).chunk(2, -1)
        q, k, v = (f(a).view(b, t, self.h, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        i, f = self.ig(a).transpose(1, 2), functional.logsigmoid(self.fg(a)).transpose(1, 2).cumsum(-1)
        logd = (f[..., :, None] - f[..., None, :] + i[..., None, :]).masked_fill(
            torch.ones(t, t, dtype=torch.bool).triu(1), -torch.inf
        )
        top = logd.amax(-1, keepdim=True)
        c = q @ k.transpose(-1, -2) / k.shape[-1] ** 0.5 * (logd - top).exp()
        y = c @ v / torch.maximum(c.sum(-1, keepdim=True).abs(), (-top).exp())
        y = self.norm(y.transpose(1, 2).reshape(b * t, -1)).view(b, t, -1)
        return self.down((y + self.skip * a) * functional.silu(z))


class XLstm(nn.Module):
    def __init__(self, d: Any = 32, depth: Any = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(LETTERS, d)
        nn.init.normal_(self.embed.weight, std=(2 / (5 * d)) ** 0.5)
        self.norms = nn.ModuleList([nn.LayerNorm(d, bias=False) for _ in range(depth + 1)])
        self.blocks = nn.ModuleList([MLstm(d) for _ in range(depth)])
        self.head = nn.Linear(d, LETTERS, bias=False)

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids)
        for norm, block in zip(self.norms, self.blocks, strict=False):
            x = x + block(norm(x))
        return self.head(self.norms[-1](x))


def matrix_lstm(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(XLstm(), _text, _next, 3e-3)


KINDS = (hyper_connections, normalised_weights, mup_multipliers, matrix_lstm)
