"""Streams as statistics: moments, tails, bins and independence, at a false-alarm rate of 1e-9 each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from fanin.records.draw import Normal, Uniform
from fanin.sampling.engine import generate

COUNT = 1 << 22
LIMIT = float(stats.norm.isf(0.5e-9))
"""Standard deviations that a normal statistic exceeds, either way, once in 1e9."""


def normals() -> NDArray[np.float64]:
    return generate(Normal(std=1.0), (COUNT,), seed=11, name="moments").astype(np.float64)


def check_moments(z: NDArray[np.float64]) -> None:
    """Raise unless the first six moments are those of N(0, 1)."""
    for order in range(1, 7):
        exact = 0.0 if order % 2 else float(math.prod(range(1, order, 2)))
        variance = float(math.prod(range(1, 2 * order, 2))) - exact**2
        distance = abs(float((z**order).mean()) - exact) / math.sqrt(variance / z.size)
        assert distance < LIMIT, f"moment {order} is {distance:.1f} standard errors away"


def check_tail(z: NDArray[np.float64], beyond: float) -> None:
    """Raise unless the number of values beyond a bound is Poisson's."""
    expected = 2.0 * stats.norm.sf(beyond) * z.size
    got = int((np.abs(z) > beyond).sum())
    assert stats.poisson.sf(got - 1, expected) > 0.5e-9
    assert stats.poisson.cdf(got, expected) > 0.5e-9


def test_moments() -> None:
    check_moments(normals())


@pytest.mark.parametrize("beyond", [2.0, 3.0, 4.0, 4.5])
def test_tails(beyond: float) -> None:
    check_tail(normals(), beyond)


def test_these_checks_can_fail() -> None:
    z = normals()
    with pytest.raises(AssertionError, match="moment 2"):
        check_moments(z * 1.005)
    with pytest.raises(AssertionError, match="moment 1"):
        check_moments(np.abs(z))
    with pytest.raises(AssertionError):
        check_tail(np.clip(z, -3.9, 3.9), 4.0)


def test_equiprobable_bins() -> None:
    bins = 1 << 12
    place = (stats.norm.cdf(normals()) * bins).astype(np.int64)
    counts = np.bincount(place, minlength=bins)
    chi = ((counts - COUNT / bins) ** 2).sum() / (COUNT / bins)
    assert stats.chi2.sf(chi, bins - 1) > 0.5e-9
    assert stats.chi2.cdf(chi, bins - 1) > 0.5e-9


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 16, 128, 65536])
def test_elements_do_not_correlate(lag: int) -> None:
    z = normals()
    products = z[lag:] * z[:-lag]
    assert abs(products.mean()) * math.sqrt(products.size) < LIMIT


def test_neighbouring_seeds_and_names_do_not_correlate() -> None:
    # The first 64 elements of 2048 streams: seeds in order, then names that differ in one digit.
    by_seed = np.stack([generate(Normal(std=1.0), (64,), seed=s, name="w") for s in range(2048)])
    by_name = np.stack([generate(Normal(std=1.0), (64,), seed=0, name=f"w{s}") for s in range(2048)])
    for table in (by_seed.astype(np.float64), by_name.astype(np.float64)):
        check_moments(table.reshape(-1))
        products = table[1:] * table[:-1]
        assert abs(products.mean()) * math.sqrt(products.size) < LIMIT
        # First elements alone, over the streams.
        assert stats.kstest(table[:, 0], "norm").pvalue > 1e-9


def test_uniform_moments() -> None:
    u = generate(Uniform(low=-1.0, high=1.0), (COUNT,), seed=11, name="u").astype(np.float64)
    assert abs(u.mean()) < LIMIT / math.sqrt(3.0 * COUNT)
    # Var(u**2) = 1/5 - 1/9
    assert abs((u**2).mean() - 1.0 / 3.0) < LIMIT * math.sqrt((1.0 / 5.0 - 1.0 / 9.0) / COUNT)
    assert stats.kstest(u[: 1 << 16], stats.uniform(-1, 2).cdf).pvalue > 1e-9
