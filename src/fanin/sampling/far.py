"""Normal tails beyond seven sigma, where even 64 bits of probability leave too few values.

With both bounds in one tail the element's word gives the share u of the nearer bound's tail mass,
and ``Q(z) = u Q(a)`` is solved for the excess z - a in float64 by Newton's method, with Mills' ratio
as a continued fraction and a logarithm built from a series: only + - * / and sqrt, which IEEE 754
rounds alike everywhere.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAR", "far_normal"]

FAR = 7.0
"""Bounds nearer to the mean than this are served by the octave tables."""

_LEVELS = 40
_STEPS = 4
_TERMS = 14
_LN2 = float.fromhex("0x1.62e42fefa39efp-1")


def far_normal(word: NDArray[np.uint64], near: float, ratio: float, complement: float) -> NDArray[np.float64]:
    """Standard normal above `near` >= 7, increasing in the word.

    Parameters
    ----------
    word
        64 random bits an element.
    near
        Lower bound in sigma.
    ratio, complement
        ``Q(far) / Q(near)`` for the upper bound, and one minus it (see `mass.far_ratio`).
    """
    share = ratio + complement * (((~word).astype(np.float64) + 0.5) * 2.0**-64)
    target = -_log(np.minimum(share, 1.0))
    mills_near = _mills(np.array([near]))[0]
    # Without the change of Mills' ratio: near * d + d**2 / 2 = target.
    d = 2.0 * target / (near + _hypotenuse(near, target))
    for _ in range(_STEPS):
        mills = _mills(near + d)
        d = d - mills * ((near * d + 0.5 * (d * d)) - _log(mills / mills_near) - target)
    result: NDArray[np.float64] = near + np.maximum(d, 0.0)
    return result


def _hypotenuse(near: float, target: NDArray[np.float64]) -> NDArray[np.float64]:
    # sqrt(near**2 + 2 target), scaled so that near**2 cannot overflow.
    scaled = target / near / near
    result: NDArray[np.float64] = near * np.sqrt(1.0 + 2.0 * scaled)
    return result


def _mills(x: NDArray[np.float64]) -> NDArray[np.float64]:
    level = x
    for k in range(_LEVELS, 0, -1):
        level = x + k / level
    return 1.0 / level


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm: x = 2**e m, m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh((m - 1)/(m + 1))."""
    m, e = np.frexp(x)
    small = m < math.sqrt(0.5)
    m, e = np.where(small, 2.0 * m, m), np.where(small, e - 1, e)
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    total = np.zeros_like(s)
    for k in range(_TERMS, -1, -1):
        total = total * square + 1.0 / (2 * k + 1)
    result: NDArray[np.float64] = 2.0 * s * total + e * _LN2
    return result
