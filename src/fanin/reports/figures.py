"""How figures and sets of names are written, in text and in HTML alike."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from fanin.records.table import NUMBER

__all__ = [
    "bars",
    "count",
    "decimals",
    "fold",
    "pattern",
    "percent",
    "plural",
    "printed",
    "science",
    "short",
    "span",
]

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_POWER = re.compile(r"(?<![\w.])([-+]?\d+(?:\.\d+)?)e\+?(-?\d+)(?!\w)")
_BLOCKS = "▁▂▃▄▅▆▇█"


def short(value: float | None, digits: int = 2) -> str:
    """Write a figure with few digits and no padding: ``0.33``, ``1500``, ``3e-24``; "" for None."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    if value == 0.0:
        return "0"
    size = abs(value)
    if 0.001 <= size < 1e4:
        text = f"{value:.{digits}g}"
        return f"{value:.0f}" if "e" in text else text
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def science(value: float | None, digits: int = 2) -> str:
    """Write a figure as in print: ``3×10⁻²⁴`` where `short` writes ``3e-24``."""
    mantissa, mark, exponent = short(value, digits).partition("e")
    return f"{mantissa}×10{exponent.translate(_SUPERSCRIPTS)}" if mark else mantissa


def printed(text: str) -> str:
    """Write a figure that is text already as in print: ``2.8×10⁻³⁷`` for ``2.8e-37``."""
    return _POWER.sub(lambda found: f"{found[1]}×10{str(int(found[2])).translate(_SUPERSCRIPTS)}", text)


def decimals(value: float, digits: int = 2) -> str:
    """Write a figure with so many decimals, so that figures below each other can be compared: ``10.00``."""
    return f"{value:.{digits}f}" if abs(value) < 1e4 else science(value, digits + 1)


def percent(value: float | None) -> str:
    """Write a share: ``43%``, ``<1%`` for what is small but not nothing, "" for None."""
    if value is None or not math.isfinite(value):
        return "" if value is None else str(value)
    if 0.0 < value < 0.01:
        return "<1%"
    return ">99%" if 0.99 < value < 1.0 else f"{100 * value:.0f}%"


def span(first: str, last: str, *, arrow: str = "→") -> str:
    """Write two figures as one cell; one when they read the same."""
    return first if first == last else f"{first}{arrow}{last}"


def count(number: int) -> str:
    """Write a count with thin groups of thousands: ``1 234 567``."""
    return f"{number:,}".replace(",", "\u202f")


def plural(number: int, word: str) -> str:
    """Write ``1 finding``, ``2 findings``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def bars(values: Sequence[float | None], width: int = 8) -> str:
    """Draw the logarithms of positive values as a row of at most `width` small bars.

    All values within a factor of two give bars of one height, so that noise does not look like a slope.
    A value that is missing, zero or not finite leaves a blank.
    """
    if len(values) > width:
        places = [round(i * (len(values) - 1) / (width - 1)) for i in range(width)]
        values = [values[place] for place in places]
    logs = [math.log(v) if v is not None and math.isfinite(v) and v > 0.0 else None for v in values]
    known = [v for v in logs if v is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    if high - low < math.log(2.0):
        return "".join(" " if v is None else _BLOCKS[3] for v in logs)
    scale = (len(_BLOCKS) - 1) / (high - low)
    return "".join(" " if v is None else _BLOCKS[round((v - low) * scale)] for v in logs)


def pattern(name: str) -> str:
    """Replace every number of a dotted path by ``#``: names of repeated blocks become equal."""
    return NUMBER.sub("#", name)


def fold(names: Sequence[str]) -> str:
    """Write names that share a pattern as one: ``layers.0-31.weight ×32``.

    A component that takes several values is written as its range, whatever the step between them:
    the count says how many there are. Two or three values far apart are listed.
    """
    if len(names) == 1:
        return names[0]
    columns = zip(*(map(int, NUMBER.findall(name)) for name in names), strict=True)
    ranges = iter([_range(sorted(set(column))) for column in columns])
    return f"{NUMBER.sub(lambda _: next(ranges), names[0])} ×{len(names)}"


def _range(numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1]
    if len(numbers) <= 3 and last - first >= len(numbers):
        return ",".join(map(str, numbers))
    return str(first) if first == last else f"{first}-{last}"
