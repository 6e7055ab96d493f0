"""How far a healthy network of finite width may stray from the law of infinite width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fanin.errors import InputError, explain
from fanin.laws.quadrature import Values, gaussian_mean, gaussian_second_moment

__all__ = ["LINEAR", "RELU", "Chance", "layer_variance", "log_power_band", "z_score"]

RELU = 5.0
"""``E f^4 / (E f^2)^2 - 1`` of ReLU: ``(3/2) / (1/4) - 1``."""
LINEAR = 2.0
"""The same of the identity: ``3 - 1``."""


def layer_variance(values: Values, q: float = 1.0) -> float:
    """Relative variance that one unit adds to a layer's power: ``c = E f^4 / (E f^2)^2 - 1``.

    Given its input, the n units of a layer are independent and each adds ``f(z)^2 / n``, so the
    power's relative variance over draws of the weights is ``c / n``. The same holds backward with f'
    in place of f and a factor 3 for the Gaussian gradient; for ReLU and the identity both agree.

    Parameters
    ----------
    values
        f on `fanin.laws.quadrature.NODES`.
    q
        Variance of the pre-activation.

    Examples
    --------
    >>> import numpy as np
    >>> from fanin.laws.quadrature import NODES
    >>> round(layer_variance(np.maximum(NODES, 0)), 9), round(layer_variance(NODES), 9)
    (5.0, 2.0)
    """
    table = [float(v) for v in values]
    second = gaussian_second_moment(table, q)
    if not second > 0.0:
        raise InputError(
            explain("The activation has no power", received=f"E f^2 = {second}", rule="E f^2 > 0")
        )
    return gaussian_mean([v**4 for v in table], q) / second**2 - 1.0


def log_power_band(layers: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Mean and standard deviation of ``ln(q_L / q_0)`` over draws, when ``E q_L = q_0``.

    ``sd = sqrt(sum c / n)`` and ``mean = -sd^2 / 2``: factors with mean 1 have a logarithm with a
    mean below 0.

    Parameters
    ----------
    layers
        For each layer the relative variance a unit adds (`layer_variance`) and its width.

    Examples
    --------
    >>> mean, sd = log_power_band([(RELU, 128.0)] * 20)
    >>> round(sd, 2), round(mean, 2)
    (0.88, -0.39)

    References
    ----------
    B. Hanin, D. Rolnick, How to Start Training: The Effect of Initialization and Architecture,
    2018, theorem 5.
    """
    variance = 0.0
    for c, width in layers:
        if not (c >= 0.0 and width > 0.0):
            raise InputError(
                explain("A layer has no band", received=f"c={c}, width={width}", rule="c >= 0, width > 0")
            )
        variance += c / width
    return -0.5 * variance, math.sqrt(variance)


def z_score(log_ratio: float, layers: Iterable[tuple[float, float]]) -> float:
    """How many standard deviations ``ln(q_L / q_0)`` lies from what finite width explains."""
    mean, sd = log_power_band(layers)
    away = log_ratio - mean
    if sd == 0.0:
        return 0.0 if away == 0.0 else math.copysign(math.inf, away)
    return away / sd


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """What the luck of a draw does to ``ln q``, carried through a network of any shape.

    Every draw is a source of its own, with a standard deviation; `parts` say how ``ln q`` answers to each, so
    that a stream and its branch, which share sources, do not count them twice. `shift` is the mean of
    ``ln q`` less the logarithm of the law's q.

    Examples
    --------
    >>> chance = Chance()
    >>> for layer in range(20):
    ...     chance = chance.drawn(layer, math.sqrt(RELU / 128.0))
    >>> round(chance.sd, 2), round(chance.shift, 2)
    (0.88, -0.39)
    """

    parts: Mapping[int, float] = field(default_factory=dict)
    shift: float = 0.0

    @property
    def sd(self) -> float:
        """Standard deviation of ``ln q``."""
        return math.sqrt(sum(part * part for part in self.parts.values()))

    @property
    def excess(self) -> float:
        """``ln(E q / q)`` of a log-normal q: 0 where the law holds in the mean."""
        return self.shift + 0.5 * self.sd**2

    def drawn(self, source: int, sd: float) -> Chance:
        """With a fresh draw, or with another figure for one that is there: a factor of mean 1."""
        old = self.parts.get(source, 0.0)
        return Chance(parts={**self.parts, source: sd}, shift=self.shift - 0.5 * (sd * sd - old * old))

    def scaled(self, factor: float) -> Chance:
        """Behind a map that answers to ``ln q`` with this slope."""
        return Chance(
            parts={source: factor * part for source, part in self.parts.items()}, shift=factor * self.shift
        )

    def plus(self, other: Chance, factor: float = 1.0) -> Chance:
        """Of a product of powers: logarithms add."""
        parts = dict(self.parts)
        for source, part in other.parts.items():
            parts[source] = parts.get(source, 0.0) + factor * part
        return Chance(parts=parts, shift=self.shift + factor * other.shift)

    @staticmethod
    def blended(shares: Iterable[tuple[float, Chance]]) -> Chance:
        """Of a sum of powers, by each one's share: the means add, and the logarithm follows."""
        parts: dict[int, float] = {}
        excess = 0.0
        for share, chance in shares:
            excess += share * chance.excess
            for source, part in chance.parts.items():
                parts[source] = parts.get(source, 0.0) + share * part
        mixed = Chance(parts=parts)
        return Chance(parts=parts, shift=excess - 0.5 * mixed.sd**2)
