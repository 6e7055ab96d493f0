"""Truncated normals: exact masses, exact bounds, the right law in the middle, in tails and in slivers."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fanin import _kernel
from fanin.records.draw import TruncatedNormal
from fanin.sampling.backends import VARIABLE, draw_whole, fill_flat
from fanin.sampling.cast import format_of
from fanin.sampling.engine import generate
from fanin.sampling.far import far_normal
from fanin.sampling.mass import far_ratio, lower_mass
from fanin.sampling.recipe import recipe
from fanin.sampling.reference import elements, window32, window64
from fanin.sampling.streams import StreamKey

FALSE_ALARM = 1e-9
BOUNDS = [
    (-2.0, 2.0),
    (-1.0, 3.0),
    (-math.inf, 1.0),
    (0.0, math.inf),
    (2.0, 2.001),
    (4.0, math.inf),
    (6.9, math.inf),
    (-math.inf, -7.2),
    (7.5, 7.6),
    (8.0, 12.0),
    (-30.0, -29.9),
    (37.0, math.inf),
]


def cut(lower: float, upper: float, mean: float = 0.0, std: float = 1.0) -> TruncatedNormal:
    return TruncatedNormal(std=std, parent_mean=mean, parent_std=std, lower=lower, upper=upper)


@given(x=st.floats(-12.0, 12.0), bits=st.sampled_from([32, 64]))
@settings(max_examples=200, deadline=None)
def test_masses_are_the_nearest_whole_numbers(x: float, bits: int) -> None:
    with mpmath.workdps(80):
        exact = mpmath.ncdf(mpmath.mpf(x)) * mpmath.mpf(2) ** bits
        assert abs(lower_mass(x, bits) - exact) <= mpmath.mpf("0.5") + mpmath.mpf(10) ** -20


def test_mass_limits() -> None:
    assert lower_mass(-math.inf, 64) == 0
    assert lower_mass(math.inf, 64) == 1 << 64
    assert lower_mass(0.0, 32) == 1 << 31
    assert lower_mass(-1.5, 64) + lower_mass(1.5, 64) == 1 << 64


@pytest.mark.parametrize(("near", "far"), [(7.0, 7.5), (8.0, 9.0), (30.0, 30.01), (1e5, 1e5 + 1e-7)])
def test_far_ratios(near: float, far: float) -> None:
    with mpmath.workdps(60):
        a, b = mpmath.mpf(near), mpmath.mpf(far)
        exact = mpmath.erfc(b / mpmath.sqrt(2)) / mpmath.erfc(a / mpmath.sqrt(2))
        ratio, complement = far_ratio(near, far)
        assert abs(ratio - exact) <= 2.0**-53 * exact
        assert abs(complement - (1 - exact)) <= 2.0**-53 * (1 - exact)


@pytest.mark.parametrize("near", [7.0, 9.0, 40.0, 1000.0])
def test_far_normals_solve_their_equation(near: float) -> None:
    word = np.array([0, 1 << 40, 1 << 63, (1 << 64) - (1 << 20), (1 << 64) - 1], np.uint64)
    z = far_normal(word, near, 0.0, 1.0)
    with mpmath.workdps(60):
        for w, value in zip(word.tolist(), z.tolist(), strict=True):
            share = (mpmath.mpf(2**64 - 1 - w) + 0.5) / mpmath.mpf(2) ** 64
            target = share * mpmath.erfc(mpmath.mpf(near) / mpmath.sqrt(2))
            exact = mpmath.findroot(
                lambda x, t=target: mpmath.log(mpmath.erfc(x / mpmath.sqrt(2))) - mpmath.log(t), value
            )
            # Four roundings of the result's size, and the continued fraction's 1e-13 at seven sigma.
            assert abs(value - exact) <= 4 * np.spacing(value) + 1e-13


@pytest.mark.parametrize(("lower", "upper"), BOUNDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_law_and_bounds(lower: float, upper: float, dtype: str) -> None:
    count = 1 << 14
    z = generate(cut(lower, upper), (count,), seed=5, name="w", dtype=dtype).astype(np.float64)
    assert z.min() >= lower
    assert z.max() <= upper
    # Kolmogorov-Smirnov with the exact law, from the tail that keeps its digits.
    sign = 1.0 if lower + upper < 0 else -1.0
    low, high = (lower, upper) if sign > 0 else (-upper, -lower)
    log_low, log_high = stats.norm.logcdf([low, high])
    share = np.exp(stats.norm.logcdf(sign * z) - log_high)
    floor = math.exp(log_low - log_high)
    assert stats.kstest((share - floor) / (1 - floor), "uniform").pvalue > FALSE_ALARM
    # A float32 sliver holds few numbers; otherwise almost every draw is a number of its own.
    spacing = float(np.spacing(np.asarray(max(abs(z.min()), abs(z.max())), dtype)))
    spread = np.quantile(z, 0.75) - np.quantile(z, 0.25)
    assert len(np.unique(z)) > 0.5 * min(count, spread / spacing)


def test_the_law_test_can_fail() -> None:
    z = generate(cut(-2.0, 2.0), (1 << 14,), seed=5, name="w", dtype="float64")
    assert stats.kstest(z * 1.1, stats.truncnorm(-2, 2).cdf).pvalue < FALSE_ALARM


def test_symmetric_bounds_give_antisymmetric_draws() -> None:
    made = recipe(cut(-2.0, 2.0), "float32")
    word = np.random.default_rng(0).integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
    assert (window32(~word, made.start, made.width) == ~window32(word, made.start, made.width)).all()
    wide = recipe(cut(-2.0, 2.0), "float64")
    long = np.random.default_rng(0).integers(0, 1 << 64, 1 << 16, dtype=np.uint64)
    assert (window64(~long, wide.start, wide.width) == ~window64(long, wide.start, wide.width)).all()


@given(
    word=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**64 - 1),
    width=st.integers(0, 2**64 - 1),
)
def test_windows_are_exact_products(word: int, start: int, width: int) -> None:
    start = min(start, 2**64 - width)
    got = int(window64(np.array([word], np.uint64), start, width)[0])
    assert got == (start + ((2 * word + 1) * width >> 65)) % 2**64
    narrow_word, narrow_start, narrow_width = word >> 32, start >> 32, width >> 32
    got = int(window32(np.array([narrow_word], np.uint32), narrow_start, narrow_width)[0])
    assert got == (narrow_start + ((2 * narrow_word + 1) * narrow_width >> 33)) % 2**32


def test_bounds_beyond_every_number_are_no_bounds() -> None:
    free = generate(cut(-math.inf, math.inf), (100,), seed=0, name="w")
    assert (generate(cut(-7.0, 7.0), (100,), seed=0, name="w") == free).all()


def test_scale_and_mean_round_once_each() -> None:
    base = generate(cut(-2.0, 2.0), (1000,), seed=0, name="w")
    both = generate(cut(-2.0, 2.0, mean=0.3, std=0.7), (1000,), seed=0, name="w")
    assert (both == base * np.float32(0.7) + np.float32(0.3)).all()


BEYOND = st.one_of(
    st.tuples(st.floats(7.1, 1e12), st.just(math.inf)),
    st.floats(7.1, 100.0).flatmap(lambda a: st.tuples(st.just(a), st.floats(a + 0.01 / a, a + 10.0))),
)


@pytest.mark.parametrize("path", _kernel.paths())
@given(
    bounds=BEYOND,
    mirrored=st.booleans(),
    dtype=st.sampled_from(["float32", "float64", "bfloat16"]),
    begin=st.integers(0, 1 << 60),
)
@settings(max_examples=100, deadline=None)
def test_far_tails_are_the_same_on_every_path(
    path: str, bounds: tuple[float, float], mirrored: bool, dtype: str, begin: int
) -> None:
    low, high = bounds
    lower, upper = (-high, -low) if mirrored else (low, high)
    made = recipe(cut(lower, upper), dtype)
    assert made.far is not None
    key = StreamKey(key0=1, key1=2, counter2=3, counter3=4)
    out = np.zeros(77, format_of(dtype).storage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, path)
        fill_flat(out, made, key, begin, dtype, None)
    assert out.tobytes() == elements(made, key, begin, begin + out.size, dtype).tobytes()


def test_far_tails_take_the_short_way() -> None:
    out, draw = np.zeros(100, np.float32), cut(8.0, math.inf)
    assert draw_whole(out, draw, 0, "w", None, None)
    assert out.min() >= 8.0
