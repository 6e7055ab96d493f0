"""Norms that start wrong, or have nothing to go by."""

from __future__ import annotations

import torch
from check_posted_parts import POOL, Made, he, head, images, vectors
from torch import nn
from torch.nn import functional

__all__ = [
    "bn_gamma_tiny",
    "conditional_norm_zero_scale",
    "every_bn_gamma_zero",
    "group_norm_on_pooled",
    "layer_norm_of_one_column",
    "norm_gain_shift_swapped",
    "norm_gamma_drawn",
]


def norm_gamma_drawn(*, seed: int, sick: bool) -> Made:
    """LayerNorm gammas N(0, 0.02²) by an init that hits every weight."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for i in range(6):
        layers += [nn.Linear(32 if i == 0 else 64, 64, bias=False), nn.LayerNorm(64), nn.ReLU()]
    m = he(nn.Sequential(*layers, nn.Linear(64, 10)))
    head(m[-1])
    if sick:
        for p in m.modules():
            if isinstance(p, nn.LayerNorm):
                nn.init.normal_(p.weight, std=0.02)
                nn.init.normal_(p.bias, std=0.02)
    return m, (x,), y, None


class OwnNorm(nn.Module):
    def __init__(self, d: int, *, swapped: bool) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.zeros(d) if swapped else torch.ones(d))
        self.b = nn.Parameter(torch.ones(d) if swapped else torch.zeros(d))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        c = x - x.mean(-1, keepdim=True)
        return self.g * c / torch.sqrt(c.pow(2).mean(-1, keepdim=True) + 1e-5) + self.b


def norm_gain_shift_swapped(*, seed: int, sick: bool) -> Made:
    """Gain 0 and shift 1, swapped: the norm gives ones whatever comes in."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = nn.Sequential(
        nn.Linear(32, 64),
        OwnNorm(64, swapped=sick),
        nn.ReLU(),
        nn.Linear(64, 64),
        OwnNorm(64, swapped=sick),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    he(m)
    head(m[-1])
    return m, (x,), y, None


def conditional_norm_zero_scale(*, seed: int, sick: bool) -> Made:
    """Conditional norm: scale and shift layers zero, and the one added nowhere: every norm gives 0."""

    class Cond(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.out = nn.Linear(32, 64), nn.Linear(64, 64), nn.Linear(64, 10)
            self.scales = nn.ModuleList(nn.Linear(8, 64) for _ in range(2))
            self.shifts = nn.ModuleList(nn.Linear(8, 64) for _ in range(2))
            he(self)
            head(self.out)
            for s, b in zip(self.scales, self.shifts, strict=False):
                nn.init.zeros_(s.weight)
                nn.init.constant_(s.bias, 0.0 if sick else 1.0)
                nn.init.zeros_(b.weight)

        def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
            for layer, s, b in zip((self.first, self.second), self.scales, self.shifts, strict=False):
                x = functional.layer_norm(layer(x), (64,)) * s(c) + b(c)
                x = functional.relu(x)
            return self.out(x)

    x, y = vectors(seed)
    torch.manual_seed(seed)
    return Cond(), (x, torch.randn(POOL, 8)), y, None


def every_bn_gamma_zero(*, seed: int, sick: bool) -> Made:
    """Every BatchNorm's gamma at 0 in a plain stack, not only the last of a branch."""
    x, y = images(seed)
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for i in range(4):
        layers += [
            nn.Conv2d(3 if i == 0 else 24, 24, 3, 2 if i < 2 else 1, 1, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(),
        ]
    m = he(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10)))
    if sick:
        for p in m.modules():
            if isinstance(p, nn.BatchNorm2d):
                nn.init.zeros_(p.weight)
    return m, (x,), y, None


def bn_gamma_tiny(*, seed: int, sick: bool) -> Made:
    """BatchNorm gammas N(0, 0.002²) in every layer."""
    x, y = images(seed)
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for i in range(4):
        layers += [
            nn.Conv2d(3 if i == 0 else 24, 24, 3, 2 if i < 2 else 1, 1, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(),
        ]
    m = he(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10)))
    if sick:
        nn.init.normal_(m[-1].weight, std=0.002)
        for p in m.modules():
            if isinstance(p, nn.BatchNorm2d):
                nn.init.normal_(p.weight, std=0.002)
                nn.init.normal_(p.bias, std=0.002)
    return m, (x,), y, None


def layer_norm_of_one_column(*, seed: int, sick: bool) -> Made:
    """LayerNorm over a dimension of one column: the output is 0 for every input."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    a, b, c = nn.Linear(32, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.norm = a, b, c, nn.LayerNorm(1 if sick else 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = functional.relu(self.a(x))
            h = self.norm(h.unsqueeze(-1)).squeeze(-1) if sick else self.norm(h)
            return self.c(functional.relu(self.b(h)))

    m = he(Net())
    head(m.c)
    return m, (x,), y, None


def group_norm_on_pooled(*, seed: int, sick: bool) -> Made:
    """GroupNorm with as many groups as channels after global pooling: every number is its own mean."""
    x, y = images(seed)
    torch.manual_seed(seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(32, 32, 3, 2, 1)
            self.norm, self.c = nn.GroupNorm(32, 32) if sick else nn.GroupNorm(4, 32), nn.Linear(32, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = functional.relu(self.b(functional.relu(self.a(x)))).mean((2, 3), keepdim=True)
            return self.c(self.norm(h).flatten(1))

    m = he(Net())
    return m, (x,), y, None
