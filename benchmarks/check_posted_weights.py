"""Scales that were typed wrong, and fans that were counted wrong."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from check_posted_parts import Made, chain, he, head, images, mlp, vectors
from torch import nn
from torch.nn import functional

__all__ = [
    "biases_below_zero",
    "critic_clipped",
    "deepspeech_small_std",
    "depthwise_fan_out",
    "experts_three_dims",
    "grouped_fan_of_all",
    "makemore_randn",
    "resnet_without_norms",
    "transposed_fan",
    "typo_02_for_002",
    "weight_norm_g_one",
    "xavier_missing_brackets",
]


def _plain_convs(
    depth: int = 6, ch: int = 32, groups: int = 1, act: Callable[[], nn.Module] = lambda: nn.LeakyReLU(0.2)
) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, ch, 3, 2, 1), act()]
    for _ in range(depth - 1):
        layers += [nn.Conv2d(ch, ch, 3, 1, 1, groups=groups), act()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ch, 10))


def typo_02_for_002(*, seed: int, sick: bool) -> Made:
    """All weights N(0, 0.2²), meant 0.02: power grows some 11-fold a layer."""
    x, y = images(seed)
    torch.manual_seed(seed)
    m = he(_plain_convs())
    head(m[-1])
    if sick:
        for p in m.modules():
            if isinstance(p, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(p.weight, std=0.2)
    return m, (x,), y, None


def xavier_missing_brackets(*, seed: int, sick: bool) -> Made:
    """Std = √(2/fan_in + fan_out): missing brackets make every weight some 100 times too large."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(mlp(4, act=nn.Tanh), gain=1.0)
    head(m[-1])
    if sick:
        for p in m.modules():
            if isinstance(p, nn.Linear):
                nn.init.normal_(p.weight, std=math.sqrt(2.0 / p.in_features + p.out_features))
    return m, (x,), y, None


def depthwise_fan_out(*, seed: int, sick: bool) -> Made:
    """Depthwise kernels drawn with fan_out = 9·C: too small by √C in every block."""
    x, y = images(seed)
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 2, 1), nn.ReLU()]
    for _ in range(6):
        layers += [
            nn.Conv2d(64, 64, 3, 1, 1, groups=64, bias=False),
            nn.ReLU(),
            nn.Conv2d(64, 64, 1, bias=False),
            nn.ReLU(),
        ]
    m = he(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)))
    head(m[-1])
    if sick:
        for p in m.modules():
            if isinstance(p, nn.Conv2d):
                nn.init.kaiming_normal_(p.weight, mode="fan_out", nonlinearity="relu")
    return m, (x,), y, None


def grouped_fan_of_all(*, seed: int, sick: bool) -> Made:
    """Grouped kernels drawn with the fan of all channels: too narrow by √groups."""
    x, y = images(seed)
    torch.manual_seed(seed)
    m = he(_plain_convs(10, 64, groups=16, act=nn.ReLU))
    head(m[-1])
    if sick:
        for p in m.modules():
            if isinstance(p, nn.Conv2d) and p.groups > 1:
                s = 1 / math.sqrt(p.in_channels * 9)
                nn.init.uniform_(p.weight, -s, s)
    return m, (x,), y, None


def makemore_randn(*, seed: int, sick: bool) -> Made:
    """W1 and W2 from randn, as in a first character model: tanh in its flat ends, a confident wrong head."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.C = nn.Embedding(27, 10)
            s1, s2 = (1.0, 1.0) if sick else (1 / math.sqrt(30), 0.1 / math.sqrt(200))
            self.W1, self.b1 = nn.Parameter(torch.randn(30, 200) * s1), nn.Parameter(torch.zeros(200))
            self.W2, self.b2 = nn.Parameter(torch.randn(200, 27) * s2), nn.Parameter(torch.zeros(27))

        def forward(self, t: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.C(t).flatten(1) @ self.W1 + self.b1) @ self.W2 + self.b2

    x, y = chain(seed, 27, 3)
    torch.manual_seed(seed)
    return Net(), (x,), y[:, -1], None


def transposed_fan(*, seed: int, sick: bool) -> Made:
    """Products x @ w, drawn by a fan_in that reads w as (out, in): ever narrower layers get too much."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = (1024, 128, 16, 10)
            self.w = nn.ParameterList(nn.Parameter(torch.empty(a, b)) for a, b in itertools.pairwise(sizes))
            for p in self.w:
                if sick:
                    nn.init.kaiming_normal_(p)
                else:
                    nn.init.normal_(p, std=math.sqrt(2 / p.shape[0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for p in self.w[:-1]:
                x = functional.relu(x @ p)
            return x @ self.w[-1]

    x, y = vectors(seed, width=1024)
    torch.manual_seed(seed)
    return Net(), (x,), y, None


def experts_three_dims(*, seed: int, sick: bool) -> Made:
    """Expert weights (E, in, out) in one tensor, kaiming on three dimensions: fan in·out."""

    class Moe(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.w = nn.Linear(64, 4), nn.Parameter(torch.empty(4, 64, 64))
            if sick:
                nn.init.kaiming_normal_(self.w)
            else:
                nn.init.normal_(self.w, std=math.sqrt(2 / 64) * 1.6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            p = self.gate(x).softmax(-1)
            return functional.relu(torch.einsum("be,bei->bi", p, torch.einsum("bi,eio->beo", x, self.w)))

    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), *[Moe() for _ in range(4)], nn.Linear(64, 10))
    he(m)
    head(m[-1])
    return m, (x,), y, None


def biases_below_zero(*, seed: int, sick: bool) -> Made:
    """Biases far below zero: every ReLU is off from the start."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(mlp(3))
    head(m[-1])
    if sick:
        for p in list(m)[:-1]:
            if isinstance(p, nn.Linear):
                nn.init.constant_(p.bias, -5.0)
    return m, (x,), y, None


def weight_norm_g_one(*, seed: int, sick: bool) -> Made:
    """Weight norm with g = 1 and no data-dependent start: half the power is lost a ReLU layer."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(mlp(16))
    head(m[-1])
    for p in list(m)[:-1]:
        if isinstance(p, nn.Linear):
            nn.utils.parametrizations.weight_norm(p)
            with torch.no_grad():
                p.parametrizations.weight.original0.fill_(1.0 if sick else math.sqrt(2.0))
    return m, (x,), y, None


def resnet_without_norms(*, seed: int, sick: bool) -> Made:
    """Residual network without norms, branches at full He gain: power doubles a block."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(24, 24, 3, 1, 1), nn.Conv2d(24, 24, 3, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.b(functional.relu(self.a(functional.relu(x))))

    x, y = images(seed, size=8)
    torch.manual_seed(seed)
    m = he(
        nn.Sequential(
            nn.Conv2d(3, 24, 3, 1, 1),
            *[Block() for _ in range(16)],
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, 10),
        )
    )
    head(m[-1])
    if not sick:
        for p in m.modules():
            if isinstance(p, Block):
                p.b.weight.data *= 0.1
    return m, (x,), y, None


def deepspeech_small_std(*, seed: int, sick: bool) -> Made:
    """N(0, 0.0047²) in a stack of clipped ReLUs: the signal is gone."""
    x, y = vectors(seed)
    torch.manual_seed(seed)
    m = he(mlp(5, act=lambda: nn.Hardtanh(0.0, 20.0)))
    head(m[-1])
    if sick:
        for p in m.modules():
            if isinstance(p, nn.Linear):
                nn.init.normal_(p.weight, std=0.0047)
    return m, (x,), y, None


def critic_clipped(*, seed: int, sick: bool) -> Made:
    """Weights clipped to ±0.01 before the first step, as a Wasserstein critic's are."""
    x, y = images(seed)
    torch.manual_seed(seed)
    m = he(_plain_convs(5))
    m[-1] = nn.Linear(32, 1)
    he(m)
    if sick:
        for p in m.parameters():
            p.data.clamp_(-0.01, 0.01)
    return m, (x,), (y < 5).float().unsqueeze(1), functional.binary_cross_entropy_with_logits
