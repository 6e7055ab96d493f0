"""Whether a weight fits: this machine's memory, and the numbers of a narrow format."""

from __future__ import annotations

import inspect
import math
import os
import warnings

from fanin.errors import InputError, PrecisionWarning, explain
from fanin.laws.rounding import NARROW, rounded, underflow
from fanin.records.draw import Constant, Draw, Normal, TruncatedNormal, Uniform

__all__ = ["check_memory", "check_rounding", "coarseness"]

STD_OFF = 0.01
"""Change of the std by rounding that is worth a warning: in five layers the power changes by a tenth."""
LOST = 0.1
"""Share of weights rounded to 0 that is worth a warning: a tenth of the connections."""
NOTHING = 1.0 - 2.0**-32
"""Share of zeros beyond which no word of 32 bits gives anything else."""


def check_memory(sizes: tuple[int, ...], itemsize: int) -> None:
    """Refuse an array that is larger than this machine's memory, before anything is asked for."""
    wanted = math.prod(sizes) * itemsize
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not a POSIX system: what one array may address
        there = 2**47
    if wanted > there:
        raise InputError(
            explain(
                "The weight is larger than this machine's memory",
                received=f"shape {sizes}: {wanted / 2**30:.4g} GiB of {there / 2**30:.4g}",
                remedy="Draw it in parts with fanin.sampling.engine.fill_slice, which gives the same numbers",
            )
        )


def coarseness(draw: Draw, dtype: str, *, name: str = "") -> str:
    """What a format too coarse for a draw does to it, with the figures; empty if that is not worth a word.

    Raises
    ------
    InputError
        A format in which every weight would be 0.

    Examples
    --------
    >>> print(coarseness(Normal(std=0.005), "float8_e4m3fn"))
    15.49% of the weights become 0, the std becomes 0.005032
    """
    if dtype not in NARROW or not isinstance(draw, Constant | Uniform | Normal | TruncatedNormal):
        return ""
    lost = underflow(draw, dtype)
    if lost == 0.0:
        return ""
    if lost > NOTHING:
        whose = f" of '{name}'" if name else ""
        raise InputError(
            explain(
                f"Every weight{whose} would be rounded to 0",
                received=_figures(draw, dtype),
                remedy="Draw in float32 and keep a scale beside the weight, or use a wider dtype",
            )
        )
    if draw.std == 0.0 or (lost < LOST and NARROW[dtype].step < draw.std * math.sqrt(24.0 * STD_OFF)):
        # Sheppard: the variance grows by step^2 / 12, and so the std by its 24th part.
        return ""
    after = rounded(draw, dtype)
    if lost < LOST and abs(after.std / draw.std - 1.0) <= STD_OFF:
        return ""
    return f"{lost:.2%} of the weights become 0, the std becomes {after.std:.4g}"


def check_rounding(draw: Draw, dtype: str, *, name: str = "", more: int = 0) -> None:
    """Warn where a format's numbers are too coarse for a draw; refuse where nothing but 0 is left.

    The warning is about the line that called fanin, so that Python shows it once for each such line.

    Parameters
    ----------
    draw, dtype
        What is drawn, and the format that it is rounded to.
    name, more
        Of the weight, where there are several; how many others have the same trouble.

    Raises
    ------
    InputError
        A format in which every weight would be 0.
    """
    told = coarseness(draw, dtype, name=name)
    if told:
        others = f" and {more} more" if more else ""
        text = explain(
            f"{dtype} is coarse for " + (f"'{name}'{others}" if name else "this draw"),
            received=_figures(draw, dtype),
            rule=told,
            remedy="Keep a scale beside the weight, or use a wider dtype",
        )
        warnings.warn(text, PrecisionWarning, stacklevel=_callers_level())


def _figures(draw: Draw, dtype: str) -> str:
    return f"{draw} in {dtype}, whose smallest number is {NARROW[dtype].step:.4g}"


def _callers_level() -> int:
    """How many frames above the one that warns the first one outside of this package is."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "fanin":
        frame, level = frame.f_back, level + 1
    # The frame of this function is one that warnings.warn does not see.
    return level
