"""The definition in NumPy: any range [begin, end) of a stream, alone, to the last bit.

SPEC.md says the same in words. The kernel must agree with this file; where they differ the kernel
is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.sampling.cast import encode
from fanin.sampling.far import far_normal
from fanin.sampling.philox import words
from fanin.sampling.quantile import normal32, normal64, uniform32, uniform64, wide_words
from fanin.sampling.recipe import Kind, Recipe
from fanin.sampling.streams import StreamKey

__all__ = ["elements", "window32", "window64"]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def elements(made: Recipe, key: StreamKey, begin: int, end: int, dtype: str) -> NDArray[np.generic]:
    """Elements [begin, end) of the stream, rounded once to `dtype` (bit patterns where NumPy has none)."""
    first = words(key, begin, end)
    base: NDArray[np.float32] | NDArray[np.float64]
    if made.wide:
        base = _wide_base(made, wide_words(first, words(key, begin, end, second=True)))
    else:
        base = _narrow_base(made, first)
    if dtype == "float64":
        return _affine(made, base.astype(np.float64))
    return encode(_affine(made, base.astype(np.float32)), dtype)


def _narrow_base(made: Recipe, word: NDArray[np.uint32]) -> NDArray[np.float32]:
    if made.kind == Kind.UNIFORM:
        return uniform32(word)
    if made.kind == Kind.TRUNCATED:
        word = window32(word, made.start, made.width)
    return normal32(word)


def _wide_base(made: Recipe, word: NDArray[np.uint64]) -> NDArray[np.float64]:
    if made.kind == Kind.UNIFORM:
        return uniform64(word)
    if made.far is not None:
        far = made.far
        if far.mirrored:
            return -far_normal(~word, far.near, far.ratio, far.complement)
        return far_normal(word, far.near, far.ratio, far.complement)
    if made.kind == Kind.TRUNCATED:
        word = window64(word, made.start, made.width)
    return normal64(word)


def _affine(made: Recipe, base: NDArray[Any]) -> NDArray[Any]:
    """Scale and shift in the type of `base`: two roundings, the second only where there is a shift."""
    number = base.dtype.type
    low, high = number(made.low), number(made.high)
    if made.kind == Kind.TRUNCATED:
        base = _clamp(base, low, high)
    out: NDArray[Any] = base * number(made.scale)
    if made.shift != 0.0:
        out = out + number(made.shift)
        if made.kind == Kind.UNIFORM:
            out = _clamp(out, low, high)
    return out


def _clamp(values: NDArray[Any], low: Any, high: Any) -> NDArray[Any]:
    # Not np.maximum, which may answer either zero for max(-0, +0).
    values = np.where(values < low, low, values)
    return np.where(values > high, high, values)


def window32(word: NDArray[np.uint32], start: int, width: int) -> NDArray[np.uint32]:
    """Map all words evenly onto [start, start + width): ``start + floor((w + 1/2) width / 2**32)``."""
    product = word.astype(np.uint64) * np.uint64(width) + np.uint64(width >> 1)
    return (np.uint64(start) + (product >> _HALF)).astype(np.uint32)


def window64(word: NDArray[np.uint64], start: int, width: int) -> NDArray[np.uint64]:
    """The same for 64-bit words: ``start + floor((w + 1/2) width / 2**64)``, in 32-bit limbs."""
    low, high = word & _LOW, word >> _HALF
    width_low, width_high = np.uint64(width & 0xFFFFFFFF), np.uint64(width >> 32)
    half = width >> 1
    limb = low * width_low + np.uint64(half & 0xFFFFFFFF)
    middle = high * width_low
    cross = low * width_high
    inner = (limb >> _HALF) + (middle & _LOW) + (cross & _LOW) + np.uint64(half >> 32)
    top = high * width_high + (middle >> _HALF) + (cross >> _HALF) + (inner >> _HALF)
    result: NDArray[np.uint64] = np.uint64(start) + top
    return result
