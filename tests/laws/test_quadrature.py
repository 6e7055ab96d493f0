"""Expectations from tabulated values, against closed forms and adaptive integration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.integrate
import scipy.special

from fanin.errors import InputError
from fanin.laws import quadrature as quad
from fanin.laws.quadrature import NODES

RELU = np.maximum(NODES, 0.0)
ERF = scipy.special.erf(NODES)
VARIANCES = [0.01, 0.3, 1.0, 4.0, 9.0]
# Stated in the module for smooth functions and for kinks at multiples of 1/4.
ACCURACY = 1e-10


def relu_product(q: float, c: float) -> float:
    """Y. Cho, L. Saul, 2009, equation 6."""
    angle = math.acos(c)
    return q * (math.sin(angle) + (math.pi - angle) * c) / (2 * math.pi)


def erf_product(q: float, c: float) -> float:
    """C. Williams, 1997, equation 11."""
    return 2 / math.pi * math.asin(2 * q * c / (1 + 2 * q))


def adaptive(f: Callable[[float], float], q: float, breaks: tuple[float, ...] = ()) -> float:
    sd = math.sqrt(q)
    edges = sorted({*np.arange(-10.0, 11.0), *(b / sd for b in breaks if abs(b / sd) < 10)})
    return sum(
        scipy.integrate.quad(
            lambda z: f(sd * z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi), a, b, epsrel=1e-13
        )[0]
        for a, b in itertools.pairwise(edges)
    )


def test_the_grid() -> None:
    assert NODES[0] == -24.0
    assert NODES[-1] == 24.0
    assert set(np.diff(NODES)) == {1 / 32}
    assert {0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 6.0} <= set(NODES[::8])
    # The nodes are the same numbers in the narrowest type an activation is evaluated in.
    assert (NODES.astype(np.float16) == NODES).all()
    with pytest.raises(ValueError, match="read-only"):
        NODES[0] = 0.0


@pytest.mark.parametrize("q", VARIANCES)
def test_relu_is_exact(q: float) -> None:
    assert quad.gaussian_mean(RELU, q) == pytest.approx(math.sqrt(q / (2 * math.pi)), rel=1e-13)
    assert quad.gaussian_second_moment(RELU, q) == pytest.approx(q / 2, rel=1e-13)
    assert quad.gaussian_derivative_second_moment(RELU, q) == pytest.approx(0.5, rel=1e-13)


@pytest.mark.parametrize("q", VARIANCES)
@pytest.mark.parametrize(
    ("f", "slope", "breaks"),
    [
        (np.tanh, lambda x: 1 - math.tanh(x) ** 2, ()),
        (lambda x: x * scipy.special.ndtr(x), None, ()),
        (lambda x: np.clip(x, 0, 6), lambda x: float(0 < x < 6), (0.0, 6.0)),
        (lambda x: x * np.clip(x + 3, 0, 6) / 6, None, (-3.0, 3.0)),
        (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), None, (0.0,)),
        (lambda x: np.sin(3 * x), lambda x: 3 * math.cos(3 * x), ()),
        (lambda x: x / (1 + np.abs(x)), None, (0.0,)),
    ],
    ids=["tanh", "gelu", "relu6", "hardswish", "elu", "sin(3x)", "softsign"],
)
def test_moments_of_functions(
    f: Callable[..., np.ndarray],
    slope: Callable[[float], float] | None,
    breaks: tuple[float, ...],
    q: float,
) -> None:
    values = f(NODES)
    mean = adaptive(lambda x: float(f(np.float64(x))), q, breaks)
    second = adaptive(lambda x: float(f(np.float64(x))) ** 2, q, breaks)
    assert quad.gaussian_second_moment(values, q) == pytest.approx(second, rel=ACCURACY)
    assert quad.gaussian_mean(values, q) == pytest.approx(mean, abs=ACCURACY * math.sqrt(second))
    if slope is not None:
        derivative = adaptive(lambda x: slope(x) ** 2, q, breaks)
        assert quad.gaussian_derivative_second_moment(values, q) == pytest.approx(derivative, rel=ACCURACY)


@pytest.mark.parametrize("q", VARIANCES)
@pytest.mark.parametrize("values", [RELU, ERF, np.tanh(NODES), NODES], ids=["relu", "erf", "tanh", "linear"])
def test_float32_values_are_enough(values: np.ndarray, q: float) -> None:
    rounded = values.astype(np.float32)
    for moment in (quad.gaussian_second_moment, quad.gaussian_derivative_second_moment):
        assert moment(rounded, q) == pytest.approx(moment(values, q), rel=1e-6)


@pytest.mark.parametrize("place", [0.01, 0.07, 0.12, -1.19])
@pytest.mark.parametrize("q", VARIANCES)
def test_a_kink_off_the_panel_edges(place: float, q: float) -> None:
    values = np.maximum(NODES - place, 0.0) + 0.1 * NODES
    for moment, power, share in (
        (quad.gaussian_second_moment, -1.5, 2e-5),
        (quad.gaussian_derivative_second_moment, -0.5, 0.01),
    ):
        if moment is quad.gaussian_second_moment:
            exact = adaptive(lambda x: (max(x - place, 0.0) + 0.1 * x) ** 2, q, (place,))
        else:
            exact = adaptive(lambda x: (float(x > place) + 0.1) ** 2, q, (place,))
        assert moment(values, q) == pytest.approx(exact, rel=share * q**power)


@pytest.mark.parametrize("q", [0.1, 1.0, 9.0])
def test_a_kink_in_a_curve_known_in_float32(q: float) -> None:
    values = (np.tanh(NODES) + np.maximum(NODES - 0.12, 0.0)).astype(np.float32)
    exact = adaptive(lambda x: (1 - math.tanh(x) ** 2 + float(x > 0.12)) ** 2, q, (0.12,))
    assert quad.gaussian_derivative_second_moment(values, q) == pytest.approx(exact, rel=0.01 / math.sqrt(q))


@pytest.mark.parametrize("q", VARIANCES)
def test_a_jump(q: float) -> None:
    values = np.where(NODES > 0.06, 1.0, 0.0)
    exact = adaptive(lambda x: float(x > 0.06), q, (0.06,))
    assert quad.gaussian_second_moment(values, q) == pytest.approx(exact, rel=0.04 / math.sqrt(q))


def test_a_fast_sine_is_not_taken_for_kinks() -> None:
    """A sine layer's usual frequency, 30, has a bend in every cell of the grid."""
    values = np.sin(30 * NODES)
    assert quad.gaussian_second_moment(values, 1.0) == pytest.approx(0.5, rel=0.01)
    assert quad.gaussian_derivative_second_moment(values, 1.0) == pytest.approx(450.0, rel=0.1)


def test_past_the_grid() -> None:
    # ReLU and its square end as parabolas, tanh as a constant, softplus as a line.
    assert quad.gaussian_second_moment(RELU, 1e4) == pytest.approx(5e3, rel=1e-12)
    assert quad.gaussian_second_moment(RELU**2, 400.0) == pytest.approx(1.5 * 400.0**2, rel=1e-12)
    assert quad.gaussian_derivative_second_moment(RELU**2, 400.0) == pytest.approx(800.0, rel=1e-12)
    exact = adaptive(lambda x: math.tanh(x) ** 2, 100.0)
    assert quad.gaussian_second_moment(np.tanh(NODES), 100.0) == pytest.approx(exact, rel=1e-9)
    soft = np.logaddexp(0.0, NODES)
    exact = adaptive(lambda x: float(np.logaddexp(0.0, x)) ** 2, 100.0)
    assert quad.gaussian_second_moment(soft, 100.0) == pytest.approx(exact, rel=1e-6)
    # A sine does not end; mirrored it keeps its size.
    assert quad.gaussian_second_moment(np.sin(NODES), 400.0) == pytest.approx(0.5, rel=0.05)


def test_no_variance() -> None:
    assert quad.gaussian_mean(np.cos(NODES), 0.0) == pytest.approx(1.0, rel=1e-9)
    assert quad.gaussian_derivative_second_moment(RELU, 0.0) == pytest.approx(0.5)


@pytest.mark.parametrize("q", [0.01, 1.0, 2.0, 9.0])
@pytest.mark.parametrize("c", [-1.0, -0.999, -0.5, -0.01, 0.0, 0.3, 0.9, 0.999, 1.0])
def test_correlation_maps(q: float, c: float) -> None:
    assert quad.gaussian_correlation(RELU, q, c) == pytest.approx(relu_product(q, c), abs=ACCURACY * q)
    assert quad.gaussian_correlation(ERF, q, c) == pytest.approx(erf_product(q, c), abs=ACCURACY)


@pytest.mark.parametrize("q", [0.1, 1.0, 9.0])
@pytest.mark.parametrize("c", [-0.7, 0.4, 0.95])
def test_correlation_across_two_kinks(q: float, c: float) -> None:
    values, sd, rest = np.clip(NODES, -1, 1), math.sqrt(q), math.sqrt(1 - c * c)

    def given(u: float) -> float:
        # E clip(m + s z) in closed form, an independent route to the inner integral.
        m, s = c * sd * u, rest * sd
        low, high = (-1 - m) / s, (1 - m) / s
        cdf, pdf = scipy.special.ndtr, lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        middle = m * (cdf(high) - cdf(low)) + s * (pdf(low) - pdf(high))
        return float(middle - cdf(low) + 1 - cdf(high))

    exact = adaptive(lambda x: min(max(x, -1), 1) * given(x / sd), q, (-1.0, 1.0))
    assert quad.gaussian_correlation(values, q, c) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("gap", [1e-2, 1e-6, 1e-10])
def test_separation_keeps_its_digits(gap: float) -> None:
    """For erf the separation is 2/pi of a difference of arcsines, about 2 q gap f'^2 / ..."""
    c = 1.0 - gap
    low, high = math.asin(2 * c / 3), math.asin(2 / 3)
    # sin(high - low), free of cancellation up to the last bit of c.
    sine = 2 / 3 * math.cos(low) - 2 * c / 3 * math.cos(high)
    exact = 2 / math.pi * math.asin(sine)
    slack = 4 * np.finfo(float).eps / (1 - c) + 1e-10
    assert quad.gaussian_separation(ERF, 1.0, c) == pytest.approx(exact, rel=slack)
    assert quad.gaussian_separation(ERF, 1.0, 1.0) == 0.0


def test_expectation_of_a_function() -> None:
    assert quad.expectation(np.exp, 1.0) == pytest.approx(math.exp(0.5), rel=ACCURACY)
    assert quad.expectation(lambda x: max(x, 0.0) ** 2, 3.0) == pytest.approx(1.5, rel=ACCURACY)
    # An unnamed jump off the cells' edges, in a function of one float.
    step = quad.expectation(lambda x: 1.0 if x > 0.1234 else 0.0)
    assert step == pytest.approx(float(scipy.special.ndtr(-0.1234)), rel=ACCURACY)
    assert quad.expectation(math.cos, 0.0) == 1.0


def test_expectation_refuses_what_has_none() -> None:
    noise = np.random.default_rng(0)
    with pytest.raises(InputError, match="no expectation that can be computed"):
        quad.expectation(lambda x: noise.standard_normal(np.shape(x)))
    with pytest.raises(InputError, match="no finite real numbers"):
        quad.expectation(lambda x: np.full_like(x, np.nan))
    with pytest.raises(InputError, match="raised TypeError"):
        quad.expectation(lambda: 0.0)
    with pytest.raises(InputError, match="variance q"):
        quad.expectation(np.tanh, -1.0)


@pytest.mark.parametrize("values", [np.zeros(5), np.full(len(NODES), np.nan)])
def test_values_that_are_no_table(values: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"Values are no table on NODES.*1537 points"):
        quad.gaussian_mean(values)


@pytest.mark.parametrize("q", [-1.0, math.nan, math.inf])
def test_bad_variances(q: float) -> None:
    with pytest.raises(InputError, match="variance q is not a finite number >= 0"):
        quad.gaussian_mean(RELU, q)


@pytest.mark.parametrize("c", [1.1, -1.1, math.nan])
def test_bad_correlations(c: float) -> None:
    with pytest.raises(InputError, match="not between -1 and 1"):
        quad.gaussian_correlation(RELU, 1.0, c)


@pytest.mark.parametrize("q", [1e-13, 1e-20, 1e-40, 1e-200])
def test_signals_next_to_nothing_keep_their_digits(q: float) -> None:
    # Around 0 a function is its slopes: left a, right b. 1e-8: what a parabola leaves out below 2^-20.
    z = NODES
    tables = [
        (np.maximum(z, 0.0), 0.0, 1.0),
        (np.where(z > 0.0, z, 0.2 * z), 0.2, 1.0),
        (np.tanh(z), 1.0, 1.0),
    ]
    for values, a, b in tables:
        power = quad.gaussian_second_moment(values, q)
        assert power / q == pytest.approx((a * a + b * b) / 2.0, rel=1e-8)
        mean = quad.gaussian_mean(values, q)
        assert mean / math.sqrt(q) == pytest.approx((b - a) / math.sqrt(2.0 * math.pi), rel=1e-8, abs=1e-8)
    relu, c = tables[0][0], 0.3
    arc = (math.sqrt(1.0 - c * c) + c * (math.pi - math.acos(c))) / (2.0 * math.pi)
    assert quad.gaussian_correlation(relu, q, c) / q == pytest.approx(arc, rel=1e-8)


def test_a_parabola_around_zero_meets_its_panel() -> None:
    x = 2.0**-20 * np.array([-1.001, -0.999, 0.999, 1.001])
    assert quad.curve(np.tanh(NODES))(x) == pytest.approx(x, rel=1e-8)
    assert quad.curve(np.tanh(NODES)).derivative()(x) == pytest.approx(1.0, rel=1e-8)
