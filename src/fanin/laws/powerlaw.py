"""How a figure goes with a size: the exponent of a power law, and its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fanin.errors import InputError, explain

__all__ = ["PowerLaw", "power_law"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """``y = c x^exponent``, with the exponent's standard error and `count` observations.

    Examples
    --------
    >>> PowerLaw(exponent=0.5, error=0.1, count=9).z
    5.0
    """

    exponent: float
    error: float
    count: int

    @property
    def z(self) -> float:
        """The exponent in standard errors."""
        if self.error > 0.0:
            return self.exponent / self.error
        return math.copysign(math.inf, self.exponent) if self.exponent else 0.0


def power_law(sizes: Sequence[float], values: Sequence[float]) -> PowerLaw:
    """Fit ``ln y = a + b ln x`` by least squares.

    ``b = S_xy / S_xx`` and its variance ``(S_yy - b S_xy) / ((n - 2) S_xx)``, with S the sums of products of
    deviations from the means of the logarithms.

    Parameters
    ----------
    sizes, values
        x and y, positive; sizes may repeat (several draws of one width).

    Returns
    -------
    PowerLaw

    Raises
    ------
    InputError
        Numbers that are not positive, fewer than three of them, or fewer than two sizes.

    Examples
    --------
    >>> fit = power_law([64, 128, 256], [8.0, 16.0, 32.0])
    >>> round(fit.exponent, 9), round(fit.error, 9)
    (1.0, 0.0)
    """
    good = len(sizes) == len(values) >= 3 and all(0.0 < v < math.inf for v in (*sizes, *values))
    if not good or len(set(sizes)) < 2:
        raise InputError(
            explain(
                "No power law goes through these numbers",
                received=f"{len(sizes)} sizes and {len(values)} values",
                rule="Three positive numbers or more, of two sizes or more",
            )
        )
    x, y = ([math.log(v) for v in numbers] for numbers in (sizes, values))
    middle_x, middle_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    x, y = [v - middle_x for v in x], [v - middle_y for v in y]
    own = math.fsum(v * v for v in x)
    slope = math.fsum(a * b for a, b in zip(x, y, strict=True)) / own
    left = math.fsum((b - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    return PowerLaw(exponent=slope, error=math.sqrt(left / (len(x) - 2) / own), count=len(x))
