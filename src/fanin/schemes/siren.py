"""Networks of sines: signals and images as functions of a place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.laws import moments
from fanin.laws.fans import fans
from fanin.records.axes import Axes
from fanin.records.draw import Uniform
from fanin.schemes.base import Entry, FanScaled, checked_gain

__all__ = ["SCHEMES", "SirenFirst", "siren_first", "siren_hidden"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SirenFirst:
    """Uniform on ±gain / fan_in: a standard deviation, not a variance, inverse to the fan."""

    gain: float
    references: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name in the registry."""
        return "siren_first"

    @property
    def law(self) -> str:
        """The law in one line."""
        return f"w ~ U(±{self.gain:.6g} / fan_in)"

    @property
    def formula(self) -> str:
        """The standard deviation of a weight."""
        return f"{self.gain:.6g} / (sqrt(3) * fan_in)"

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Uniform:
        """Divide the bound by the fan of this shape."""
        return moments.uniform(std=self.gain / (math.sqrt(3.0) * fans(shape, axes).fan_in))

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"


def siren_first(gain: float = 1.0) -> SirenFirst:
    """First layer of a network of sines, which reads coordinates.

    ``w ~ U(-gain / fan_in, gain / fan_in)``: coordinates in [-1, 1] then give ``omega w x`` that spans about
    omega radians, so several periods of the sine.

    Parameters
    ----------
    gain
        Factor on the bound.

    Returns
    -------
    SirenFirst
        A scheme.

    Raises
    ------
    InputError
        A gain that is not positive and finite.

    Examples
    --------
    >>> print(siren_first().draw((256, 2)))
    U(±0.5)

    References
    ----------
    V. Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions, 2020,
    section 3.2 and supplement 1.5.
    """
    return SirenFirst(
        gain=checked_gain("siren_first", gain),
        references=("Sitzmann et al. 2020, section 3.2 and supplement 1.5",),
    )


def siren_hidden(omega: float = 30.0) -> FanScaled:
    """Layers after the first of a network of sines ``sin(omega (W x + b))``.

    ``w ~ U(-a, a)`` with ``a = sqrt(6 / fan_in) / omega``, so ``Var[w] = 2 / (omega^2 fan_in)``: inputs with
    the arcsine law have variance 1/2, and what the sine gets is standard normal.

    Parameters
    ----------
    omega
        Factor inside the sine.

    Returns
    -------
    FanScaled
        A scheme.

    Raises
    ------
    InputError
        An omega that is not positive and finite.

    Examples
    --------
    >>> print(siren_hidden(1.0).draw((256, 600)))
    U(±0.1)

    References
    ----------
    V. Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions, 2020, theorem 1.8
    of the supplement.
    """
    return FanScaled(
        name="siren_hidden",
        variance=2.0 / checked_gain("siren_hidden", omega) ** 2,
        mode="fan_in",
        distribution="uniform",
        references=("Sitzmann et al. 2020, supplement, theorem 1.8",),
    )


SCHEMES = (
    Entry(factory=siren_first),
    Entry(factory=siren_hidden, aliases=("siren",), examples=({}, {"omega": 1.0})),
)
