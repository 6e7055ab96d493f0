"""Figures of a distribution beyond its moments: the largest of many, entropy, loss to rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fanin.errors import InputError, nearest
from fanin.laws import moments
from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.schemes.fit import coarseness

__all__ = ["COMPLEX", "FORMATS", "Format", "density", "entropy", "largest", "lost", "rounding_note"]

Smooth = Uniform | Normal | TruncatedNormal


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A binary floating-point format: bits of its fraction, and its least exponent."""

    fraction: int
    least: int

    @property
    def unit(self) -> float:
        """Largest relative error of rounding a normal number."""
        return math.ldexp(1.0, -self.fraction - 1)

    @property
    def tiny(self) -> float:
        """Smallest positive number, subnormal."""
        return math.ldexp(1.0, self.least - self.fraction)


FORMATS = {
    "float64": Format(fraction=52, least=-1022),
    "float32": Format(fraction=23, least=-126),
    "float16": Format(fraction=10, least=-14),
    "bfloat16": Format(fraction=7, least=-126),
    "float8_e4m3fn": Format(fraction=3, least=-6),
    "float8_e5m2": Format(fraction=2, least=-14),
}
"""IEEE 754 formats and those of OCP's 8-bit floating-point specification."""

COMPLEX = {"complex64": "float32", "complex128": "float64"}
"""Formats of complex numbers, and that of their two parts."""
_SHORT = {"fp64": "float64", "fp32": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}


def _format(dtype: str) -> Format:
    name = COMPLEX.get(dtype, _SHORT.get(dtype, dtype))
    if name not in FORMATS:
        raise nearest(dtype, [*FORMATS, *_SHORT, *COMPLEX], kind="dtype")
    return FORMATS[name]


def density(draw: Smooth) -> Callable[[float], float]:
    """The density of a draw, as a function of the weight.

    Examples
    --------
    >>> density(Uniform(low=-1.0, high=1.0))(0.5)
    0.5
    """

    def value(x: float) -> float:
        match draw:
            case Uniform():
                return 1.0 / (draw.high - draw.low) if draw.low <= x <= draw.high else 0.0
            case Normal():
                return _bell((x - draw.mean) / draw.std) / draw.std
            case TruncatedNormal():
                z = (x - draw.parent_mean) / draw.parent_std
                return _bell(z) / draw.parent_std / _mass(draw) if draw.lower <= z <= draw.upper else 0.0

    return value


def entropy(draw: Smooth) -> float:
    """Differential entropy in nats, ``-E ln p(w)``.

    Uniform: ``ln(b - a)``; normal: ``ln(sigma sqrt(2 pi e))``, the most that a variance allows; cut
    normal: ``ln(s Z sqrt(2 pi)) + E z^2 / 2`` with the mass Z that the bounds keep.

    Examples
    --------
    >>> entropy(Uniform(low=0.0, high=1.0))
    0.0
    """
    match draw:
        case Uniform():
            return math.log(draw.high - draw.low)
        case Normal():
            return math.log(draw.std) + 0.5 * math.log(2.0 * math.pi * math.e)
        case TruncatedNormal():
            cut = moments.cut_moments(draw.lower, draw.upper)
            square = cut.variance + cut.mean**2
            return math.log(draw.parent_std * _mass(draw) * math.sqrt(2.0 * math.pi)) + 0.5 * square


def largest(draw: Smooth, count: int) -> float:
    """Expected largest ``|w - E w|`` among `count` weights: ``integral_0^inf 1 - F(t)^count dt``.

    F is the distribution function of ``|w - E w|``. For a uniform of half width b it is
    ``b count / (count + 1)``.

    Examples
    --------
    >>> round(largest(Normal(std=1.0), 1), 4) == round(math.sqrt(2 / math.pi), 4)
    True
    """
    if isinstance(draw, Uniform):
        return 0.5 * (draw.high - draw.low) * count / (count + 1.0)
    # Beyond 12 parent deviations nothing is left, even of 2^60 weights.
    spread = draw.parent_std if isinstance(draw, TruncatedNormal) else draw.std
    end = 12.0 * spread
    if isinstance(draw, TruncatedNormal):
        ends = [abs(draw.parent_mean + k * spread - draw.mean) for k in (draw.lower, draw.upper)]
        end = min(end, max(ends))
    points, weights = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(0.0, end, 129)
    half = 0.5 * np.diff(edges)
    total = 0.0
    for left, width in zip(edges[:-1], half, strict=True):
        for x, w in zip(points, weights, strict=True):
            total += width * w * _exceeded(_beyond(draw, float(left + width * (1.0 + x))), count)
    return float(total)


def lost(draw: Smooth, dtype: str) -> tuple[float, float]:
    """What rounding to a format does: the largest relative error, and the share of weights that become 0.

    Raises
    ------
    UnknownNameError
        A format that is not in `FORMATS`.

    Examples
    --------
    >>> lost(Normal(std=0.02), "bf16")[0] == 2**-8
    True
    """
    kind = _format(dtype)
    edge = 0.5 * kind.tiny
    if edge < 1e-6 * draw.std:  # a difference of distribution functions would have few digits left
        return kind.unit, 2.0 * edge * density(draw)(0.0)
    return kind.unit, moments.cdf(draw, edge) - moments.cdf(draw, -edge)


def rounding_note(draw: Draw, dtype: str) -> list[str]:
    """What sampling in this format would warn of, or refuse; nothing for most draws."""
    _format(dtype)
    name = _SHORT.get(dtype, dtype)
    try:
        told = coarseness(draw, name)
    except InputError as error:
        return [str(error)]
    return [f"{name} is coarse for this draw: {told}."] if told else []


def _beyond(draw: Normal | TruncatedNormal, t: float) -> float:
    """P(|w - E w| > t), as a sum of tails: near 0 a difference from 1 would have no digits left."""
    if isinstance(draw, Normal):
        return math.erfc(t / draw.std / math.sqrt(2.0))
    mirrored = replace(
        draw, mean=-draw.mean, parent_mean=-draw.parent_mean, lower=-draw.upper, upper=-draw.lower
    )
    return moments.cdf(draw, draw.mean - t) + moments.cdf(mirrored, mirrored.mean - t)


def _exceeded(tail: float, count: int) -> float:
    """Probability that one of `count` is beyond: ``1 - (1 - tail)^count``."""
    return -math.expm1(count * math.log1p(-tail)) if tail < 1.0 else 1.0


def _bell(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def _mass(draw: TruncatedNormal) -> float:
    parent = Normal(std=1.0)
    return moments.cdf(parent, draw.upper) - moments.cdf(parent, draw.lower)
