"""Bands against many draws of the weights: how often a network's power lies where 95 % should."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import fanin.torch

SIGMAS = 6.1  # of a normal law: false alarm 1e-9
DRAWS = 150
LEAST = 0.9
"""Share of draws that a band of 95 % must hold in truth: laws of infinite width have errors of their own."""
UNSTABLE = {"silu": 0.7, "attention": 0.8}
"""SiLU's fixed point is unstable: the mean of ln q wanders by a standard deviation in eight layers.
Attention's law is approximate, and its own error counts beside so little luck."""


def mlp(activation: Callable[[], nn.Module], depth: int = 8, width: int = 64) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(width, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def convolutions() -> nn.Sequential:
    layers: list[nn.Module] = []
    for k in range(4):
        layers += [nn.Conv2d(24 if k else 3, 24, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(24 * 64, 10))


class Residual(nn.Module):
    """A stream with branches that end in weights of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ModuleList([nn.Linear(64, 64) for _ in range(6)])
        self.second = nn.ModuleList([nn.Linear(64, 64) for _ in range(6)])
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for first, second in zip(self.first, self.second, strict=True):
            x = x + second(torch.relu(first(x)))
        return self.head(x)  # type: ignore[no-any-return]


class Normed(nn.Module):
    """A norm before every layer but the first: it forgets all luck before it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in range(6)])
        self.norm = nn.LayerNorm(64)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(self.norm(layer(x)))
        return self.head(x)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Values averaged with weights that scores make."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(64, 64) for _ in range(4))
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.query(x) @ self.key(x).transpose(1, 2) / 8.0
        return self.head(x + self.out(scores.softmax(-1) @ self.value(x)))  # type: ignore[no-any-return]


def flat() -> torch.Tensor:
    return torch.randn(32, 64)


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], torch.Tensor], float, str]] = {
    # Network, batch, variance of a weight times its fan in, and the module whose output is looked at.
    "relu": (lambda: mlp(nn.ReLU), flat, 2.0, "15"),
    "leaky": (lambda: mlp(lambda: nn.LeakyReLU(0.3)), flat, 2.0 / 1.09, "15"),
    "tanh": (lambda: mlp(nn.Tanh), flat, 1.5, "15"),
    "gelu": (lambda: mlp(nn.GELU), flat, 1.8, "15"),
    "silu": (lambda: mlp(nn.SiLU), flat, 1.8, "15"),
    "conv": (convolutions, lambda: torch.randn(8, 3, 8, 8), 2.0, "7"),
    "residual": (Residual, flat, 1.0, "second.5"),
    "layer norm": (Normed, flat, 1.5, "layers.5"),
    "attention": (Attention, lambda: torch.randn(8, 16, 64), 1.0, "out"),
}


def redraw(model: nn.Module, gain: float, *, exact: bool = False) -> None:
    """Normal weights; with `exact`, of that very second moment, as the law means them."""
    for m in model.modules():
        if isinstance(m, nn.Linear | nn.Conv2d):
            power = gain / m.weight[0].numel()
            nn.init.normal_(m.weight, std=math.sqrt(power))
            nn.init.zeros_(m.bias)
            if exact:
                m.weight.data *= math.sqrt(power / float(m.weight.detach().square().mean()))


def scores(name: str, draws: int) -> np.ndarray:
    """Distance of ``ln q`` from its law, in standard deviations of luck, for every draw."""
    make, batch, gain, path = CASES[name]
    torch.manual_seed(0)
    model, x = make(), batch()
    redraw(model, gain, exact=True)
    law = [p for p in fanin.torch.predict(model, x, policy=None).nodes if p.module == path][-1]
    powers: list[float] = []
    watched = model.get_submodule(path)
    watched.register_forward_hook(lambda _, __, out: powers.append(float(out.square().mean())))
    with torch.no_grad():
        for seed in range(draws):
            torch.manual_seed(seed + 1)
            redraw(model, gain)
            model(x)
    return (np.log(np.array(powers) / law.power) - law.shift) / law.spread  # type: ignore[no-any-return]


def check(z: np.ndarray, share: float = LEAST) -> None:
    """Raise where the band is too narrow, or three times too wide."""
    held = float((np.abs(z) < 1.96).mean())
    least = share - SIGMAS * math.sqrt(share * (1.0 - share) / len(z))
    if held < least:
        raise AssertionError(f"the band holds {held:.1%} of the draws, not {least:.1%}")
    if z.std() < 1.0 / 3.0:
        raise AssertionError(f"the band is {1.0 / z.std():.1f} times too wide")


@pytest.mark.parametrize("name", CASES)
def test_the_band_of_95_percent_holds_so_many_draws(name: str) -> None:
    check(scores(name, DRAWS), UNSTABLE.get(name, LEAST))


def test_a_band_of_half_the_width_or_of_four_times_would_be_seen() -> None:
    z = np.random.default_rng(0).standard_normal(DRAWS)
    check(z)
    for factor, word in ((2.0, "holds"), (0.25, "too wide")):
        with pytest.raises(AssertionError, match=word):
            check(factor * z)
