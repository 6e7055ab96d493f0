"""Where a bounded activation is flat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fanin.laws.quadrature import NODES, Values

__all__ = ["FLAT", "Bounds", "bounds"]

FLAT = 0.06
"""Share of the largest slope below which a unit counts as saturated: ``|tanh| > 0.97``."""

_TWO_SIDED = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Outputs at or beyond which a bounded activation is flat, and the inputs that lead there."""

    low: float
    high: float
    low_input: float
    high_input: float


def bounds(values: Values) -> Bounds | None:
    """Find where a monotone activation that is flat at both ends has lost its slope.

    Parameters
    ----------
    values
        f on `fanin.laws.quadrature.NODES`.

    Returns
    -------
    Bounds or None
        None for a function that is not bounded on both sides, or flat from 0 on (ReLU6), where
        half of all inputs are meant to be flat.

    Examples
    --------
    >>> found = bounds(np.tanh(NODES))
    >>> round(found.high, 2), bounds(np.maximum(NODES, 0.0)) is None
    (0.97, True)
    """
    return _bounds(tuple(float(v) for v in values))


@lru_cache(maxsize=64)
def _bounds(values: tuple[float, ...]) -> Bounds | None:
    f = np.asarray(values)
    slope = np.gradient(f, NODES)
    steepest = float(np.abs(slope).max())
    if not steepest > 0.0:
        return None
    sign = 1.0 if slope[np.abs(slope).argmax()] > 0 else -1.0
    slope = slope * sign
    if slope.min() < -1e-6 * steepest:
        return None
    steep = np.flatnonzero(slope >= FLAT * steepest)
    left, right = steep[0], steep[-1]
    if left == 0 or right == len(f) - 1:
        return None
    if not NODES[left] < -_TWO_SIDED or not NODES[right] > _TWO_SIDED:
        return None
    ends = sorted((float(f[left - 1]), float(f[right + 1])))
    return Bounds(
        low=ends[0],
        high=ends[1],
        low_input=float(NODES[left - 1]),
        high_input=float(NODES[right + 1]),
    )
