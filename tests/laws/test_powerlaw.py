"""Exponents of power laws, and how sure they are."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from fanin.errors import InputError
from fanin.laws.powerlaw import PowerLaw, power_law

Z = NormalDist().inv_cdf(1 - 1e-9 / 2)


def test_the_fit_is_numpys() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat([64.0, 128.0, 512.0], 4)
    y = 3.0 * x**0.7 * np.exp(0.1 * rng.standard_normal(12))
    (slope, _), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    found = power_law(list(x), list(y))
    assert found.exponent == pytest.approx(slope, rel=1e-9)
    assert found.error == pytest.approx(math.sqrt(covariance[0, 0]), rel=1e-9)
    assert found.count == 12


def test_the_error_is_that_of_repeated_fits() -> None:
    rng = np.random.default_rng(1)
    x = np.repeat([1.0, 2.0, 4.0, 8.0], 3)
    fits = [power_law(list(x), list(x**0.5 * np.exp(rng.standard_normal(12)))) for _ in range(2000)]
    slopes = np.array([f.exponent for f in fits])
    errors = np.array([f.error for f in fits])
    spread = float(slopes.std())
    # A std of 2,000 fits is known to 1 / sqrt(4,000); the mean square of errors with 10 degrees to less.
    assert abs(float(np.sqrt((errors**2).mean())) / spread - 1.0) < Z * math.sqrt(
        1 / 4000 + 2 / 10 / 4 / 2000
    )
    assert abs(slopes.mean() - 0.5) < Z * spread / math.sqrt(2000)


def test_z_without_an_error() -> None:
    assert PowerLaw(exponent=0.0, error=0.0, count=3).z == 0.0
    assert PowerLaw(exponent=-1.0, error=0.0, count=3).z == -math.inf


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1, 2], [1, 2]),
        ([1, 2, 3], [1, 2]),
        ([1, 2, 0], [1, 2, 3]),
        ([1, 2, 3], [1, -2, 3]),
        ([2, 2, 2], [1, 2, 3]),
    ],
)
def test_what_has_no_power_law(x: list[float], y: list[float]) -> None:
    with pytest.raises(InputError, match="No power law"):
        power_law(x, y)
