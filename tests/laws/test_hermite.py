from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from fanin.errors import InputError
from fanin.laws.hermite import expand
from fanin.laws.quadrature import NODES, gaussian_correlation, gaussian_derivative_second_moment

Array = NDArray[np.float64]


def gelu(z: Array) -> Array:
    return z * np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in z])


RELU, TANH, GELU = np.maximum(NODES, 0.0), np.tanh(NODES), gelu(NODES)


@pytest.mark.parametrize("c", [-0.9, -0.5, 0.0, 0.3, 0.9, 1.0])
def test_pairs_of_relu_are_the_arc_cosine_kernels(c: float) -> None:
    relu = expand(RELU)
    angle = math.acos(c)
    assert relu.pair(c) == pytest.approx((math.sin(angle) + (math.pi - angle) * c) / (2 * math.pi), abs=2e-5)
    # The step's series ends slowly: its last term stands for all the others.
    assert relu.slope_pair(c) == pytest.approx((math.pi - angle) / (2 * math.pi), abs=5e-3)


@pytest.mark.parametrize("values", [TANH, GELU], ids=["tanh", "gelu"])
@pytest.mark.parametrize("variance", [0.1, 1.0, 6.0])
def test_pairs_of_smooth_functions_agree_with_the_two_dimensional_rule(
    values: Array, variance: float
) -> None:
    found = expand(values, variance=variance)
    for c in (-0.7, 0.2, 0.8, 0.99):
        assert found.pair(c) == pytest.approx(gaussian_correlation(values, variance, c), rel=1e-5, abs=1e-8)
    assert found.slope_power == pytest.approx(gaussian_derivative_second_moment(values, variance), rel=1e-9)


def test_moments_around_a_mean_against_simulation() -> None:
    rng = np.random.default_rng(3)
    n, c, mean, variance = 400_000, 0.6, 0.7, 1.9
    shared, a, b = rng.standard_normal((3, n))
    u, v = (mean + math.sqrt(variance) * (math.sqrt(c) * shared + math.sqrt(1 - c) * x) for x in (a, b))
    found = expand(TANH, mean=mean, variance=variance)
    for law, seen in (
        (found.mean, np.tanh(u)),
        (found.power, np.tanh(u) ** 2),
        (found.fourth, np.tanh(u) ** 4),
        (found.pair(c), np.tanh(u) * np.tanh(v)),
        (found.square_pair(c), np.tanh(u) ** 2 * np.tanh(v) ** 2),
        (found.slope, 1 - np.tanh(u) ** 2),
        (found.slope_fourth, (1 - np.tanh(u) ** 2) ** 4),
    ):
        # 6.1 standard errors: false alarm 1e-9.
        assert abs(law - seen.mean()) < 6.1 * seen.std() / math.sqrt(n)


@pytest.mark.parametrize("values", [RELU, TANH, GELU], ids=["relu", "tanh", "gelu"])
def test_growth_is_the_slope_of_the_logarithm(values: Array) -> None:
    step = 1e-4
    low, middle, high = (expand(values, variance=2.0 * math.exp(k * step)) for k in (-1, 0, 1))
    assert middle.growth == pytest.approx(math.log(high.power / low.power) / (2 * step), rel=1e-5, abs=1e-7)
    bend = math.log(high.slope_power / low.slope_power) / (2 * step)
    assert middle.slope_growth == pytest.approx(bend, rel=1e-4, abs=1e-6)


def test_of_a_constant_input_nothing_is_left_but_the_value() -> None:
    found = expand(TANH, mean=0.5, variance=0.0)
    assert found.power == pytest.approx(math.tanh(0.5) ** 2)
    assert found.mean == pytest.approx(math.tanh(0.5))


@pytest.mark.parametrize(("mean", "variance"), [(math.nan, 1.0), (0.0, -1.0), (0.0, math.inf)])
def test_inputs_without_moments_are_refused(mean: float, variance: float) -> None:
    with pytest.raises(InputError, match="has no moments"):
        expand(TANH, mean=mean, variance=variance)


def test_correlations_beyond_1_are_refused() -> None:
    for call in (lambda e: e.pair(1.1), lambda e: e.slope_pair(-1.1)):
        typed: Callable[..., float] = call
        with pytest.raises(InputError, match="not between -1 and 1"):
            typed(expand(TANH))
