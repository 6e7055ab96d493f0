"""The band for the power of a layer's outputs, at a false alarm rate of 1e-9.

Each output is ``y = sum_f w_f x_f`` over ``fan_in`` terms, so ``E y^2 = fan_in Var[w]``. The band has four
parts, all relative: the number of outputs (4 / (samples units), a Gaussian product's), a common input for
all units of a sample (2 / (samples fan)), a common weight for all samples of a unit (2 / (units fan)), and
the weights' own spread ((kurtosis - 1) / weights).
"""

from __future__ import annotations

import math

from fanin.laws import moments
from fanin.records.draw import Draw

__all__ = ["Z", "band", "check"]

Z = 6.2  # two-sided false-alarm rate below 1e-9


def band(draw: Draw, *, samples: int, fan: float, units: int, weights: int) -> float:
    """Half-width of the mean square of all outputs, relative to its expectation."""
    kurtosis = max(moments.kurtosis(draw), 1.0)
    return Z * math.sqrt(
        4 / (samples * units) + 2 / (samples * fan) + (kurtosis - 1) / weights + 2 / (units * fan)
    )


def check(got: float, expected: float, half: float) -> None:
    """Raise unless a power is what was promised."""
    if not abs(got / expected - 1) <= half:
        raise AssertionError(f"power {got:.5g}, expected {expected:.5g} within {half:.2%}")
