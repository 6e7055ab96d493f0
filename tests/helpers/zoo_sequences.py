"""Small models that no rule was written for, by name: networks of sequences and experts."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from zoo_parts import Forward, Made, Zoo, entry_of

__all__ = ["ZOO"]

ZOO: Zoo = {}
_entry = entry_of(ZOO)


@_entry
def _gmlp() -> Made:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.up, self.down = nn.LayerNorm(32), nn.Linear(32, 64), nn.Linear(32, 32)
            self.inner = nn.LayerNorm(32)
            self.spatial = nn.Conv1d(16, 16, 1)
            nn.init.ones_(self.spatial.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            u, v = F.gelu(self.up(self.norm(x))).chunk(2, dim=-1)
            return x + self.down(u * self.spatial(self.inner(v)))

    return nn.Sequential(
        nn.Linear(8, 32), *[Block() for _ in range(4)], nn.LayerNorm(32), nn.Linear(32, 5)
    ), (torch.randn(8, 16, 8),)


@_entry
def _lstm() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.head(m.lstm(m.embed(x))[0][:, -1])

    layers = {
        "embed": nn.Embedding(50, 16),
        "lstm": nn.LSTM(16, 32, 2, batch_first=True, bidirectional=True),
        "head": nn.Linear(64, 4),
    }
    return Forward(forward, **layers), (torch.randint(0, 50, (8, 10)),)


@_entry
def _gru() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        return m.head(m.gru(x)[0].mean(1))

    return Forward(forward, gru=nn.GRU(6, 32, batch_first=True), head=nn.Linear(32, 4)), (
        torch.randn(8, 10, 6),
    )


@_entry
def _cell_loop() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        h, c = x.new_zeros(len(x), 32), x.new_zeros(len(x), 32)
        for t in range(x.shape[1]):
            h, c = m.cell(x[:, t], (h, c))
        return m.head(h)

    return Forward(forward, cell=nn.LSTMCell(6, 32), head=nn.Linear(32, 4)), (torch.randn(8, 6, 6),)


@_entry
def _elman() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        h = x.new_zeros(len(x), 32)
        for t in range(x.shape[1]):
            h = torch.tanh(m.i(x[:, t]) + m.h(h))
        return m.head(h)

    return Forward(forward, i=nn.Linear(6, 32), h=nn.Linear(32, 32), head=nn.Linear(32, 4)), (
        torch.randn(8, 6, 6),
    )


@_entry
def _conv_gru() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        h = x.new_zeros(len(x), 16, *x.shape[-2:])
        for t in range(x.shape[1]):
            both = torch.cat([x[:, t], h], 1)
            z, r = torch.sigmoid(m.gates(both)).chunk(2, 1)
            n = torch.tanh(m.new(torch.cat([x[:, t], r * h], 1)))
            h = (1 - z) * h + z * n
        return m.head(h.mean((2, 3)))

    layers = {"gates": nn.Conv2d(19, 32, 3, padding=1), "new": nn.Conv2d(19, 16, 3, padding=1)}
    return Forward(forward, **layers, head=nn.Linear(16, 4)), (torch.randn(4, 5, 3, 8, 8),)


@_entry
def _seq2seq() -> Made:
    def forward(m: Any, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        memory, state = m.encoder(m.embed(source))
        out, _ = m.decoder(m.embed_out(target), state)
        weights = (m.query(out) @ memory.transpose(1, 2) / math.sqrt(32)).softmax(-1)
        return m.head(torch.tanh(m.mix(torch.cat([out, weights @ memory], -1))))

    layers = {
        "embed": nn.Embedding(40, 16, padding_idx=0),
        "embed_out": nn.Embedding(30, 16),
        "encoder": nn.GRU(16, 32, batch_first=True),
        "decoder": nn.GRU(16, 32, batch_first=True),
        "query": nn.Linear(32, 32),
        "mix": nn.Linear(64, 32),
        "head": nn.Linear(32, 30),
    }
    return Forward(forward, **layers), (torch.randint(0, 40, (4, 7)), torch.randint(0, 30, (4, 5)))


@_entry
def _perceiver() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.embed(x)
        z = m.latents.expand(len(x), -1, -1)
        z = z + m.cross(m.n1(z), m.n2(x), m.n2(x), need_weights=False)[0]
        for n, attention, k, mlp in m.blocks:
            y = n(z)
            z = z + attention(y, y, y, need_weights=False)[0]
            z = z + mlp(k(z))
        return m.head(m.norm(z).mean(1))

    def block() -> nn.ModuleList:
        attention = nn.MultiheadAttention(32, 4, batch_first=True)
        mlp = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        return nn.ModuleList([nn.LayerNorm(32), attention, nn.LayerNorm(32), mlp])

    model = Forward(
        forward,
        embed=nn.Linear(6, 32),
        cross=nn.MultiheadAttention(32, 4, batch_first=True),
        n1=nn.LayerNorm(32),
        n2=nn.LayerNorm(32),
        blocks=nn.ModuleList(block() for _ in range(2)),
        norm=nn.LayerNorm(32),
        head=nn.Linear(32, 5),
    )
    model.latents = nn.Parameter(torch.randn(1, 8, 32))
    return model, (torch.randn(4, 20, 6),)


@_entry
def _linear_attention() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.embed(x)
        for norm, qkv, out in m.blocks:
            q, k, v = qkv(norm(x)).chunk(3, -1)
            q, k = F.elu(q) + 1, F.elu(k) + 1
            memory = torch.einsum("btd,bte->bde", k, v)
            size = torch.einsum("btd,bd->bt", q, k.sum(1))
            x = x + out(torch.einsum("btd,bde->bte", q, memory) / size[..., None])
        return m.head(m.norm(x))

    blocks = nn.ModuleList(
        nn.ModuleList([nn.LayerNorm(32), nn.Linear(32, 96, bias=False), nn.Linear(32, 32)]) for _ in range(3)
    )
    layers = {"embed": nn.Embedding(50, 32), "blocks": blocks, "norm": nn.LayerNorm(32)}
    return Forward(forward, **layers, head=nn.Linear(32, 50)), (torch.randint(0, 50, (4, 12)),)


@_entry
def _experts_loop() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.embed(x)
        flat = m.norm(x)
        share, chosen = m.router(flat).softmax(-1).topk(2, dim=-1)
        out = torch.zeros_like(flat)
        for i, expert in enumerate(m.experts):
            rows, place = torch.where(chosen == i)
            out.index_add_(0, rows, expert(flat[rows]) * share[rows, place, None])
        return m.head(x + out)

    experts = nn.ModuleList(nn.Sequential(nn.Linear(32, 64), nn.SiLU(), nn.Linear(64, 32)) for _ in range(4))
    layers = {"embed": nn.Linear(8, 32), "norm": nn.LayerNorm(32), "router": nn.Linear(32, 4, bias=False)}
    return Forward(forward, **layers, experts=experts, head=nn.Linear(32, 5)), (torch.randn(64, 8),)


@_entry
def _experts_stacked() -> Made:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.router, self.head = nn.Linear(8, 32), nn.Linear(32, 4), nn.Linear(32, 5)
            self.up = nn.Parameter(torch.randn(4, 32, 64))
            self.down = nn.Parameter(torch.randn(4, 64, 32))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.embed(x)
            share = self.router(x).softmax(-1)
            h = F.relu(torch.einsum("nd,edf->nef", x, self.up))
            return self.head(x + torch.einsum("nef,efd,ne->nd", h, self.down, share))

    return Experts(), (torch.randn(64, 8),)


@_entry
def _transformer() -> Made:
    def forward(m: Any, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        places = torch.arange(source.shape[1])
        return m.head(m.core(m.embed(source) + m.places(places), m.embed(target)))

    core = nn.Transformer(32, 4, 2, 2, 64, dropout=0.0, batch_first=True)
    layers = {"embed": nn.Embedding(50, 32), "places": nn.Embedding(16, 32), "core": core}
    return Forward(forward, **layers, head=nn.Linear(32, 50)), (
        torch.randint(0, 50, (4, 9)),
        torch.randint(0, 50, (4, 7)),
    )


@_entry
def _dilated() -> Made:
    class Block(nn.Module):
        def __init__(self, dilation: int) -> None:
            super().__init__()
            norm = nn.utils.parametrizations.weight_norm
            self.pad = 2 * dilation
            self.first = norm(nn.Conv1d(16, 16, 3, dilation=dilation))
            self.second = norm(nn.Conv1d(16, 16, 3, dilation=dilation))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = F.relu(self.first(F.pad(x, (self.pad, 0))))
            return F.relu(x + F.relu(self.second(F.pad(h, (self.pad, 0)))))

    layers = [nn.Conv1d(4, 16, 1), *[Block(2**i) for i in range(4)], nn.AdaptiveAvgPool1d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16, 3)), (torch.randn(8, 4, 40),)


@_entry
def _gated_units() -> Made:
    class Unit(nn.Module):
        def __init__(self, kind: str) -> None:
            super().__init__()
            self.up, self.down, self.norm = nn.Linear(32, 128), nn.Linear(64, 32), nn.RMSNorm(32)
            self.kind = kind

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.up(self.norm(x))
            if self.kind == "glu":
                return x + self.down(F.glu(h, -1))
            a, b = h.chunk(2, -1)
            gate = {"reglu": F.relu, "geglu": F.gelu, "swiglu": F.silu, "bilinear": lambda z: z}[self.kind]
            return x + self.down(gate(a) * b)

    kinds = ("glu", "reglu", "geglu", "swiglu", "bilinear")
    return nn.Sequential(nn.Linear(8, 32), *[Unit(k) for k in kinds], nn.Linear(32, 3)), (torch.randn(32, 8),)


@_entry
def _crf() -> Made:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.emit = nn.Embedding(40, 16), nn.Linear(16, 5)
            self.transitions = nn.Parameter(torch.zeros(5, 5))
            self.start = nn.Parameter(torch.zeros(5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            emitted = self.emit(self.embed(x))
            alpha = self.start + emitted[:, 0]
            for t in range(1, x.shape[1]):
                alpha = torch.logsumexp(alpha[:, :, None] + self.transitions, 1) + emitted[:, t]
            return torch.logsumexp(alpha, -1)

    return Tagger(), (torch.randint(0, 40, (8, 6)),)


@_entry
def _relative_positions() -> Made:
    class Window(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.qkv, self.out = nn.LayerNorm(32), nn.Linear(32, 96), nn.Linear(32, 32)
            self.table = nn.Parameter(torch.zeros(2 * 9 - 1, 4))
            self.scale = nn.Parameter(torch.log(10 * torch.ones(4, 1, 1)))
            self.layer_scale = nn.Parameter(1e-4 * torch.ones(32))
            places = torch.arange(9)
            self.register_buffer("index", places[:, None] - places[None] + 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 4, 8)).permute(2, 0, 3, 1, 4)
            scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-1, -2)
            scores = scores * self.scale.clamp(max=4.6).exp()
            scores = scores + self.table[self.index.flatten()].view(9, 9, 4).permute(2, 0, 1)
            y = self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
            return x + self.layer_scale * y

    return nn.Sequential(nn.Linear(6, 32), Window(), Window(), nn.LayerNorm(32), nn.Linear(32, 5)), (
        torch.randn(4, 9, 6),
    )


@_entry
def _selective_scan() -> Made:
    class Scan(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.inp, self.out = nn.LayerNorm(32), nn.Linear(32, 128), nn.Linear(64, 32)
            self.conv = nn.Conv1d(64, 64, 4, padding=3, groups=64)
            self.x_proj, self.dt_proj = nn.Linear(64, 4 + 16), nn.Linear(4, 64)
            self.A_log = nn.Parameter(torch.log(torch.arange(1.0, 9.0)).repeat(64, 1))
            self.D = nn.Parameter(torch.ones(64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            u, z = self.inp(self.norm(x)).chunk(2, -1)
            u = F.silu(self.conv(u.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
            dt, b, c = self.x_proj(u).split([4, 8, 8], -1)
            dt = F.softplus(self.dt_proj(dt))
            decay = torch.exp(dt[..., None] * -torch.exp(self.A_log))
            drive = dt[..., None] * b[:, :, None] * u[..., None]
            state, out = x.new_zeros(len(x), 64, 8), []
            for t in range(x.shape[1]):
                state = decay[:, t] * state + drive[:, t]
                out.append((state * c[:, t, None]).sum(-1))
            y = torch.stack(out, 1) + u * self.D
            return x + self.out(y * F.silu(z))

    return nn.Sequential(nn.Linear(6, 32), Scan(), Scan(), nn.LayerNorm(32), nn.Linear(32, 5)), (
        torch.randn(4, 8, 6),
    )


@_entry
def _low_rank() -> Made:
    class Adapted(nn.Module):
        def __init__(self, a: int, b: int) -> None:
            super().__init__()
            self.base = nn.Linear(a, b)
            self.base.requires_grad_(False)
            self.A, self.B = nn.Parameter(torch.randn(4, a)), nn.Parameter(torch.zeros(b, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.base(x) + (x @ self.A.t() @ self.B.t()) * 2.0

    return nn.Sequential(Adapted(8, 32), nn.ReLU(), Adapted(32, 3)), (torch.randn(16, 8),)


@_entry
def _conditioned() -> Made:
    """Features scaled and shifted by a condition, the scale around one (FiLM, adaptive norms)."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(32, elementwise_affine=False)
            self.condition = nn.Sequential(nn.SiLU(), nn.Linear(16, 96))
            self.mlp = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))

        def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
            shift, scale, gate = self.condition(c).chunk(3, -1)
            return x + gate * self.mlp(self.norm(x) * (1 + scale) + shift)

    def forward(m: Any, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        waves = t[:, None] * torch.exp(-torch.arange(8) / 2.0)
        c = m.time(torch.cat([waves.sin(), waves.cos()], -1))
        x = m.embed(x)
        for block in m.blocks:
            x = block(x, c)
        return m.head(m.norm(x))

    layers = {
        "time": nn.Sequential(nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 16)),
        "embed": nn.Linear(8, 32),
        "blocks": nn.ModuleList(Block() for _ in range(3)),
        "norm": nn.LayerNorm(32),
        "head": nn.Linear(32, 8),
    }
    return Forward(forward, **layers), (torch.randn(16, 8), torch.rand(16) * 100)
