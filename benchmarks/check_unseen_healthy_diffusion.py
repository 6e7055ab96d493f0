"""Diffusion, flows and a U-Net, as their authors initialise them."""

from __future__ import annotations

import math

import torch
from check_unseen_healthy_data import Batch, Case, digits, images
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KINDS"]


def _time(t: Tensor, d: int) -> Tensor:
    f = torch.exp(-math.log(1e4) * torch.arange(d // 2) / (d // 2 - 1))
    a = t[:, None] * f
    return torch.cat([a.sin(), a.cos()], -1)


def _noised(s: int) -> Batch:
    """Return a digit with noise of a random level, the level, and the noise that is asked for."""
    x, _ = images(s, 32, 16)
    g = torch.Generator().manual_seed(s)
    t = torch.randint(0, 1000, (32,), generator=g)
    keep = torch.cos(t / 1000 * math.pi / 2)[:, None, None, None] ** 2
    e = torch.randn(x.shape, generator=g)
    return (keep.sqrt() * x + (1 - keep).sqrt() * e, t), e


class ResBlock(nn.Module):
    """DDPM's block (improved-diffusion): the last convolution is zero."""

    def __init__(self, i: int, o: int, t: int) -> None:
        super().__init__()
        self.n1, self.n2, self.c1 = nn.GroupNorm(8, i), nn.GroupNorm(8, o), nn.Conv2d(i, o, 3, 1, 1)
        self.c2, self.emb = nn.Conv2d(o, o, 3, 1, 1), nn.Linear(t, o)
        self.skip = nn.Conv2d(i, o, 1) if i != o else nn.Identity()
        nn.init.zeros_(self.c2.weight)
        nn.init.zeros_(self.c2.bias)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        h = self.c1(functional.silu(self.n1(x))) + self.emb(functional.silu(t))[:, :, None, None]
        out: Tensor = self.skip(x) + self.c2(functional.silu(self.n2(h)))
        return out


class DDPM(nn.Module):
    def __init__(self, c: int = 16) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(32, 64), nn.SiLU(), nn.Linear(64, 64))
        self.stem, self.down = nn.Conv2d(1, c, 3, 1, 1), nn.Conv2d(c, c, 3, 2, 1)
        self.r1, self.r2, self.mid = ResBlock(c, c, 64), ResBlock(c, 2 * c, 64), ResBlock(2 * c, 2 * c, 64)
        self.r3, self.r4 = ResBlock(4 * c, 2 * c, 64), ResBlock(3 * c, c, 64)
        self.norm, self.out = nn.GroupNorm(8, c), nn.Conv2d(c, 1, 3, 1, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        e = self.time(_time(t, 32))
        a = self.r1(self.stem(x), e)
        b = self.r2(self.down(a), e)
        h = self.r3(torch.cat([self.mid(b, e), b], 1), e)
        h = self.r4(torch.cat([functional.interpolate(h, scale_factor=2), a], 1), e)
        out: Tensor = self.out(functional.silu(self.norm(h)))
        return out


def ddpm(_: int) -> Case:
    return Case(model=DDPM(), draw=_noised, chance=1.0, lr=2e-3)


class DiTBlock(nn.Module):
    """adaLN-zero: modulation and gates begin at zero."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.n1, self.n2 = (nn.LayerNorm(d, elementwise_affine=False, eps=1e-6) for _ in range(2))
        self.attn = nn.MultiheadAttention(d, 4, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(approximate="tanh"), nn.Linear(4 * d, d))
        self.ada = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        s1, k1, g1, s2, k2, g2 = self.ada(c)[:, None].chunk(6, dim=-1)
        h = self.n1(x) * (1 + k1) + s1
        x = x + g1 * self.attn(h, h, h, need_weights=False)[0]
        out: Tensor = x + g2 * self.mlp(self.n2(x) * (1 + k2) + s2)
        return out


class DiT(nn.Module):
    def __init__(self, d: int = 64) -> None:
        super().__init__()
        self.patch, self.pos = nn.Conv2d(1, d, 2, 2), nn.Parameter(torch.randn(1, 64, d) * 0.02)
        self.t1, self.t2 = nn.Linear(32, d), nn.Linear(d, d)
        self.blocks = nn.ModuleList(DiTBlock(d) for _ in range(3))
        self.norm, self.ada, self.out = (
            nn.LayerNorm(d, elementwise_affine=False),
            nn.Linear(d, 2 * d),
            nn.Linear(d, 4),
        )
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                nn.init.zeros_(m.bias)
        nn.init.xavier_uniform_(self.patch.weight.data.view(d, -1))
        nn.init.normal_(self.t1.weight, std=0.02)
        nn.init.normal_(self.t2.weight, std=0.02)
        for z in (*(b.ada[1] for b in self.blocks), self.ada, self.out):
            nn.init.zeros_(z.weight)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        h = self.patch(x).flatten(2).transpose(1, 2) + self.pos
        c = self.t2(functional.silu(self.t1(_time(t, 32))))
        for block in self.blocks:
            h = block(h, c)
        s, k = self.ada(functional.silu(c))[:, None].chunk(2, dim=-1)
        h = self.out(self.norm(h) * (1 + k) + s)
        return functional.pixel_shuffle(h.transpose(1, 2).reshape(-1, 4, 8, 8), 2)


def dit(_: int) -> Case:
    return Case(model=DiT(), draw=_noised, chance=1.0, lr=2e-3, share=0.7)


class Coupling(nn.Module):
    """RealNVP's affine coupling; the last layer of scale and shift is zero (Glow)."""

    def __init__(self, d: int, *, flip: bool) -> None:
        super().__init__()
        self.net, self.flip = (
            nn.Sequential(nn.Linear(d // 2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, d)),
            flip,
        )
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = x.chunk(2, dim=-1)
        if self.flip:
            a, b = b, a
        s, t = self.net(a).chunk(2, dim=-1)
        s = torch.tanh(s)
        b = (b + t) * torch.exp(s)
        return torch.cat([b, a] if self.flip else [a, b], -1), s.sum(-1)


class Flow(nn.Module):
    def __init__(self, d: int = 64, *, mixing: bool = False) -> None:
        super().__init__()
        self.parts = nn.ModuleList(Coupling(d, flip=bool(i % 2)) for i in range(6))
        self.turns = (
            nn.ParameterList(torch.linalg.qr(torch.randn(d, d))[0] for _ in range(6)) if mixing else None
        )
        self.log_scale = nn.Parameter(torch.zeros(d)) if mixing else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = torch.zeros(len(x))
        for i, part in enumerate(self.parts):
            if self.turns is not None:
                x = x @ self.turns[i]
                total = total + torch.linalg.slogdet(self.turns[i])[1]
            x, d = part(x)
            total = total + d
        if self.log_scale is not None:
            x, total = x * torch.exp(self.log_scale), total + self.log_scale.sum()
        return x, total


def _nll(out: tuple[Tensor, Tensor], _: object) -> Tensor:
    z, logdet = out
    return (0.5 * (z**2).sum(-1) + 0.5 * z.shape[-1] * math.log(math.tau) - logdet).mean() / z.shape[-1]


def _dequantised(s: int) -> Batch:
    x, _ = digits(s)
    return (x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(s)),), torch.zeros(1)


def realnvp(_: int) -> Case:
    return Case(model=Flow(), draw=_dequantised, loss=_nll, chance=1.42, share=0.6)


def glow(_: int) -> Case:
    return Case(model=Flow(mixing=True), draw=_dequantised, loss=_nll, chance=1.42, share=0.6)


class UNet(nn.Module):
    """milesial's U-Net, narrow: denoises a digit."""

    def __init__(self) -> None:
        super().__init__()

        def twice(i: int, o: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(i, o, 3, padding=1, bias=False),
                nn.BatchNorm2d(o),
                nn.ReLU(True),
                nn.Conv2d(o, o, 3, padding=1, bias=False),
                nn.BatchNorm2d(o),
                nn.ReLU(True),
            )

        self.a, self.b, self.c = twice(1, 12), twice(12, 24), twice(24, 48)
        self.up1, self.up2 = nn.ConvTranspose2d(48, 24, 2, 2), nn.ConvTranspose2d(24, 12, 2, 2)
        self.d, self.e, self.out = twice(48, 24), twice(24, 12), nn.Conv2d(12, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(functional.max_pool2d(a, 2))
        c = self.c(functional.max_pool2d(b, 2))
        h = self.d(torch.cat([b, self.up1(c)], 1))
        out: Tensor = self.out(self.e(torch.cat([a, self.up2(h)], 1)))
        return out


def unet(_: int) -> Case:
    def draw(s: int) -> Batch:
        x, _ = images(s, 16, 16, standard=False)
        return (x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(s)),), (
            x[:, 0] > 0.3
        ).long()

    def ce(out: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(out, y)

    return Case(model=UNet(), draw=draw, loss=ce, chance=0.54)


KINDS = {f.__name__: f for f in (ddpm, dit, realnvp, glow, unet)}
