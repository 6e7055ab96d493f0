"""Moments of draws against 40-digit integrals and against scipy.stats."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats

from fanin.errors import InputError
from fanin.laws import moments
from fanin.records.draw import Constant, Draw, Normal, Orthogonal, TruncatedNormal, Uniform

INF = math.inf
# 480 Gauss points of positive terms: the sum's rounding is a few units in the last place.
ACCURACY = 1e-13

BOUNDS = [
    (-2.0, 2.0),
    (-1.0, 3.0),
    (-10.0, 1.0),
    (4.0, 6.0),
    (-50.0, -49.0),
    (5.0, INF),
    (-INF, -30.0),
    (-INF, INF),
    (0.0, 1e-6),
    (1e4, 2e4),
    (1000.0, INF),
]


def reference(lower: float, upper: float) -> tuple[float, float, float]:
    """Mean minus the peak, variance and central fourth moment, in 40 digits."""
    with mpmath.workdps(40):
        peak = mpmath.mpf(min(max(0.0, lower), upper))
        reach = 1 / (abs(peak) + 1)
        low, high = mpmath.mpf(lower) - peak, mpmath.mpf(upper) - peak
        cuts = [s * r * reach for s in (-1, 1) for r in (1, 3, 8, 20, 60, 120)]
        low, high = max(low, -120 * reach), min(high, 120 * reach)
        points = sorted({low, high, *(c for c in cuts if low < c < high)})

        def integral(f: object) -> mpmath.mpf:
            return mpmath.quad(lambda t: f(t) * mpmath.exp(-t * (peak + t / 2)), points)  # type: ignore[operator]

        mass = integral(lambda _: 1)
        shift = integral(lambda t: t) / mass
        variance = integral(lambda t: (t - shift) ** 2) / mass
        fourth = integral(lambda t: (t - shift) ** 4) / mass
        return float(shift), float(variance), float(fourth)


@pytest.mark.parametrize(("lower", "upper"), BOUNDS)
def test_cut_moments_to_thirteen_digits(lower: float, upper: float) -> None:
    shift, variance, fourth = reference(lower, upper)
    cut = moments.cut_moments(lower, upper)
    peak = min(max(0.0, lower), upper)
    assert cut.mean == pytest.approx(peak + shift, rel=ACCURACY, abs=1e-15)
    assert cut.variance == pytest.approx(variance, rel=ACCURACY)
    assert cut.fourth == pytest.approx(fourth, rel=ACCURACY)
    assert cut.kurtosis == pytest.approx(fourth / variance**2, rel=3 * ACCURACY)


def test_the_textbook_form_would_not_pass() -> None:
    """The check above can fail: closed forms lose the variance of a far cut."""
    a = 1e4
    _, variance, _ = reference(a, INF)
    mean = math.sqrt(2 / math.pi) / scipy.special.erfcx(a / math.sqrt(2))
    assert 1 + a * mean - mean * mean != pytest.approx(variance, rel=1e-3)
    assert moments.cut_moments(a, INF).variance == pytest.approx(variance, rel=ACCURACY)


@pytest.mark.parametrize(("lower", "upper"), [(-2.0, 2.0), (-1.0, 3.0), (-3.0, 0.5), (1.0, 2.0)])
def test_truncated_normal_has_the_moments_asked_for(lower: float, upper: float) -> None:
    draw = moments.truncated_normal(0.3, 0.02, lower, upper)
    peer = scipy.stats.truncnorm(lower, upper, loc=draw.parent_mean, scale=draw.parent_std)
    # scipy's own closed form holds about ten digits here.
    assert peer.mean() == pytest.approx(0.3, rel=1e-9)
    assert peer.std() == pytest.approx(0.02, rel=1e-9)
    assert (draw.mean, draw.std) == (0.3, 0.02)
    assert float(peer.stats("k")) + 3 == pytest.approx(moments.kurtosis(draw), rel=1e-8)


def test_the_famous_constant_follows_from_the_law() -> None:
    a = 2.0
    pdf, mass = math.exp(-a * a / 2) / math.sqrt(2 * math.pi), math.erf(a / math.sqrt(2))
    assert moments.cut_moments(-a, a).variance == pytest.approx(1 - 2 * a * pdf / mass, rel=ACCURACY)


def test_symmetric_bounds_leave_the_mean_exact() -> None:
    assert moments.truncated_normal(0.0, 1.0).parent_mean == 0.0
    assert moments.truncated_normal(0.25, 1.0, -7.0, 7.0).parent_mean == 0.25


def test_from_parent_and_back() -> None:
    there = moments.truncated_from_parent(0.1, 0.5, -0.4, 1.6)
    assert (there.lower, there.upper) == (-1.0, 3.0)
    back = moments.truncated_normal(there.mean, there.std, there.lower, there.upper)
    assert back.parent_mean == pytest.approx(0.1, rel=1e-14)
    assert back.parent_std == pytest.approx(0.5, rel=1e-14)


DRAWS: list[tuple[Draw, object]] = [
    (Uniform(low=-1.0, high=3.0), scipy.stats.uniform(-1, 4)),
    (Normal(mean=0.5, std=2.0), scipy.stats.norm(0.5, 2)),
    (moments.truncated_from_parent(1.0, 2.0, -1.0, 7.0), scipy.stats.truncnorm(-1, 3, 1, 2)),
]


@pytest.mark.parametrize(("draw", "peer"), DRAWS)
def test_moments_and_cdf_agree_with_scipy(draw: Draw, peer: scipy.stats.rv_continuous) -> None:
    mean, variance, _, excess = (float(x) for x in peer.stats("mvsk"))
    assert moments.mean(draw) == pytest.approx(mean, rel=1e-9)
    assert moments.variance(draw) == pytest.approx(variance, rel=1e-9)
    assert moments.fourth_moment(draw) == pytest.approx((excess + 3) * variance**2, rel=1e-8)
    for x in np.linspace(-3.0, 8.0, 23):
        assert not isinstance(draw, Orthogonal)
        assert moments.cdf(draw, x) == pytest.approx(float(peer.cdf(x)), abs=1e-14)


def test_cdf_of_a_cut_beyond_every_float() -> None:
    draw = moments.truncated_normal(0.0, 1.0, 50.0, 52.0)
    for share in (0.1, 0.5, 0.9):
        # Far out the cut is exponential with rate 50: its quantile is an elementary start.
        with mpmath.workdps(30):
            z = 50 - mpmath.log(1 - share) / 50
            exact = 1 - mpmath.erfc(z / mpmath.sqrt(2)) / mpmath.erfc(50 / mpmath.sqrt(2))
        x = draw.parent_mean + draw.parent_std * float(z)
        # x is rounded to 1e-16 of 2600 standard deviations of the cut.
        assert moments.cdf(draw, x) == pytest.approx(float(exact), rel=1e-11)
        mirrored = moments.truncated_normal(0.0, 1.0, -52.0, -50.0)
        assert moments.cdf(mirrored, -x) == pytest.approx(1 - float(exact), rel=1e-10)


def test_cdf_of_a_constant_is_a_step() -> None:
    assert [moments.cdf(Constant(value=1.0), x) for x in (0.9, 1.0, 1.1)] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (3, 7), (12, 5)])
def test_kurtosis_of_an_orthogonal_entry(rows: int, columns: int) -> None:
    """A column of a Haar matrix is a normal vector over its length."""
    n, count = max(rows, columns), 200_000
    vectors = np.random.default_rng(1).standard_normal((count, n))
    first = vectors[:, 0] / np.linalg.norm(vectors, axis=1)
    std = 1.5 / math.sqrt(n)
    got = moments.fourth_moment(Orthogonal(gain=1.5, std=std))
    fourth = (1.5 * first) ** 4
    # 6.1 standard errors: two-sided false alarm rate 1e-9.
    assert abs(fourth.mean() - got) < 6.1 * fourth.std() / math.sqrt(count)
    assert abs(fourth.mean() - 3 * std**4) > 6.1 * fourth.std() / math.sqrt(count)


def test_uniform_by_its_moments() -> None:
    draw = moments.uniform(1.0, 0.5)
    assert (draw.mean, draw.std) == (pytest.approx(1.0, rel=1e-15), pytest.approx(0.5, rel=1e-15))


def test_a_constant_has_no_spread() -> None:
    assert moments.variance(Constant(value=3.0)) == 0.0
    assert moments.fourth_moment(Constant(value=3.0)) == 0.0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, INF])
def test_a_std_is_positive_and_finite(bad: float) -> None:
    for make in (moments.uniform, moments.truncated_normal):
        with pytest.raises(InputError, match="standard deviation is not positive and finite"):
            make(0.0, bad)


@pytest.mark.parametrize(
    ("lower", "upper"), [(2.0, -2.0), (1.0, 1.0), (math.nan, 1.0), (INF, INF), (-INF, -INF)]
)
def test_bounds_hold_an_interval(lower: float, upper: float) -> None:
    with pytest.raises(InputError, match=r"Bounds hold no interval.*lower < upper"):
        moments.truncated_normal(0.0, 1.0, lower, upper)


def test_a_mean_is_finite() -> None:
    with pytest.raises(InputError, match="mean is not finite"):
        moments.truncated_normal(math.nan, 1.0)


def test_a_truncated_normal_says_what_it_is() -> None:
    assert isinstance(moments.truncated_normal(std=0.02), TruncatedNormal)
    assert str(moments.truncated_normal(std=0.02)) == "N(0, 0.02²) cut at ±2σ"
