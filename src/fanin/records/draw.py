"""What to draw: a distribution with all its numbers, ready to be sampled.

Laws and schemes end here; sampling starts here. Every draw knows the mean and the standard
deviation that its samples have, so a weight can be checked against its draw without a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Constant", "Draw", "Normal", "Orthogonal", "TruncatedNormal", "Uniform"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """The same value everywhere."""

    value: float

    @property
    def mean(self) -> float:
        """Mean of the samples."""
        return self.value

    @property
    def std(self) -> float:
        """Standard deviation of the samples."""
        return 0.0

    def __str__(self) -> str:
        return f"{self.value:.6g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Uniform on the open interval (low, high)."""

    low: float
    high: float

    @property
    def mean(self) -> float:
        """Mean of the samples."""
        return 0.5 * (self.low + self.high)

    @property
    def std(self) -> float:
        """Standard deviation of the samples."""
        return (self.high - self.low) / math.sqrt(12.0)

    def __str__(self) -> str:
        if self.low == -self.high:
            return f"U(±{self.high:.4g})"
        return f"U({self.low:.4g}, {self.high:.4g})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """Normal with the given mean and standard deviation."""

    mean: float = 0.0
    std: float

    def __str__(self) -> str:
        return f"N({self.mean:.4g}, {self.std:.4g}²)"


@dataclass(frozen=True, slots=True, kw_only=True)
class TruncatedNormal:
    """A parent normal cut to ``[lower, upper]``, bounds in parent standard deviations.

    `mean` and `std` are those of the samples, after the cut; `parent_mean` and `parent_std` are
    what the parent must have for that. `fanin.laws.moments.truncated_normal` solves for them.
    """

    mean: float = 0.0
    std: float
    parent_mean: float
    parent_std: float
    lower: float
    upper: float

    def __str__(self) -> str:
        if self.lower == -self.upper:
            return f"N({self.mean:.4g}, {self.std:.4g}²) cut at ±{self.upper:.3g}σ"
        return f"N({self.mean:.4g}, {self.std:.4g}²) cut to [{self.lower:.3g}, {self.upper:.3g}]σ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthogonal:
    """Haar-distributed semi-orthogonal matrix (out x the rest) times `gain`.

    `std` is the standard deviation of one entry, ``gain / sqrt(max(rows, columns))``.
    """

    gain: float = 1.0
    std: float

    @property
    def mean(self) -> float:
        """Mean of the samples."""
        return 0.0

    def __str__(self) -> str:
        return f"orthogonal × {self.gain:.4g}"


Draw: TypeAlias = Constant | Uniform | Normal | TruncatedNormal | Orthogonal
