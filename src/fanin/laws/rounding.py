"""What rounding to a narrow format does to a draw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from fanin.errors import nearest
from fanin.laws.moments import cdf
from fanin.records.draw import Constant, Normal, TruncatedNormal, Uniform

__all__ = ["NARROW", "Elementwise", "Grid", "Rounded", "rounded", "underflow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The numbers of a floating-point format.

    Parameters
    ----------
    exponent, mantissa
        Bits of each.
    finite
        Whether it has no infinity: all but the very last pattern of the top exponent are then numbers.
    """

    exponent: int
    mantissa: int
    finite: bool = False

    @property
    def step(self) -> float:
        """Smallest positive number, and the distance of numbers around 0."""
        return math.ldexp(1.0, 2 - 2 ** (self.exponent - 1) - self.mantissa)

    @property
    def numbers(self) -> np.ndarray:
        """All numbers that are not negative, in order."""
        steps = 2**self.mantissa
        top = 2**self.exponent - (0 if self.finite else 1)
        first = np.arange(steps) * self.step
        rest = [(steps + np.arange(steps)) * self.step * 2.0**power for power in range(top - 1)]
        found = np.concatenate([first, *rest])
        return found[:-1] if self.finite else found


NARROW: Mapping[str, Grid] = {
    "float16": Grid(exponent=5, mantissa=10),
    "bfloat16": Grid(exponent=8, mantissa=7),
    "float8_e4m3fn": Grid(exponent=4, mantissa=3, finite=True),
    "float8_e5m2": Grid(exponent=5, mantissa=2),
}
"""Formats with few numbers; float32 and float64 change no draw that is a weight's."""

Elementwise: TypeAlias = Constant | Uniform | Normal | TruncatedNormal
"""Draws whose elements do not depend on each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounded:
    """A draw after rounding to nearest.

    Parameters
    ----------
    underflow
        Share of the samples that become 0.
    mean, std
        Of the rounded samples.
    distinct
        Numbers that at least one in 2^32 samples is rounded to.
    """

    underflow: float
    mean: float
    std: float
    distinct: int


def underflow(draw: Elementwise, dtype: str) -> float:
    """Share of samples that a format rounds to zero: ``P(|w| <= step / 2)``.

    Parameters
    ----------
    draw
        A draw whose elements do not depend on each other.
    dtype
        A name in `NARROW`; of any wider format the share is 0.

    Returns
    -------
    float
        0 for a constant that is zero, since nothing is lost.

    Examples
    --------
    >>> round(underflow(Normal(std=0.005), "float8_e4m3fn"), 3)
    0.155
    """
    if dtype not in NARROW:
        return 0.0
    half = 0.5 * NARROW[dtype].step
    if isinstance(draw, Constant):
        return 1.0 if 0.0 < abs(draw.value) <= half else 0.0
    return max(cdf(draw, half) - cdf(draw, -half), 0.0)


@lru_cache(maxsize=256)
def rounded(draw: Elementwise, dtype: str) -> Rounded:
    """Exact moments of a draw after rounding to the nearest number of a format.

    ``P(g) = F((g + g+) / 2) - F((g- + g) / 2)`` for each number g between its neighbours g- and g+.

    Parameters
    ----------
    draw
        A draw whose elements do not depend on each other.
    dtype
        A name in `NARROW`.

    Returns
    -------
    Rounded
        Share of zeros, mean, std, and how many numbers are hit.

    Raises
    ------
    UnknownNameError
        A format that is not narrow.

    Examples
    --------
    >>> after = rounded(Normal(std=0.005), "float8_e4m3fn")
    >>> round(after.std / 0.005, 3), after.distinct
    (1.006, 33)

    References
    ----------
    W. F. Sheppard, On the calculation of the most probable values of frequency-constants, 1898: while the
    step is small against the std, rounding adds ``step^2 / 12`` to the variance.
    """
    if dtype not in NARROW:
        raise nearest(str(dtype), NARROW, kind="narrow format")
    positive = NARROW[dtype].numbers
    # No draw of a weight reaches further; the cut keeps the tables of 16-bit formats short.
    reach = abs(draw.mean) + 40.0 * draw.std
    positive = positive[: int(np.searchsorted(positive, reach, side="right")) + 2]
    numbers = np.concatenate([-positive[:0:-1], positive])
    middle = 0.5 * (numbers[1:] + numbers[:-1])
    below = np.array([0.0, *(cdf(draw, float(x)) for x in middle), 1.0])
    share = np.diff(below)
    mean = float(share @ numbers)
    return Rounded(
        underflow=underflow(draw, dtype),
        mean=mean,
        std=math.sqrt(float(share @ (numbers - mean) ** 2)),
        distinct=int((share >= 2.0**-32).sum()),
    )
