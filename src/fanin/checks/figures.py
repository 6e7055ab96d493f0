"""Numbers as people read them."""

from __future__ import annotations

import math

__all__ = ["decades", "log_ratio", "percent", "ratio", "times"]


def log_ratio(numerator: float, denominator: float) -> float:
    """``ln(numerator / denominator)`` of two powers; infinite where exactly one of them is 0."""
    if numerator == denominator:
        return 0.0
    if numerator <= 0.0:
        return -math.inf
    if denominator <= 0.0:
        return math.inf
    return math.log(numerator) - math.log(denominator)


def times(factor: float) -> str:
    """A factor: 3.2, or 1/6.0 below 1.

    Examples
    --------
    >>> times(1 / 6), times(2.449), times(0.0)
    ('1/6', '2.45', '0')
    """
    if factor <= 0.0:
        return "0"
    return f"1/{1.0 / factor:.3g}" if factor < 1.0 else f"{factor:.3g}"


def ratio(factor: float) -> str:
    """How far a factor is from 1, whichever way: what something falls or grows by.

    Examples
    --------
    >>> ratio(1 / 6), ratio(2.449), ratio(0.0)
    ('6', '2.45', 'inf')
    """
    return f"{max(factor, 1.0 / factor):.3g}" if factor > 0.0 else "inf"


def decades(log: float) -> str:
    """A natural logarithm in words: "21.6 powers of ten"."""
    if math.isinf(log):
        return "to exactly zero" if log < 0 else "beyond the number format"
    return f"{abs(log) / math.log(10.0):.1f} powers of ten"


def percent(share: float) -> str:
    """A share of 1 in per cent.

    Examples
    --------
    >>> percent(0.431), percent(0.004)
    ('43 %', '0.4 %')
    """
    return f"{100 * share:.0f} %" if share >= 0.02 or share == 0.0 else f"{100 * share:.1f} %"
