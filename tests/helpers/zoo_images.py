"""Small models that no rule was written for, by name: networks of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from zoo_parts import Forward, Made, Zoo, entry_of

__all__ = ["ZOO"]

ZOO: Zoo = {}
_entry = entry_of(ZOO)


def _images(channels: int = 3, side: int = 16) -> torch.Tensor:
    return torch.randn(8, channels, side, side)


def _block(a: int, b: int, **kwargs: Any) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False, **kwargs), nn.BatchNorm2d(b), nn.ReLU())


@_entry
def _unet() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        a = m.a(x)
        b = m.b(F.max_pool2d(a, 2))
        c = m.c(F.max_pool2d(b, 2))
        up = m.up2(torch.cat([m.up1(c), b], 1))
        return m.head(m.last(torch.cat([m.up0(up), a], 1)))

    layers = {
        "a": _block(3, 16),
        "b": _block(16, 32),
        "c": _block(32, 64),
        "up1": nn.ConvTranspose2d(64, 32, 2, stride=2),
        "up2": _block(64, 32),
        "up0": nn.ConvTranspose2d(32, 16, 2, stride=2),
        "last": _block(32, 16),
        "head": nn.Conv2d(16, 2, 1),
    }
    return Forward(forward, **layers), (_images(),)


@_entry
def _densenet() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.stem(x)
        for norm, conv in zip(m.norms, m.convs, strict=True):
            x = torch.cat([x, conv(F.relu(norm(x)))], 1)
        return m.head(F.relu(m.norm(x)).mean((2, 3)))

    widths = [16 + 8 * i for i in range(6)]
    layers = {
        "stem": nn.Conv2d(3, 16, 3, padding=1),
        "norms": nn.ModuleList(nn.BatchNorm2d(w) for w in widths),
        "convs": nn.ModuleList(nn.Conv2d(w, 8, 3, padding=1, bias=False) for w in widths),
        "norm": nn.BatchNorm2d(64),
        "head": nn.Linear(64, 10),
    }
    return Forward(forward, **layers), (_images(),)


@_entry
def _inception() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.stem(x)
        x = torch.cat([m.one(x), m.three(x), m.five(x), m.pool(F.max_pool2d(x, 3, 1, 1))], 1)
        return m.head(x.flatten(2).mean(-1))

    layers = {
        "stem": _block(3, 16),
        "one": nn.Sequential(nn.Conv2d(16, 8, 1), nn.ReLU()),
        "three": nn.Sequential(nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()),
        "five": nn.Sequential(nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 5, padding=2), nn.ReLU()),
        "pool": nn.Sequential(nn.Conv2d(16, 8, 1), nn.ReLU()),
        "head": nn.Linear(40, 10),
    }
    return Forward(forward, **layers), (_images(),)


class _Squeeze(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)
        self.activation = activation()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.up(self.activation(self.down(x.mean((2, 3), keepdim=True)))))


class _Inverted(nn.Module):
    """A mobile block: widen, depthwise, squeeze and excitation, narrow."""

    def __init__(self, width: int, activation: type[nn.Module]) -> None:
        super().__init__()
        wide = 4 * width
        self.widen = nn.Sequential(nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), activation())
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide), activation()
        )
        self.gate = _Squeeze(wide, activation)
        self.narrow = nn.Sequential(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.narrow(self.gate(self.depthwise(self.widen(x))))


@_entry
def _mobilenet() -> Made:
    blocks = [_Inverted(16, nn.Hardswish) for _ in range(3)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
    return nn.Sequential(_block(3, 16), *blocks, *head), (_images(),)


@_entry
def _efficientnet() -> Made:
    blocks = [_Inverted(16, nn.SiLU) for _ in range(3)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, 10)]
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), *blocks, *head), (_images(),)


@_entry
def _resnext() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.stem(x)
        for block in m.blocks:
            x = F.relu(x + block(x))
        return m.head(x.mean((2, 3)))

    def block() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(32, 32, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, 1, bias=False),
            nn.BatchNorm2d(32),
        )

    blocks = nn.ModuleList(block() for _ in range(4))
    return Forward(forward, stem=_block(3, 32), blocks=blocks, head=nn.Linear(32, 10)), (_images(),)


@_entry
def _squeezenet() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(m.stem(x))
        for fire in m.fires:
            small = F.relu(fire[0](x))
            x = torch.cat([F.relu(fire[1](small)), F.relu(fire[2](small))], 1)
        return F.adaptive_avg_pool2d(F.relu(m.head(x)), 1).flatten(1)

    def fire() -> nn.ModuleList:
        return nn.ModuleList([nn.Conv2d(32, 8, 1), nn.Conv2d(8, 16, 1), nn.Conv2d(8, 16, 3, padding=1)])

    fires = nn.ModuleList(fire() for _ in range(4))
    return Forward(forward, stem=nn.Conv2d(3, 32, 3), fires=fires, head=nn.Conv2d(32, 10, 1)), (_images(),)


@_entry
def _mixer() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.patches(x).flatten(2).transpose(1, 2)
        for n1, tokens, n2, channels in m.blocks:
            x = x + tokens(n1(x).transpose(1, 2)).transpose(1, 2)
            x = x + channels(n2(x))
        return m.head(m.norm(x).mean(1))

    def mlp(a: int, b: int) -> nn.Module:
        return nn.Sequential(nn.Linear(a, b), nn.GELU(), nn.Linear(b, a))

    blocks = nn.ModuleList(
        nn.ModuleList([nn.LayerNorm(32), mlp(16, 32), nn.LayerNorm(32), mlp(32, 64)]) for _ in range(4)
    )
    layers = {"patches": nn.Conv2d(3, 32, 4, stride=4), "blocks": blocks, "norm": nn.LayerNorm(32)}
    return Forward(forward, **layers, head=nn.Linear(32, 10)), (_images(),)


class _Standardised(nn.Conv2d):
    """Convolution with a standardised weight and a learned gain, as in NF-Nets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_channels, 1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        var, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        scale = torch.rsqrt((var * self.weight[0].numel()).clamp(min=1e-4)) * self.gain
        return F.conv2d(x, (self.weight - mean) * scale, self.bias, self.stride, self.padding)


@_entry
def _nfnet() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = m.stem(x)
        for first, second, alpha in zip(m.first, m.second, m.alphas, strict=True):
            x = x + 0.2 * alpha * second(F.relu(first(F.relu(x) * 1.7)) * 1.7)
        return m.head(F.relu(x).mean((2, 3)))

    layers = {
        "stem": _Standardised(3, 32, 3, padding=1),
        "first": nn.ModuleList(_Standardised(32, 32, 3, padding=1) for _ in range(4)),
        "second": nn.ModuleList(_Standardised(32, 32, 3, padding=1) for _ in range(4)),
        "alphas": nn.ParameterList(nn.Parameter(torch.zeros(())) for _ in range(4)),
        "head": nn.Linear(32, 10),
    }
    return Forward(forward, **layers), (_images(),)


@_entry
def _generator() -> Made:
    layers: list[nn.Module] = [nn.Linear(16, 64 * 4 * 4), nn.Unflatten(1, (64, 4, 4))]
    for a, b in ((64, 32), (32, 16)):
        layers += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(16, 3, 4, 2, 1), nn.Tanh()), (torch.randn(8, 16),)


@_entry
def _discriminator() -> Made:
    spectral = nn.utils.parametrizations.spectral_norm
    layers: list[nn.Module] = []
    for a, b in ((3, 16), (16, 32), (32, 64)):
        layers += [spectral(nn.Conv2d(a, b, 4, 2, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten(), spectral(nn.Linear(64 * 4, 1))), (_images(),)


@_entry
def _capsules() -> Made:
    class Capsules(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 32, 5)
            self.primary = nn.Conv2d(32, 32, 5, stride=2)
            self.weight = nn.Parameter(0.05 * torch.randn(5, 128, 8, 4))

        @staticmethod
        def squash(x: torch.Tensor) -> torch.Tensor:
            size = x.square().sum(-1, keepdim=True)
            return x * size.sqrt() / (1 + size)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            u = self.primary(F.relu(self.conv(x)))
            u = self.squash(u.view(len(x), 4, 8, -1).transpose(2, 3).reshape(len(x), -1, 8))
            votes = torch.einsum("bni,knij->bknj", u, self.weight[:, : u.shape[1]])
            logits = torch.zeros(votes.shape[:3])
            for _ in range(2):
                out = self.squash((logits.softmax(1)[..., None] * votes).sum(2))
                logits = logits + (votes * out[:, :, None]).sum(-1)
            return out.square().sum(-1).add(1e-8).sqrt()

    return Capsules(), (torch.randn(4, 1, 16, 16),)


@_entry
def _volumes() -> Made:
    layers = [nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(8, 16, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 2)), (
        torch.randn(4, 1, 8, 8, 8),
    )


@_entry
def _codebook() -> Made:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        z = m.encoder(x)
        nearest = torch.cdist(z, m.codes.weight).argmin(-1)
        found = m.codes(nearest)
        return m.decoder(z + (found - z).detach())

    layers = {
        "encoder": nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 8)),
        "codes": nn.Embedding(20, 8),
        "decoder": nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 12)),
    }
    return Forward(forward, **layers), (torch.randn(16, 12),)
