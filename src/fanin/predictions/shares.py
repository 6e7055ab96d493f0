"""Units that never fire, and units at their bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fanin.laws.bounds import bounds
from fanin.laws.quadrature import NODES
from fanin.laws.recursion import dead_share
from fanin.predictions.signal import Signal

__all__ = ["dead", "one_sided", "saturated"]

_CENTRED = 1e-3


def one_sided(values: Sequence[float]) -> bool:
    """Whether f is zero for every negative input, so that a unit can be dead."""
    negative = [v for x, v in zip(NODES, values, strict=True) if x < 0]
    return all(v == 0.0 for v in negative) and any(v != 0.0 for v in values)


def dead(values: Sequence[float], before: Signal, samples: int, places: float) -> float | None:
    """Share of units that no observation makes positive; None for functions that do not die.

    Observations of one sample are as alike as `near`, so for these many positions a sample count as a few:
    only the samples are counted where positions are alike, all observations where they are not.
    """
    if not one_sided(values) or before.mean**2 > _CENTRED * before.power:
        return None
    near, far = max(before.near_correlation, 0.0), max(before.far_correlation, 0.0)
    alike = min(1.0, near + (1.0 - near) / max(places, 1.0))
    independent = max(1.0, min(places, 1.0 / max(alike, 1e-9)))
    return dead_share(min(far, 1.0), max(1, round(samples * independent)))


def saturated(values: Sequence[float], before: Signal) -> float | None:
    """Share of a bounded activation's inputs beyond its bounds; None for one without bounds."""
    edges = bounds(values)
    if edges is None:
        return None
    sd = math.sqrt(before.variance)
    if sd == 0.0:
        return float(before.mean <= edges.low_input or before.mean >= edges.high_input)
    below = 0.5 * math.erfc((before.mean - edges.low_input) / sd / math.sqrt(2.0))
    above = 0.5 * math.erfc((edges.high_input - before.mean) / sd / math.sqrt(2.0))
    return below + above
