"""What to draw: a distribution with all its numbers, ready to be sampled.

Laws and schemes end here; sampling starts here. Every draw knows the mean and the standard
deviation that its samples have, so a weight can be checked against its draw without a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Constant",
    "DeltaOrthogonal",
    "Draw",
    "Formula",
    "Identity",
    "Normal",
    "Orthogonal",
    "OrthogonalConvolution",
    "Sparse",
    "Structured",
    "TruncatedNormal",
    "Uniform",
]


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
    """Haar-distributed semi-orthogonal matrices (out x the rest) times `gain`.

    Every one of `blocks` equal parts of the out dimension (gates, heads) is a matrix of its own. `std` is
    the standard deviation of one entry, ``gain / sqrt(max(rows, columns))`` of one block.
    """

    gain: float = 1.0
    std: float
    blocks: int = 1

    @property
    def mean(self) -> float:
        """Mean of the samples."""
        return 0.0

    def __str__(self) -> str:
        blocks = f" in {self.blocks} blocks" if self.blocks > 1 else ""
        return f"orthogonal × {self.gain:.4g}{blocks}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaOrthogonal:
    """A kernel that is zero but for its centre, where it has orthonormal columns times `gain`.

    `std` is that of all entries, zeros too: ``gain / sqrt(outputs * taps)``.
    """

    gain: float = 1.0
    std: float
    taps: int = 1

    @property
    def mean(self) -> float:
        """Mean of the samples."""
        return 0.0

    def __str__(self) -> str:
        return f"delta-orthogonal × {self.gain:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthogonalConvolution:
    """A kernel of the given sizes whose convolution keeps every length, times `gain`.

    `std` is that of all entries, ``gain / sqrt(outputs * taps)``.
    """

    gain: float = 1.0
    std: float
    sizes: tuple[int, ...] = ()

    @property
    def mean(self) -> float:
        """Mean of the samples."""
        return 0.0

    def __str__(self) -> str:
        return f"orthogonal convolution × {self.gain:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`gain` where an output meets the input of its number (at the centre of a kernel), else zero.

    Nothing is random: `mean` and `std` are those of the entries of the weight.
    """

    gain: float = 1.0
    mean: float
    std: float

    def __str__(self) -> str:
        return "identity" if self.gain == 1.0 else f"identity × {self.gain:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparse:
    """Normal with the standard deviation `parent_std` at `kept` places of each unit's inputs, else zero.

    `std` is that of all entries, ``parent_std * sqrt(kept / columns)``.
    """

    parent_std: float
    kept: int
    std: float

    @property
    def mean(self) -> float:
        """Mean of the samples."""
        return 0.0

    def __str__(self) -> str:
        return f"N(0, {self.parent_std:.4g}²) at {self.kept} inputs a unit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """Values by a formula of `fanin.laws.formulas`: of the place, and if random of one uniform number each.

    `numbers` are the formula's parameters, or all values, of shape `given`, where the formula is "given".
    The moments, and the bounds `low` and `high`, are those of the entries of one weight.
    """

    formula: str
    numbers: tuple[float, ...] = ()
    given: tuple[int, ...] = ()
    random: bool = False
    mean: float
    std: float
    kurtosis: float = 1.0
    low: float = 0.0
    high: float = 0.0

    def __str__(self) -> str:
        numbers = ", ".join(f"{number:.4g}" for number in self.numbers[:4])
        more = ", ..." if len(self.numbers) > 4 else ""
        return f"{self.formula}({numbers}{more}), from {self.low:.4g} to {self.high:.4g}"


Structured: TypeAlias = Orthogonal | DeltaOrthogonal | OrthogonalConvolution | Identity | Sparse | Formula
"""Draws whose elements depend on their neighbours or on their place."""

Draw: TypeAlias = Constant | Uniform | Normal | TruncatedNormal | Structured
