"""Two arms under the same seeds: the difference, its interval, and whether it is shown."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fanin.errors import InputError, explain
from fanin.experiments.parts import library
from fanin.records.study import Contrast

__all__ = ["LEVEL", "POWER", "contrasts", "interval"]

LEVEL = 0.05
"""Share of studies without any difference in which one is shown all the same, at the most."""
POWER = 0.8
"""Share of studies in which the detectable difference is shown."""


def contrasts(scores: Mapping[str, Sequence[float]], *, grain: float = 0.0) -> tuple[Contrast, ...]:
    """Compare every two arms, seed by seed.

    ``t = mean(d) / (sd(d) / √n)`` for the differences d of n seeds, Student's law with n - 1 degrees of
    freedom, two-sided; p-values are raised by Holm's method for the number of pairs. The detectable
    difference is ``(t_{1 - level/2} + t_{power}) sd(d) / √n`` for one pair alone.

    Parameters
    ----------
    scores
        For each arm its scores, one a seed, in the same order of seeds.
    grain
        What one test sample changes of a score: a smaller spread of the differences counts as this, since
        a few equal differences are no proof that all would be.

    Returns
    -------
    tuple of Contrast
        Every pair, in the order of the arms. With one seed nothing can be shown.

    Raises
    ------
    InputError
        Arms with different numbers of seeds.

    Examples
    --------
    >>> found = contrasts({"a": [1.0, 2.0, 3.5], "b": [0.0, 1.1, 2.4]})[0]
    >>> found.shown, round(found.mean, 3)
    (True, 1.0)

    References
    ----------
    S. Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    if len({len(values) for values in scores.values()}) > 1:
        told = ", ".join(f"{name}: {len(values)}" for name, values in scores.items())
        raise InputError(explain("Arms cannot be paired", received=told, rule="All have the same seeds"))
    stats: Any = library("scipy.stats", "scipy", "A comparison")
    found = [
        _contrast(stats, a, b, [x - y for x, y in zip(scores[a], scores[b], strict=True)], grain)
        for a, b in itertools.combinations(scores, 2)
    ]
    order = sorted(range(len(found)), key=lambda place: found[place].p)
    raised = 0.0
    for rank, place in enumerate(order):
        raised = max(raised, min(1.0, (len(found) - rank) * found[place].p))
        found[place] = replace(found[place], p=raised, shown=raised < LEVEL)
    return tuple(found)


def _contrast(stats: Any, first: str, second: str, differences: Sequence[float], grain: float) -> Contrast:
    count = len(differences)
    mean = math.fsum(differences) / count
    if count < 2:
        low, high, p, detectable = -math.inf, math.inf, 1.0, math.inf
    else:
        error = max(statistics.stdev(differences), grain) / math.sqrt(count)
        edge = float(stats.t.ppf(1.0 - LEVEL / 2.0, count - 1))
        low, high = mean - edge * error, mean + edge * error
        detectable = (edge + float(stats.t.ppf(POWER, count - 1))) * error
        if error > 0.0:
            p = 2.0 * float(stats.t.sf(abs(mean) / error, count - 1))
        else:
            p = 1.0 if mean == 0.0 else 0.0
    return Contrast(
        first=first, second=second, seeds=count, mean=mean, low=low, high=high, p=p,
        detectable=detectable, shown=False,
    )  # fmt: skip


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean of some scores, and the ends of its 95 % interval by Student's law; infinite for one score.

    Parameters
    ----------
    values
        One a seed.

    Examples
    --------
    >>> interval([1.0, 1.0, 1.0])
    (1.0, 1.0, 1.0)
    """
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, -math.inf, math.inf
    stats: Any = library("scipy.stats", "scipy", "An interval")
    half = (
        float(stats.t.ppf(1.0 - LEVEL / 2.0, len(values) - 1))
        * statistics.stdev(values)
        / math.sqrt(len(values))
    )
    return mean, mean - half, mean + half
