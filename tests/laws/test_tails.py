"""Tails of the tests that weights are put to."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fanin.errors import InputError
from fanin.laws.tails import chi_square_tails, distance_tail, mean_tail, spread_tail


@pytest.mark.parametrize("degrees", [0.5, 1.0, 2.0, 7.3, 100.0, 9_999.0, 1e4 + 1, 1e6])
@pytest.mark.parametrize("z", [-7.0, -3.0, -0.5, 0.0, 0.5, 3.0, 7.0])
def test_chi_square_is_scipys(degrees: float, z: float) -> None:
    value = max(degrees + z * math.sqrt(2.0 * degrees), 0.01 * degrees)
    lower, upper = chi_square_tails(value, degrees)
    # Beyond 10^4 degrees a cube root stands for the series.
    close = 1e-8 if degrees <= 1e4 else 1e-2
    assert lower == pytest.approx(stats.chi2.cdf(value, degrees), rel=close, abs=1e-300)
    assert upper == pytest.approx(stats.chi2.sf(value, degrees), rel=close, abs=1e-300)


def test_ends_and_what_is_out_of_range() -> None:
    assert chi_square_tails(0.0, 3.0) == (0.0, 1.0)
    assert chi_square_tails(1e308, 3.0)[1] == 0.0
    with pytest.raises(InputError, match="out of range"):
        chi_square_tails(-1.0, 3.0)
    with pytest.raises(InputError, match="out of range"):
        chi_square_tails(1.0, 0.0)


@pytest.mark.parametrize(
    ("law", "kurtosis"),
    [("normal", 3.0), ("uniform", 1.8)],
)
@pytest.mark.parametrize("count", [2, 5, 30, 400])
def test_a_spread_is_not_called_odd_more_often_than_stated(law: str, kurtosis: float, count: int) -> None:
    generator = np.random.default_rng(7)
    runs = 20_000
    x = (
        generator.standard_normal((runs, count))
        if law == "normal"
        else generator.uniform(-(3**0.5), 3**0.5, (runs, count))
    )
    tails = [spread_tail(float(r), count, kurtosis) for r in (x**2).mean(axis=1)]
    for level in (0.1, 0.01, 0.001):
        odd = sum(p < level for p in tails)
        # Binomial with that rate, six standard deviations.
        assert odd <= runs * level + 6.0 * math.sqrt(runs * level) + 1.0, level


def test_a_wrong_spread_is_found() -> None:
    assert spread_tail(1.1, 10_000, 3.0) < 1e-9
    assert spread_tail(0.9, 10_000, 1.8) < 1e-9
    assert spread_tail(0.0, 10, 3.0) == 0.0
    assert spread_tail(5.0, 0, 3.0) == spread_tail(5.0, 10, 1.0) == 1.0


def test_means_and_distances() -> None:
    assert mean_tail(1.0, 1.0, 1) == pytest.approx(2.0 * stats.norm.sf(1.0))
    assert mean_tail(0.0, 0.0, 3) == 1.0
    assert mean_tail(0.1, 0.0, 3) == 0.0
    assert distance_tail(0.0, 10) == 1.0
    x = np.sort(np.random.default_rng(3).random(2000))
    distance = float(np.abs(np.arange(1, 2001) / 2000 - x).max())
    assert distance_tail(distance, 2000) > 0.01
    assert distance_tail(0.1, 2000) < 1e-9
