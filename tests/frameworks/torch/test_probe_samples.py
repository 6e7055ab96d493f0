"""What the probe takes from samples of large tensors, and what it does not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fanin.torch import statistics
from fanin.torch.probe import measure


def test_estimated_squares_keep_their_word() -> None:
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(400_000, generator=generator)
    half = dense.relu()
    # One row in two hundred has a gradient: spaced elements would say little.
    sparse = torch.zeros(2000, 400)
    sparse[::200] = torch.randn(10, 400, generator=generator)
    for x, exact in ((dense, False), (half, False), (sparse, True), (torch.zeros(400_000), True)):
        true = float(x.double().square().sum())
        # Six standard errors of 3 % are passed once in 1e9 times.
        assert statistics.estimated_squares(x) == pytest.approx(true, rel=1e-5 if exact else 0.18)
        if not exact:
            assert statistics.estimated_squares(x) != pytest.approx(true, rel=1e-7)
    dense[7] = math.nan
    assert math.isfinite(statistics.estimated_squares(dense))  # what it says it does not see
    assert not statistics.numbers(dense, [0], exact=True)[0].finite


def test_a_nan_in_what_is_overwritten_is_found_where_it_is() -> None:
    class Holed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(6, 600)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(x)
            y = torch.where(torch.arange(y.numel()).view_as(y) == 12345, math.nan, y) * 1.0
            y += 1.0
            return y

    _, trace = measure(Holed(), torch.randn(1024, 6, generator=torch.Generator().manual_seed(7)))
    bad = [m for m in trace.measurements if not m.finite]
    assert bad
    assert bad[0].node < max(m.node for m in trace.measurements)


def test_large_layers_lose_no_dead_unit() -> None:
    x = torch.randn(64, 32, 16, 16, generator=torch.Generator().manual_seed(0))
    x[:, 3] = -1.0
    x[:, 5] = -1.0
    x[63, 5, 7, 7] = 1.0  # fires once in 16,384 observations, in none that is looked at first
    assert statistics.dead_share(x, [1])[1] == 1 / 32
    assert statistics.dead_share(x.movedim(1, -1), [3])[3] == 1 / 32


def test_a_whole_whose_part_is_overwritten_is_measured_before() -> None:
    class Gates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(6, 12)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            whole = self.first(x)
            right = whole[:, 6:]
            right.mul_(100.0)
            return whole[:, :6] + right

    model, x = Gates(), torch.randn(64, 6, generator=torch.Generator().manual_seed(7))
    _, trace = measure(model, x)
    found = next(m for m in trace.measurements if m.module == "first")
    assert found.power == pytest.approx(model.first(x).square().mean().item(), rel=1e-5)
