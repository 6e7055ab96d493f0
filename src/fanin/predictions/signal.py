"""What is known of a node's output while a prediction is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fanin.laws.band import Chance
from fanin.records.prediction import Certainty

__all__ = ["Marginal", "Signal", "joined"]

Floats = NDArray[np.float64]

_RANK = {Certainty.EXACT: 0, Certainty.APPROXIMATE: 1, Certainty.UNKNOWN: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginal:
    """The law of a single unit, of mean 0 and variance 1: points, and their masses."""

    points: tuple[float, ...]
    masses: tuple[float, ...]

    def table(self) -> tuple[Floats, Floats]:
        """Points and masses as arrays."""
        return np.asarray(self.points), np.asarray(self.masses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Moments over units, positions, samples, and draws of the weights.

    Parameters
    ----------
    mean, power
        ``E x`` and ``E x^2``.
    near, far
        ``E x x'`` at the same unit: of two positions of one sample, and of two samples.
    pairs
        ``E x_i x_j`` of two units of one sample.
    scatter
        Variance over pairs of samples of their correlation, but for the chance of this node's few units.
    profile
        Power by position over its mean; None where positions are alike. See `fanin.predictions.places`.
    common
        By position, the share of its power that two samples have in common; None where it is the same.
    gaussian
        Whether the units are Gaussian given the weights before.
    marginal
        The law of one unit about its mean, where it is known and not Gaussian.
    width
        Units, for the chance that a draw leaves.
    source
        The layer whose draw the units come from, if nothing but pointwise operations lies between.
    luck
        What the draws of the weights leave to chance in ``ln power``.
    row, share, causal
        Of scores of attention: variance within a row; of its weights: sum of squares; whether later
        places are hidden.
    rows
        The share of every row of weights, where rows differ.
    slope
        Of weights of attention: what they pass back; see `fanin.laws.softmax.attention_slope`.
    """

    mean: float = 0.0
    power: float = 1.0
    near: float = 0.0
    far: float = 0.0
    pairs: float = 0.0
    scatter: float = 0.0
    profile: Floats | None = None
    common: Floats | None = None
    gaussian: bool = True
    marginal: Marginal | None = None
    width: float = 1.0
    source: int | None = None
    row: float = 0.0
    share: float = 0.0
    rows: tuple[float, ...] = ()
    slope: float = 0.0
    causal: bool = False
    luck: Chance = field(default_factory=Chance)
    certainty: Certainty = Certainty.EXACT
    reasons: tuple[str, ...] = ()

    @property
    def variance(self) -> float:
        """``E x^2 - (E x)^2``."""
        return max(self.power - self.mean * self.mean, 0.0)

    def correlation(self, moment: float) -> float:
        """A product moment as a correlation, between -1 and 1."""
        variance = self.variance
        if variance <= 0.0:
            return 1.0
        return min(1.0, max(-1.0, (moment - self.mean * self.mean) / variance))

    @property
    def near_correlation(self) -> float:
        """Of two positions of one sample."""
        return self.correlation(self.near)

    @property
    def far_correlation(self) -> float:
        """Of two samples."""
        return self.correlation(self.far)


def joined(
    certainties: Iterable[tuple[Certainty, tuple[str, ...]]],
    here: Certainty = Certainty.EXACT,
    reason: str = "",
) -> tuple[Certainty, tuple[str, ...]]:
    """The weakest of several certainties and of one's own, with the reasons for it."""
    worst, reasons = here, ([reason] if reason else [])
    for certainty, why in certainties:
        worst = certainty if _RANK[certainty] > _RANK[worst] else worst
        reasons += why
    return worst, tuple(dict.fromkeys(reasons))
