"""Vision models of patches and tokens, and sets, graphs and fields, as their authors initialise them."""

from __future__ import annotations

import torch
from check_unseen_healthy_data import Batch, Case, digits, images
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["KINDS"]

D = 64


def _images(size: int, channels: int = 3) -> object:
    def draw(seed: int) -> Batch:
        x, y = images(seed, 32, size, channels)
        return (x,), y

    return draw


def _case(model: nn.Module, size: int = 16, **more: object) -> Case:
    return Case(model=model, draw=_images(size), **more)  # type: ignore[arg-type]


def _timm(model: nn.Module) -> None:
    for m in model.modules():
        if isinstance(m, nn.Linear):
            nn.init.trunc_normal_(m.weight, std=0.02)
            if m.bias is not None:
                nn.init.zeros_(m.bias)


class Attention(nn.Module):
    def __init__(self, d: int, heads: int = 4) -> None:
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(d, 3 * d), nn.Linear(d, d), heads

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        y = ((q * (d // self.heads) ** -0.5) @ k.transpose(-2, -1)).softmax(-1) @ v
        out: Tensor = self.proj(y.transpose(1, 2).reshape(b, n, d))
        return out


class ViTBlock(nn.Module):
    """timm's block, with LayerScale where a start is given (CaiT, DeiT III)."""

    def __init__(self, d: int, scale: float | None = None) -> None:
        super().__init__()
        self.n1, self.n2, self.attn = nn.LayerNorm(d, eps=1e-6), nn.LayerNorm(d, eps=1e-6), Attention(d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.g1 = None if scale is None else nn.Parameter(scale * torch.ones(d))
        self.g2 = None if scale is None else nn.Parameter(scale * torch.ones(d))

    def forward(self, x: Tensor) -> Tensor:
        a = self.attn(self.n1(x))
        x = x + (a if self.g1 is None else self.g1 * a)
        m = self.mlp(self.n2(x))
        out: Tensor = x + (m if self.g2 is None else self.g2 * m)
        return out


class ViT(nn.Module):
    """vit-pytorch's or timm's: patches by convolution, a class token, learnt positions."""

    def __init__(self, *, scale: float | None = None, zero_head: bool = False) -> None:
        super().__init__()
        self.patch, self.cls = nn.Conv2d(3, D, 4, 4), nn.Parameter(torch.zeros(1, 1, D))
        self.pos = nn.Parameter(torch.zeros(1, 17, D))
        self.blocks = nn.Sequential(*(ViTBlock(D, scale) for _ in range(4)))
        self.norm, self.head = nn.LayerNorm(D, eps=1e-6), nn.Linear(D, 10)
        _timm(self)
        nn.init.trunc_normal_(self.pos, std=0.02)
        nn.init.normal_(self.cls, std=1e-6)
        if zero_head:
            nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        out: Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return out


def vit(_: int) -> Case:
    return _case(ViT(zero_head=True))


def deit3(_: int) -> Case:
    return _case(ViT(scale=1e-4), share=0.7, lr=2e-3)


class Window(nn.Module):
    """Window attention with a table of relative biases, and the shift by rolling (Swin)."""

    def __init__(self, d: int, window: int, shift: int, heads: int = 4) -> None:
        super().__init__()
        self.n1, self.n2, self.window, self.shift, self.heads = (
            nn.LayerNorm(d),
            nn.LayerNorm(d),
            window,
            shift,
            heads,
        )
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.table, std=0.02)
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        gap = (at[:, :, None] - at[:, None]) + window - 1
        self.register_buffer("index", gap[0] * (2 * window - 1) + gap[1])

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, d = x.shape
        s, y = self.window, torch.roll(self.n1(x), (-self.shift, -self.shift), (1, 2))
        y = y.view(b, h // s, s, w // s, s, d).transpose(2, 3).reshape(-1, s * s, d)
        q, k, v = self.qkv(y).view(len(y), s * s, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        a = (q * (d // self.heads) ** -0.5) @ k.transpose(-2, -1) + self.table[self.index].permute(2, 0, 1)
        y = self.proj((a.softmax(-1) @ v).transpose(1, 2).reshape(-1, s * s, d))
        y = y.view(b, h // s, w // s, s, s, d).transpose(2, 3).reshape(b, h, w, d)
        x = x + torch.roll(y, (self.shift, self.shift), (1, 2))
        out: Tensor = x + self.mlp(self.n2(x))
        return out


class Swin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm0 = nn.Conv2d(3, 32, 2, 2), nn.LayerNorm(32)
        self.one = nn.Sequential(Window(32, 4, 0), Window(32, 4, 2))
        self.merge_norm, self.merge = nn.LayerNorm(128), nn.Linear(128, 64, bias=False)
        self.two, self.norm, self.head = (
            nn.Sequential(Window(64, 4, 0), Window(64, 4, 0)),
            nn.LayerNorm(64),
            nn.Linear(64, 10),
        )
        _timm(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(self.norm0(self.embed(x).permute(0, 2, 3, 1)))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        x = self.two(self.merge(self.merge_norm(x)))
        out: Tensor = self.head(self.norm(x).mean((1, 2)))
        return out


def swin(_: int) -> Case:
    return _case(Swin())


class MixerBlock(nn.Module):
    """timm's MLP-Mixer: Xavier's, MLP biases N(0, 1e-6)."""

    def __init__(self, tokens: int, d: int) -> None:
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.tokens = nn.Sequential(nn.Linear(tokens, 32), nn.GELU(), nn.Linear(32, tokens))
        self.channels = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        for part in (self.tokens, self.channels):
            for m in part:
                if isinstance(m, nn.Linear):
                    nn.init.xavier_uniform_(m.weight)
                    nn.init.normal_(m.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.n1(x).transpose(1, 2)).transpose(1, 2)
        out: Tensor = x + self.channels(self.n2(x))
        return out


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, D, 4, 4), nn.Sequential(*(MixerBlock(16, D) for _ in range(4)))
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, 10)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.blocks(self.stem(x).flatten(2).transpose(1, 2))).mean(1))
        return out


def mixer(_: int) -> Case:
    return _case(Mixer())


class SpatialGate(nn.Module):
    """gMLP's gate: weights near zero, bias one."""

    def __init__(self, tokens: int, d: int) -> None:
        super().__init__()
        self.norm, self.proj = nn.LayerNorm(d), nn.Conv1d(tokens, tokens, 1)
        nn.init.uniform_(self.proj.weight, -1e-3 / tokens, 1e-3 / tokens)
        nn.init.ones_(self.proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=-1)
        return a * self.proj(self.norm(b))


class Skip(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class Tokens(nn.Module):
    """Patches, blocks, mean, head: all else PyTorch's default."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, D, 4, 4), nn.Sequential(*blocks)
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.blocks(self.stem(x).flatten(2).transpose(1, 2))).mean(1))
        return out


def gmlp(_: int) -> Case:
    blocks: list[nn.Module] = [
        Skip(
            nn.Sequential(
                nn.LayerNorm(D), nn.Linear(D, 4 * D), nn.GELU(), SpatialGate(16, 2 * D), nn.Linear(2 * D, D)
            )
        )
        for _ in range(4)
    ]
    return _case(Tokens(blocks))


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.dw, self.norm = nn.Conv2d(d, d, 7, padding=3, groups=d), nn.LayerNorm(d, eps=1e-6)
        self.pw1, self.pw2, self.gamma = (
            nn.Linear(d, 4 * d),
            nn.Linear(4 * d, d),
            nn.Parameter(1e-6 * torch.ones(d)),
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.dw(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.pw2(functional.gelu(self.pw1(h)))).permute(0, 3, 1, 2)


def convnext(_: int) -> Case:
    model = nn.Sequential(
        nn.Conv2d(3, 32, 2, 2),
        LayerNorm2d(32, eps=1e-6),
        ConvNeXtBlock(32),
        ConvNeXtBlock(32),
        LayerNorm2d(32, eps=1e-6),
        nn.Conv2d(32, 64, 2, 2),
        ConvNeXtBlock(64),
        ConvNeXtBlock(64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.LayerNorm(64),
        nn.Linear(64, 10),
    )
    for m in model.modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(m.weight, std=0.02)
            nn.init.zeros_(m.bias)  # type: ignore[arg-type]
    return _case(model, lr=4e-3, share=0.7)


def convmixer(_: int) -> Case:
    def block(d: int) -> nn.Sequential:
        dw = Skip(nn.Sequential(nn.Conv2d(d, d, 5, groups=d, padding="same"), nn.GELU(), nn.BatchNorm2d(d)))
        return nn.Sequential(dw, nn.Conv2d(d, d, 1), nn.GELU(), nn.BatchNorm2d(d))

    model = nn.Sequential(
        nn.Conv2d(3, 48, 2, 2),
        nn.GELU(),
        nn.BatchNorm2d(48),
        *(block(48) for _ in range(4)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(48, 10),
    )
    return _case(model, lr=3e-3)


class Perceiver(nn.Module):
    """The Perceiver by lucidrains: latents N(0, 0.02) look at the pixels, then at themselves."""

    def __init__(self, latents: int = 16) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, D) * 0.02)
        self.pos = nn.Parameter(torch.randn(64, 15))
        self.cross = nn.MultiheadAttention(D, 1, kdim=16, vdim=16, batch_first=True)
        self.selfs = nn.ModuleList(ViTBlock(D) for _ in range(2))
        self.nq, self.nk = nn.LayerNorm(D), nn.LayerNorm(16)
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, 10)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.nk(torch.cat([x[..., None], self.pos.expand(len(x), -1, -1)], -1))
        z = self.latents.expand(len(x), -1, -1)
        z = z + self.cross(self.nq(z), seen, seen, need_weights=False)[0]
        for block in self.selfs:
            z = block(z)
        out: Tensor = self.head(self.norm(z.mean(1)))
        return out


def _rows(seed: int) -> Batch:
    x, y = digits(seed)
    return (x,), y


def perceiver(_: int) -> Case:
    return Case(model=Perceiver(), draw=_rows, lr=2e-3, share=0.7)


KINDS = {f.__name__: f for f in (vit, deit3, swin, mixer, gmlp, convnext, convmixer, perceiver)}
