"""Rounding to the small formats equals ml_dtypes', for every kind of number."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from fanin.errors import UnknownNameError
from fanin.sampling.cast import DTYPES, decode, encode, format_of

SMALL = [d for d in DTYPES if d not in ("float32", "float64")]


def numbers() -> np.ndarray:
    """All upper halves of float32 with lower halves at, beside and away from every tie."""
    high = np.arange(1 << 16, dtype=np.uint32) << 16
    low = [0, 1, 0x1234, 0x3FFF, 0x4000, 0x7FFF, 0x8000, 0x8001, 0xC000, 0xFFFF]
    random = np.random.default_rng(0).integers(0, 1 << 32, 1 << 18, dtype=np.uint32)
    return np.concatenate([*(high | np.uint32(k) for k in low), random]).view(np.float32)


def theirs(dtype: str) -> np.dtype:
    return np.dtype(np.float16 if dtype == "float16" else getattr(ml_dtypes, dtype))


@pytest.mark.parametrize("dtype", SMALL)
def test_equal_to_ml_dtypes(dtype: str) -> None:
    x = numbers()
    with np.errstate(over="ignore", invalid="ignore"):
        expected = x.astype(theirs(dtype))
    got = encode(x, dtype)
    assert got.dtype == format_of(dtype).storage
    unsigned = f"u{expected.itemsize}"
    nan = np.isnan(x)
    assert (got.view(unsigned)[~nan] == expected.view(unsigned)[~nan]).all()
    assert np.isnan(decode(got[nan], dtype)).all()


@pytest.mark.parametrize("dtype", SMALL)
def test_decode_is_exact(dtype: str) -> None:
    size = theirs(dtype).itemsize
    patterns = np.arange(1 << (8 * size), dtype=f"u{size}")
    with np.errstate(invalid="ignore"):  # signalling NaNs
        expected = patterns.view(theirs(dtype)).astype(np.float64)
    assert np.array_equal(decode(patterns.view(format_of(dtype).storage), dtype), expected, equal_nan=True)
    assert format_of(dtype).largest == np.nanmax(expected[np.isfinite(expected)])


def test_truncation_would_be_noticed() -> None:
    x = numbers()[: 1 << 17]
    cut = (x.view(np.uint32) >> 16).astype(np.uint16)
    assert (cut != encode(x, "bfloat16")).any()


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown dtype. Received: 'bf16'\. Known: .*'bfloat16'"):
        format_of("bf16")
