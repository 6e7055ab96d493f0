"""Sequence mixers and cells."""

from __future__ import annotations

import math
from typing import Any

import torch
from check_brought_data import LETTERS, Case, text, waves
from torch import nn
from torch.nn import functional

__all__ = ["KINDS"]


def _next(out: Any, ids: Any) -> Any:
    return functional.cross_entropy(out[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def _text(g: torch.Generator) -> Any:
    ids = text(g)
    return (ids,), ids


def _waves(g: torch.Generator) -> Any:
    x, y = waves(g, 32, 48)
    return (x[..., None],), y


class LtcCell(nn.Module):
    """A liquid time-constant cell: conductances, a semi-implicit solver of six turns."""

    def __init__(self, ins: Any, n: Any) -> None:
        super().__init__()

        def u(low: Any, high: Any, *shape: int) -> Any:
            return nn.Parameter(low + (high - low) * torch.rand(*shape))

        self.gleak, self.vleak, self.cm = u(0.001, 1, n), u(-0.2, 0.2, n), u(0.4, 0.6, n)
        self.w, self.sigma, self.mu = u(0.001, 1, n, n), u(3, 8, n, n), u(0.3, 0.8, n, n)
        self.sw, self.ssigma, self.smu = u(0.001, 1, ins, n), u(3, 8, ins, n), u(0.3, 0.8, ins, n)
        self.erev = nn.Parameter(torch.randint(0, 2, (n, n)).float() * 2 - 1)
        self.serev = nn.Parameter(torch.randint(0, 2, (ins, n)).float() * 2 - 1)
        self.iw, self.ib = nn.Parameter(torch.ones(ins)), nn.Parameter(torch.zeros(ins))

    def forward(self, x: Any, v: Any) -> Any:
        x = x * self.iw + self.ib
        s = functional.softplus(self.sw) * torch.sigmoid(self.ssigma * (x[:, :, None] - self.smu))
        num0, den0 = (s * self.serev).sum(1), s.sum(1)
        cm, gl = functional.softplus(self.cm) * 6, functional.softplus(self.gleak)
        for _ in range(6):
            w = functional.softplus(self.w) * torch.sigmoid(self.sigma * (v[:, :, None] - self.mu))
            v = (cm * v + gl * self.vleak + (w * self.erev).sum(1) + num0) / (
                cm + gl + w.sum(1) + den0 + 1e-8
            )
        return v


class Liquid(nn.Module):
    def __init__(self, n: Any = 16) -> None:
        super().__init__()
        self.cell, self.out, self.n = LtcCell(1, n), nn.Linear(n, 4), n

    def forward(self, x: Any) -> Any:
        v = x.new_zeros(len(x), self.n)
        for t in range(x.shape[1]):
            v = self.cell(x[:, t], v)
        return self.out(v)


def liquid_cell(seed: int) -> Case:
    torch.manual_seed(seed)

    def draw(g: torch.Generator) -> Any:
        x, _ = waves(g, 32, 24)
        return (x[..., None] + 0.0,), (x[:, -8:].mean(1) * 4).clamp(-1.9, 1.9).add(2).long()

    return Case(Liquid(), draw, None, 1e-2)


class S4D(nn.Module):
    def __init__(self, d: Any, n: Any = 8) -> None:
        super().__init__()
        self.log_dt = nn.Parameter(torch.rand(d) * (math.log(0.1) - math.log(0.001)) + math.log(0.001))
        self.C = nn.Parameter(torch.view_as_real(torch.randn(d, n, dtype=torch.cfloat)))
        self.log_A_real = nn.Parameter(torch.log(0.5 * torch.ones(d, n)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(n).float().repeat(d, 1))
        self.D = nn.Parameter(torch.randn(d))
        self.mix = nn.Sequential(nn.Conv1d(d, 2 * d, 1), nn.GLU(dim=1))

    def forward(self, u: Any) -> Any:
        length = u.shape[-1]
        dt, c = self.log_dt.exp(), torch.view_as_complex(self.C)
        a = -self.log_A_real.exp() + 1j * self.A_imag
        dta = a * dt[:, None]
        k = dta[..., None] * torch.arange(length)
        k = 2 * torch.einsum("hn,hnl->hl", c * (dta.exp() - 1) / a, k.exp()).real
        y = torch.fft.irfft(torch.fft.rfft(u, n=2 * length) * torch.fft.rfft(k, n=2 * length), n=2 * length)[
            ..., :length
        ]
        return self.mix(functional.gelu(y + u * self.D[:, None]))


class StateSpace(nn.Module):
    def __init__(self, d: Any = 32, depth: Any = 2) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(1, d), nn.Linear(d, 4)
        self.layers = nn.ModuleList([S4D(d) for _ in range(depth)])
        self.norms = nn.ModuleList([nn.LayerNorm(d) for _ in range(depth)])

    def forward(self, x: Any) -> Any:
        x = self.encoder(x).transpose(1, 2)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = norm((x + layer(x)).transpose(1, 2)).transpose(1, 2)
        return self.decoder(x.mean(-1))


def s4d_waves(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(StateSpace(), _waves, None, 5e-3)


class MinGru(nn.Module):
    """A GRU without the old state in its gates, solved by a scan in the logarithm."""

    def __init__(self, d: Any) -> None:
        super().__init__()
        self.hg = nn.Linear(d, 2 * d, bias=False)

    def forward(self, x: Any) -> Any:
        hidden, gate = self.hg(x).chunk(2, -1)
        a = -functional.softplus(gate)
        g = torch.where(hidden >= 0, (functional.relu(hidden) + 0.5).log(), -functional.softplus(-hidden))
        values = -functional.softplus(-gate) + g
        star = a.cumsum(1)
        return (star + (values - star).logcumsumexp(1)).exp()


class MinGruLm(nn.Module):
    def __init__(self, d: Any = 32, depth: Any = 2) -> None:
        super().__init__()
        self.token = nn.Embedding(LETTERS, d)
        self.layers = nn.ModuleList(
            [
                nn.ModuleList(
                    [
                        nn.Conv1d(d, d, 3, groups=d),
                        nn.RMSNorm(d),
                        MinGru(d),
                        nn.RMSNorm(d),
                        nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d)),
                    ]
                )
                for _ in range(depth)
            ]
        )
        self.norm, self.to_logits = nn.RMSNorm(d), nn.Linear(d, LETTERS, bias=False)

    def forward(self, ids: Any) -> Any:
        x = self.token(ids)
        for conv, n1, gru, n2, ff in self.layers:
            x = conv(functional.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2) + x
            x = gru(n1(x)) + x
            x = ff(n2(x)) + x
        return self.to_logits(self.norm(x))


def min_gru(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(MinGruLm(), _text, _next, 3e-3)


class Retention(nn.Module):
    def __init__(self, d: Any, heads: Any = 4) -> None:
        super().__init__()
        self.h = heads
        self.q, self.k, self.v, self.g, self.o = (nn.Linear(d, d, bias=False) for _ in range(5))
        for layer in (self.q, self.k, self.v, self.g):
            nn.init.xavier_uniform_(layer.weight, gain=2**-2.5)
        nn.init.xavier_uniform_(self.o.weight, gain=2**-1)
        self.register_buffer("decay", torch.log(1 - 2 ** (-5 - torch.arange(heads).float())))
        self.norm = nn.GroupNorm(heads, d, affine=False)

    def forward(self, x: Any) -> Any:
        b, t, d = x.shape
        q, k, v = (f(x).view(b, t, self.h, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        lag = torch.arange(t)[:, None] - torch.arange(t)
        mask = torch.where(lag >= 0, torch.exp(lag * self.decay[:, None, None]), torch.zeros(()))
        mask = mask / mask.sum(-1, keepdim=True).sqrt()
        s = q @ k.transpose(-1, -2) * k.shape[-1] ** -0.5 * mask
        s = s / s.detach().abs().sum(-1, keepdim=True).clamp(min=1)
        y = (s @ v).transpose(1, 2).reshape(b * t, d)
        return self.o(functional.silu(self.g(x)) * self.norm(y).view(b, t, d))


class RetNet(nn.Module):
    def __init__(self, d: Any = 32, depth: Any = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(LETTERS, d)
        nn.init.normal_(self.embed.weight, std=d**-0.5)
        self.scale = d**0.5
        self.mix = nn.ModuleList([Retention(d) for _ in range(depth)])
        self.ff = nn.ModuleList(
            [nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d)) for _ in range(depth)]
        )
        self.norms = nn.ModuleList([nn.LayerNorm(d) for _ in range(2 * depth + 1)])

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids) * self.scale
        for i, (mix, ff) in enumerate(zip(self.mix, self.ff, strict=True)):
            x = x + mix(self.norms[2 * i](x))
            x = x + ff(self.norms[2 * i + 1](x))
        return self.norms[-1](x) @ self.embed.weight.T


def retention(seed: int) -> Case:
    torch.manual_seed(seed)
    return Case(RetNet(), _text, _next, 3e-3)


KINDS = (liquid_cell, s4d_waves, min_gru, retention)
