"""What the probe takes from samples of large tensors, and what it does not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fanin.torch import statistics, tensors
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
    dense[50] = math.nan  # between two runs
    assert math.isfinite(statistics.estimated_squares(dense))  # what it says it does not see
    assert not statistics.numbers(dense, [0], exact=True)[0].finite


def test_neighbours_that_are_alike_count_as_one() -> None:
    generator = torch.Generator().manual_seed(0)
    # Equal in groups of 64: the sample holds 4,096 numbers of their own, whose squares have a relative
    # variance of 2: a standard error of 2.2 %.
    x = torch.randn(10_000, generator=generator).repeat_interleave(64)
    true = float(x.double().square().sum())
    assert statistics.estimated_squares(x) == pytest.approx(true, rel=6 * math.sqrt(2 / 4096))
    # Behind a ReLU that is 3.5 %, more than is promised: all elements count.
    half = x.relu()
    assert statistics.estimated_squares(half) == pytest.approx(float(half.double().square().sum()), rel=1e-5)


@pytest.mark.parametrize("columns", [1024, 300, 97])
def test_runs_see_every_column(columns: int) -> None:
    x = torch.arange(columns).repeat(4096)  # a run a row: all at its beginning, were they in step
    seen = statistics.runs(x, 16_384)
    assert seen.numel() == pytest.approx(16_384, rel=0.01)
    assert len(seen.unique()) == columns


@pytest.mark.parametrize("std", [1e-30, 1e-3, 1e25])
def test_moments_of_parameters_of_any_size(std: float) -> None:
    x = torch.randn(512, 1024, generator=torch.Generator().manual_seed(0)) * std
    mean, found, largest, finite = tensors._moments(x)
    # 262,144 numbers: a standard error of 1 / 512 in the mean, of 1 / sqrt(2 * 262,144) in the std.
    assert abs(mean) < 6 * std / 512
    assert found == pytest.approx(std, rel=6 / math.sqrt(2 * 262_144))
    assert finite
    assert largest == float(x.abs().amax())
    shifted = tensors._moments(x + 1000 * std)
    assert shifted[1] == pytest.approx(found, rel=1e-3)  # float32 keeps 1 in 10,000 of it beside the mean


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
