"""From words to standard uniforms and standard normals, in arithmetic that no compiler can change.

Every product's pattern passes through an integer operation that clears its lowest bit before it is
added. No compiler may contract a product and a sum across that, so there is nothing left that a
fused multiply-add could round differently: compiled with contraction or without, the bits agree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fanin.sampling._table import NARROW, WIDE

__all__ = ["normal32", "normal64", "uniform32", "uniform64", "wide_words"]

_NARROW = np.array([[float.fromhex(v) for v in row] for row in NARROW], np.float32)
_WIDE = np.array([[float.fromhex(v) for v in row] for row in WIDE], np.float64)


def wide_words(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """One 64-bit word: the first word above, the second below."""
    return (first.astype(np.uint64) << np.uint64(32)) | second


def uniform32(word: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Uniform on the open interval (-1, 1): ``((int32(w) >> 7) | 1) * 2**-24``, exact."""
    odd = (word.view(np.int32) >> np.int32(7)) | np.int32(1)
    result: NDArray[np.float32] = odd.astype(np.float32) * np.float32(2.0**-24)
    return result


def uniform64(word: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Uniform on the open interval (-1, 1): ``((int64(w) >> 10) | 1) * 2**-53``, exact."""
    odd = (word.view(np.int64) >> np.int64(10)) | np.int64(1)
    result: NDArray[np.float64] = odd.astype(np.float64) * 2.0**-53
    return result


def normal32(word: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Standard normal by the inverse CDF: increasing in the word, odd about the middle.

    ``z = Phi^-1(v / 2**32)`` with ``v = (w if w < 2**31 else ~w) | 1``, negated in the upper half.
    |error| < 1e-6 for each of the 2**32 words (SPEC.md has the measured bounds).
    """
    upper = word.view(np.int32) >> np.int32(31)
    v = (word.view(np.int32) ^ upper) | np.int32(1)
    bits = v.astype(np.float32).view(np.uint32)
    octave = (bits >> np.uint32(23)).astype(np.intp) - 127
    mantissa = ((bits & np.uint32(0x007FFFFF)) | np.uint32(0x3F800000)).view(np.float32)
    r = mantissa - np.float32(1.5)
    t = _NARROW[-1][octave]
    for row in _NARROW[-2::-1]:
        t = row[octave] + ((t * r).view(np.uint32) & np.uint32(0xFFFFFFFE)).view(np.float32)
    result: NDArray[np.float32] = (t.view(np.uint32) ^ (word & np.uint32(0x80000000))).view(np.float32)
    return result


def normal64(word: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Standard normal by the inverse CDF from 64 bits, in float64; tails to 9.1 sigma."""
    upper = word.view(np.int64) >> np.int64(63)
    v = (word.view(np.int64) ^ upper) | np.int64(1)
    bits = v.astype(np.float64).view(np.uint64)
    octave = (bits >> np.uint64(52)).astype(np.intp) - 1023
    mantissa = ((bits & np.uint64(0x000FFFFFFFFFFFFF)) | np.uint64(0x3FF0000000000000)).view(np.float64)
    r = mantissa - 1.5
    t = _WIDE[-1][octave]
    for row in _WIDE[-2::-1]:
        t = row[octave] + ((t * r).view(np.uint64) & np.uint64(0xFFFFFFFFFFFFFFFE)).view(np.float64)
    result: NDArray[np.float64] = (t.view(np.uint64) ^ (word & np.uint64(1 << 63))).view(np.float64)
    return result
