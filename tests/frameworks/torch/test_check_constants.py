"""Constants of a forward pass are not blamed on weights: waves of places, states that are nothing yet."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fanin.torch as ft

LENGTH, WIDTH = 5, 8


class Waves(nn.Module):
    """Bounded functions of places, added to features; the places may be learned ones."""

    def __init__(self, *, learned: bool) -> None:
        super().__init__()
        self.enter, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)
        self.rates = nn.Parameter(torch.full((WIDTH,), 9.0)) if learned else torch.full((WIDTH,), 9.0)

    def forward(self, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        waves = torch.tanh((1 + places).float().unsqueeze(-1) * self.rates)
        return self.out(torch.relu(self.enter(x) + waves))


def codes(model: nn.Module, *batch: torch.Tensor) -> set[str]:
    return {finding.code for finding in ft.check(model, *batch).findings}


def test_waves_of_places_have_no_units_that_saturate() -> None:
    torch.manual_seed(0)
    batch = torch.randn(16, LENGTH, WIDTH), torch.arange(LENGTH).expand(16, LENGTH)
    assert "FAN105" not in codes(Waves(learned=False), *batch)
    assert "FAN105" in codes(Waves(learned=True), *batch)


class Largest(nn.Module):
    """The largest key so far, from a state that stands for nothing yet, as in RWKV."""

    def __init__(self, start: float, scale: float) -> None:
        super().__init__()
        self.key, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)
        self.start, self.scale = start, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keys = self.key(x) * self.scale
        state = torch.zeros_like(keys[:, 0]) + self.start
        kept = []
        for turn in range(x.shape[1]):
            after = torch.maximum(state, keys[:, turn])
            kept.append(torch.where(keys[:, turn] > 1e9, self.start, state - after).sort(-1).values)
            state = after
        return self.out(torch.exp(torch.stack(kept, 1)))


@pytest.mark.parametrize(("start", "scale", "found"), [(-1e38, 1.0, False), (0.0, 6e37, True)])
def test_a_number_that_the_code_puts_there_is_no_overflow(start: float, scale: float, found: bool) -> None:
    torch.manual_seed(0)
    assert ("FAN112" in codes(Largest(start, scale), torch.randn(16, LENGTH, WIDTH))) is found
