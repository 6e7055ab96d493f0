"""Which factors are tried, which are dropped on the way, and which one is chosen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from fanin.errors import InputError, explain, finite
from fanin.records.study import Factor

__all__ = ["chosen", "factor_of", "grid", "rungs", "survivors"]

_KEPT = 3
"""One in so many factors goes on to the next round, with so many times the steps."""
_MOST = 101


def grid(between: tuple[float, float], points: int) -> tuple[float, ...]:
    """Factors evenly on a logarithmic axis, ``a (b/a)^(k/(n-1))``, and 1.

    Parameters
    ----------
    between
        Smallest and largest, around 1.
    points
        How many, 2 to 101; 1 is added where it is not among them.

    Raises
    ------
    InputError
        Ends that do not lie around 1, or another number of points.

    Examples
    --------
    >>> grid((0.25, 4.0), 5)
    (0.25, 0.5, 1.0, 2.0, 4.0)
    """
    low, high = between
    if not (finite(low) and finite(high) and 0.0 < low <= 1.0 <= high and low < high):
        raise InputError(
            explain(
                "The range of factors does not lie around 1",
                received=f"{low} to {high}",
                rule="Factor 1, the plan as it is, is what all others are compared with",
            )
        )
    if isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= _MOST:
        raise InputError(
            explain("There are no such points", received=points, rule=f"2 to {_MOST} factors are tried")
        )
    # Six digits: 1 is 1, and a name in a file is the number.
    raw = [float(f"{low * (high / low) ** (k / (points - 1)):.6g}") for k in range(points)]
    return tuple(sorted({*raw, 1.0}))


def factor_of(factor: float, losses: Sequence[float], steps: int) -> Factor:
    """A factor with the mean of its folds and the standard error, ``sd / √k``; inf where one diverged."""
    whole = all(math.isfinite(loss) for loss in losses)
    mean = math.fsum(losses) / len(losses) if whole else math.inf
    error = statistics.stdev(losses) / math.sqrt(len(losses)) if whole and len(losses) > 1 else math.inf
    return Factor(factor=factor, losses=tuple(losses), mean=mean, error=error, steps=steps)


def rungs(steps: int, count: int) -> tuple[int, ...]:
    """Steps of each round of successive halving: a ninth, a third, all; fewer rounds for few factors.

    Examples
    --------
    >>> rungs(900, 9), rungs(900, 3)
    ((100, 300, 900), (300, 900))
    """
    found = [steps]
    while count > 1 and len(found) < 3 and found[0] > _KEPT:
        found.insert(0, max(1, found[0] // _KEPT))
        count = math.ceil(count / _KEPT)
    return tuple(found)


def survivors(factors: Sequence[Factor]) -> list[float]:
    """The better third of the factors, and 1, in ascending order."""
    order = sorted(factors, key=lambda one: (one.mean, abs(math.log(one.factor))))
    return sorted({1.0, *(one.factor for one in order[: math.ceil(len(order) / _KEPT)])})


def chosen(factors: Sequence[Factor]) -> tuple[float, float]:
    """The best factor, and the one to take: within one standard error of the best, the nearest to 1.

    Only factors that were given all steps count. Where all diverged, 1 is both.

    Parameters
    ----------
    factors
        The curve.

    Examples
    --------
    >>> curve = [factor_of(1.0, (0.5, 0.52), 9), factor_of(2.0, (0.46, 0.54), 9)]
    >>> chosen(curve)
    (2.0, 1.0)

    References
    ----------
    L. Breiman et al., Classification and Regression Trees, 1984, section 3.4.3.
    """
    most = max(one.steps for one in factors)
    whole = [one for one in factors if one.steps == most and math.isfinite(one.mean)]
    if not whole:
        return 1.0, 1.0
    best = min(whole, key=lambda one: (one.mean, abs(math.log(one.factor))))
    edge = best.mean + (best.error if math.isfinite(best.error) else 0.0)
    near = [one for one in whole if one.mean <= edge]
    return best.factor, min(near, key=lambda one: (abs(math.log(one.factor)), one.mean)).factor
