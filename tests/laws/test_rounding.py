"""Rounding: the law's grid is the format's, and its moments are those of rounded samples."""

from __future__ import annotations

import math
import warnings

import ml_dtypes
import numpy as np
import pytest

import fanin
from fanin.errors import InputError, PrecisionWarning, UnknownNameError
from fanin.laws import moments
from fanin.laws.rounding import NARROW, rounded, underflow
from fanin.records.draw import Constant, Normal, Uniform
from fanin.sampling.cast import format_of

DTYPES = sorted(NARROW)


def numbers_of(dtype: str) -> np.ndarray:
    """All finite numbers of a format, by ml_dtypes."""
    bits = 8 if dtype.startswith("float8") else 16
    kind = np.float16 if dtype == "float16" else getattr(ml_dtypes, dtype)
    with np.errstate(invalid="ignore"):  # NaN of the small formats
        every = np.arange(2 ** (bits - 1), dtype=f"u{bits // 8}").view(kind).astype(np.float64)
    return np.sort(every[np.isfinite(every)])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_grid_is_the_formats(dtype: str) -> None:
    np.testing.assert_array_equal(NARROW[dtype].numbers, numbers_of(dtype))
    kind = format_of(dtype)
    assert (NARROW[dtype].exponent, NARROW[dtype].mantissa) == (kind.exponent_bits, kind.mantissa_bits)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "float16"])
@pytest.mark.parametrize(
    "draw",
    [Normal(std=0.005), moments.uniform(std=0.01), moments.truncated_normal(std=0.02), Normal(std=3e-7)],
    ids=str,
)
def test_rounded_samples_have_the_moments(draw: Normal, dtype: str) -> None:
    if underflow(draw, dtype) > 0.999:
        with pytest.raises(InputError, match="Every weight would be rounded to 0"):
            fanin.sample(draw, 8, seed=1, name="w", dtype=dtype)
        return
    after = rounded(draw, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        weight = fanin.sample(draw, 400_000, seed=1, name="w", dtype=dtype).astype(np.float64)
    error = math.sqrt(3.0 / weight.size)  # kurtosis of rounded samples is at most near 3 + 1 / (1 - share)
    assert float(weight.std()) == pytest.approx(after.std, rel=6.2 * error)
    share = float((weight == 0).mean())
    spread = math.sqrt(after.underflow * (1 - after.underflow) / weight.size)
    assert abs(share - after.underflow) < 6.2 * spread + 1e-6
    assert len(np.unique(weight)) <= after.distinct


def test_the_approximation_of_sheppard() -> None:
    after = rounded(Normal(std=0.005), "float8_e4m3fn")
    step = NARROW["float8_e4m3fn"].step
    assert after.std > 0.005
    assert after.underflow == pytest.approx(math.erf(step / 2 / 0.005 / math.sqrt(2)), rel=1e-12)


def test_wide_formats_lose_nothing() -> None:
    assert underflow(Normal(std=1e-3), "float32") == 0.0
    assert underflow(Normal(std=0.02), "bfloat16") < 1e-30
    assert underflow(Constant(value=0.0), "float16") == 0.0
    assert underflow(Constant(value=1e-9), "float16") == 1.0


def test_a_coarse_format_is_said_with_its_figures() -> None:
    with pytest.warns(
        PrecisionWarning,
        match=r"is coarse.*is 0\.001953.*15\.49% of the weights become 0, the std becomes 0\.00503",
    ):
        fanin.sample(fanin.normal(std=0.005), (64, 64), seed=0, name="w", dtype="float8_e4m3fn")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_usual_weights_are_no_matter(dtype: str) -> None:
    fanin.sample(fanin.normal(std=0.02), (64, 64), seed=0, name="w", dtype=dtype)


@pytest.mark.parametrize("draw", [Normal(std=1e-5), Uniform(low=-9e-4, high=9e-4), Constant(value=1e-4)])
def test_what_underflows_to_nothing_is_refused(draw: Normal | Uniform | Constant) -> None:
    with pytest.raises(
        InputError, match=r"Every weight would be rounded to 0\. Received: .* in float8_e4m3fn"
    ):
        fanin.sample(draw, (4, 4), seed=0, name="w", dtype="float8_e4m3fn")


def test_unknown_formats() -> None:
    with pytest.raises(UnknownNameError, match="Unknown narrow format"):
        rounded(Normal(std=1.0), "float32")
