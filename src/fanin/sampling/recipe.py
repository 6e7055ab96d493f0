"""From a draw to the numbers both backends compute with: the only place that reads a `Draw`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from fanin.errors import InputError, explain
from fanin.records.draw import Constant, Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.cast import format_of
from fanin.sampling.far import FAR
from fanin.sampling.mass import far_ratio, lower_mass

__all__ = ["FarTail", "Kind", "Recipe", "check_reach", "constant", "recipe"]

_NARROW_MASS = 1 << 28
"""Least mass, in units of 2**-32, that one word resolves: 2**28 words, and 2**22 floats, or more."""
_FAR_MASS = 1 << 24
"""Least mass, in units of 2**-64, that two words resolve in a far tail."""
_REACH = {False: 6.3, True: 9.2}
"""No standard normal of one word (two words) is larger: Phi^-1(2**-32) and Phi^-1(2**-64), rounded up."""


class Kind(IntEnum):
    """The base draw of an element; the numbers are part of the kernel's interface."""

    UNIFORM = 0
    NORMAL = 1
    TRUNCATED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FarTail:
    """A truncated normal with both bounds in one far tail; `lower` mirrors it to the negative side."""

    near: float
    ratio: float
    complement: float
    mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An element is ``base * scale + shift`` with base clamped to [low, high] (uniform: the result).

    Parameters
    ----------
    wide
        Whether the base comes from two words in float64; always so when the result is float64.
    scale, shift
        Applied in float64 for float64 results, otherwise in float32 with one rounding each.
    start, width
        Truncated draws: first word and number of words, in units of 2**-32 (wide: 2**-64).
    """

    kind: Kind
    wide: bool
    scale: float
    shift: float
    low: float = -math.inf
    high: float = math.inf
    start: int = 0
    width: int = 0
    far: FarTail | None = None


def recipe(draw: Draw, dtype: str) -> Recipe:
    """Check an elementwise random draw and turn it into a `Recipe` for `dtype`.

    Raises
    ------
    InputError
        Numbers that are not finite, a std that is not positive, bounds in the wrong order, or
        values that `dtype` cannot hold.
    """
    match draw:
        case Uniform():
            made = _uniform(draw, dtype)
            reach = max(abs(draw.low), abs(draw.high))
        case Normal():
            _check_finite(draw, mean=draw.mean, std=draw.std)
            _check_std(draw, draw.std)
            wide = dtype == "float64"
            scale, shift = _number(draw.std, dtype, draw), _number(draw.mean, dtype, draw)
            made = Recipe(kind=Kind.NORMAL, wide=wide, scale=scale, shift=shift)
            reach = abs(draw.mean) + _REACH[wide] * draw.std
        case TruncatedNormal():
            made = _truncated(draw, dtype)
            bound = min(max(abs(draw.lower), abs(draw.upper)), max(_REACH[True], _nearest_bound(draw) + 7.0))
            reach = abs(draw.parent_mean) + bound * draw.parent_std
        case _:
            raise InputError(
                explain(
                    "This draw has no elementwise recipe",
                    received=type(draw).__name__,
                    rule="Uniform, Normal and TruncatedNormal draw element by element",
                )
            )
    check_reach(draw, reach, dtype)
    return made


def check_reach(draw: Draw, reach: float, dtype: str) -> None:
    """Refuse values that would overflow `dtype`."""
    largest = format_of(dtype).largest
    if not reach <= largest:
        raise InputError(
            explain(
                f"The values do not fit {dtype}",
                received=f"{draw} reaches {reach:.4g}",
                rule=f"The largest finite {dtype} is {largest:.4g}",
                remedy="Use a wider dtype or a smaller std",
            )
        )


def constant(draw: Constant, dtype: str) -> float:
    """The value of a constant draw, checked."""
    _check_finite(draw, value=draw.value)
    check_reach(draw, abs(draw.value), dtype)
    return draw.value


def _uniform(draw: Uniform, dtype: str) -> Recipe:
    _check_finite(draw, low=draw.low, high=draw.high)
    if not draw.low < draw.high:
        raise InputError(
            explain(
                "The interval of a uniform draw is empty",
                received=f"low={draw.low!r}, high={draw.high!r}",
                rule="low must be less than high",
                remedy="Swap the bounds, or use Constant",
            )
        )
    half = _number(0.5 * draw.high - 0.5 * draw.low, dtype, draw, positive=True)
    if draw.low == -draw.high:
        return Recipe(kind=Kind.UNIFORM, wide=dtype == "float64", scale=half, shift=0.0)
    low, high = _inside(draw, draw.low, draw.high, dtype)
    middle = _number(0.5 * draw.low + 0.5 * draw.high, dtype, draw)
    return Recipe(kind=Kind.UNIFORM, wide=dtype == "float64", scale=half, shift=middle, low=low, high=high)


def _truncated(draw: TruncatedNormal, dtype: str) -> Recipe:
    _check_finite(draw, mean=draw.mean, parent_mean=draw.parent_mean)
    _check_std(draw, draw.std)
    _check_std(draw, draw.parent_std, "parent_std")
    if not draw.lower < draw.upper:
        raise InputError(
            explain(
                "The interval of a truncated normal is empty",
                received=f"lower={draw.lower!r}, upper={draw.upper!r} (in parent sigma)",
                rule="lower must be less than upper",
                remedy="Swap the bounds, or use Constant",
            )
        )
    scale = _number(draw.parent_std, dtype, draw, positive=True)
    shift = _number(draw.parent_mean, dtype, draw)
    wide = dtype == "float64"
    start, width = _window(draw, 64 if wide else 32)
    if not wide and width < _NARROW_MASS:
        wide = True
        start, width = _window(draw, 64)
    low, high = _inside(draw, draw.lower, draw.upper, dtype)
    far = None
    if width < _FAR_MASS and wide and _nearest_bound(draw) > FAR:
        mirrored = draw.upper < 0
        near, end = (-draw.upper, -draw.lower) if mirrored else (draw.lower, draw.upper)
        ratio, complement = far_ratio(near, end)
        far = FarTail(near=near, ratio=ratio, complement=complement, mirrored=mirrored)
    if width == 1 << (64 if wide else 32):
        # The bounds lie beyond every number a word can give.
        return Recipe(kind=Kind.NORMAL, wide=wide, scale=scale, shift=shift)
    return Recipe(
        kind=Kind.TRUNCATED,
        wide=wide,
        scale=scale,
        shift=shift,
        low=low,
        high=high,
        start=start,
        width=width,
        far=far,
    )


def _window(draw: TruncatedNormal, bits: int) -> tuple[int, int]:
    start = lower_mass(float(draw.lower), bits)
    return start, lower_mass(float(draw.upper), bits) - start


def _nearest_bound(draw: TruncatedNormal) -> float:
    return max(draw.lower, -draw.upper, 0.0)


def _inside(draw: Draw, low: float, high: float, dtype: str) -> tuple[float, float]:
    """The bounds in the precision of the arithmetic, rounded inwards."""
    if dtype == "float64":
        return float(low), float(high)
    with np.errstate(over="ignore"):
        first, last = np.float32(low), np.float32(high)
    if float(first) < low:
        first = np.nextafter(first, np.float32(math.inf))
    if float(last) > high:
        last = np.nextafter(last, np.float32(-math.inf))
    if first > last:
        raise InputError(
            explain(
                "The interval holds no float32 number",
                received=str(draw),
                rule=f"A draw for {dtype} is computed in float32",
                remedy="Use dtype float64, wider bounds, or Constant",
            )
        )
    return float(first), float(last)


def _number(value: float, dtype: str, draw: Draw, *, positive: bool = False) -> float:
    """`value` in the precision of the arithmetic."""
    if dtype == "float64":
        return float(value)
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(np.float32(value))
    if not math.isfinite(rounded) or (positive and rounded == 0.0):
        raise InputError(
            explain(
                "A number of the draw does not fit float32",
                received=f"{value!r} in {draw}",
                rule=f"A draw for {dtype} is computed in float32",
                remedy="Use dtype float64",
            )
        )
    return rounded


def _check_finite(draw: Draw, **numbers: float) -> None:
    for label, value in numbers.items():
        if not math.isfinite(value):
            raise InputError(
                explain(
                    f"The {label} of a draw is not finite",
                    received=f"{label}={value!r} in {type(draw).__name__}",
                    rule="Draws need finite numbers",
                )
            )


def _check_std(draw: Draw, value: float, label: str = "std") -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise InputError(
            explain(
                f"The {label} of a random draw must be positive",
                received=f"{label}={value!r} in {type(draw).__name__}",
                rule="0 < std < infinity",
                remedy="Use Constant for a draw without spread",
            )
        )
