"""A function of a Gaussian as a series: its moments for every correlation at once.

``f(mu + s z) = sum a_k h_k(z)`` with orthonormal Hermite polynomials h_k, so that two inputs of
correlation c have ``E f(u) f(v) = sum a_k^2 c^k``. The powers past the last term are kept as one more
term, which makes c = 1 exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.laws.quadrature import Curve, Values, curve

__all__ = ["TERMS", "Expansion", "expand"]

Floats = NDArray[np.float64]

TERMS = 96
"""Terms kept. For ReLU the rest is 3e-5 of the whole, for smooth functions nothing."""

_REACH = 8.5
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """Moments of ``f(mu + s z)``, of its slope, and of the squares of both.

    Parameters
    ----------
    mean, power, fourth
        ``E f``, ``E f^2``, ``E f^4``.
    slope, slope_power, slope_fourth
        ``E f'``, ``E f'^2``, ``E f'^4``.
    growth
        ``d ln E f^2 / d ln (mu^2 + s^2)``, mean and deviation growing together: 1 for a function of degree
        one such as ReLU, 0 for a saturated one.
    slope_growth
        ``d ln E f'^2 / d ln s^2``.
    weights, slopes, squares, slope_squares
        Squared coefficients ``a_k^2`` of f, of f', and of the squares of both.
    """

    mean: float
    power: float
    fourth: float
    slope: float
    slope_power: float
    slope_fourth: float
    growth: float
    slope_growth: float
    weights: Floats
    slopes: Floats
    squares: Floats
    slope_squares: Floats

    def pair(self, c: float) -> float:
        """``E f(u) f(v)`` for inputs of correlation c."""
        return _series(self.weights, self.power, c)

    def slope_pair(self, c: float) -> float:
        """``E f'(u) f'(v)`` for inputs of correlation c."""
        return _series(self.slopes, self.slope_power, c)

    def square_pair(self, c: float) -> float:
        """``E f(u)^2 f(v)^2`` for inputs of correlation c."""
        return _series(self.squares, self.fourth, c)

    def slope_square_pair(self, c: float) -> float:
        """``E f'(u)^2 f'(v)^2`` for inputs of correlation c."""
        return _series(self.slope_squares, self.slope_fourth, c)


def expand(values: Values, *, mean: float = 0.0, variance: float = 1.0) -> Expansion:
    """Expand an activation around a Gaussian input: ``a_k = E f(mu + s z) h_k(z)``.

    Parameters
    ----------
    values
        f on `fanin.laws.quadrature.NODES`.
    mean, variance
        mu and ``s^2`` of the input.

    Raises
    ------
    InputError
        A mean or variance that is not finite, or a variance below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fanin.laws.quadrature import NODES
    >>> relu = expand(np.maximum(NODES, 0.0))
    >>> round(relu.power, 9), round(relu.slope_power, 9), round(relu.fourth / relu.power**2 - 1, 6)
    (0.5, 0.5, 5.0)
    >>> round(relu.pair(0.0), 4) == round(1 / (2 * math.pi), 4)
    True

    References
    ----------
    A. Daniely, R. Frostig, Y. Singer, Toward Deeper Understanding of Neural Networks, 2016, definition 1
    (the dual activation).
    """
    if not (math.isfinite(mean) and math.isfinite(variance) and variance >= 0.0):
        raise InputError(
            explain(
                "The input of the activation has no moments", received=f"mean={mean}, variance={variance}"
            )
        )
    f = curve(values)
    sd = math.sqrt(variance)
    z, weight = _rule(f, mean, sd)
    x = mean + sd * z
    at, slope = f(x), f.derivative()(x)
    square, slope_square = at * at, slope * slope
    basis = _hermite(z) * weight
    power = float(weight @ square)
    # d/d ln(t) E f(t x)^2 = E 2 f f' x, and ln q is twice ln t.
    growth = float(weight @ (at * slope * x)) / power if power > 0.0 else 0.0
    slope_power = float(weight @ slope_square)
    # d/d ln(s) E g(mu + s z) = E g (z^2 - 1) needs no second derivative, which a kink has not.
    bend = 0.5 * float(weight @ (slope_square * (z * z - 1.0))) / slope_power if slope_power > 0.0 else 0.0
    return Expansion(
        mean=float(weight @ at),
        power=power,
        fourth=float(weight @ square**2),
        slope=float(weight @ slope),
        slope_power=slope_power,
        slope_fourth=float(weight @ slope_square**2),
        growth=growth,
        slope_growth=bend,
        weights=(basis @ at) ** 2,
        slopes=(basis @ slope) ** 2,
        squares=(basis @ square) ** 2,
        slope_squares=(basis @ slope_square) ** 2,
    )


def _series(weights: Floats, total: float, c: float) -> float:
    if not -1.0 <= c <= 1.0:
        raise InputError(explain("A correlation is not between -1 and 1", received=f"c={c}"))
    powers = c ** np.arange(len(weights), dtype=np.float64)
    rest = total - float(weights.sum())
    return float(weights @ powers) + rest * c ** len(weights)


def _rule(f: Curve, mean: float, sd: float) -> tuple[Floats, Floats]:
    """Points and weights for a standard normal z, on cells that no kink of f(mean + sd z) lies inside."""
    if sd == 0.0:
        # A kink at the mean is met from both sides.
        return np.array([-1e-9, 1e-9]), np.array([0.5, 0.5])
    inner = (f.edges() - mean) / sd
    inner = inner[np.abs(inner) < _REACH]
    edges = np.unique(np.concatenate([inner, np.linspace(-_REACH, _REACH, 35)]))
    half = 0.5 * np.diff(edges)[:, None]
    z = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * _POINTS
    w = half * _WEIGHTS * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return z.ravel(), w.ravel()


def _hermite(z: Floats) -> Floats:
    """Orthonormal Hermite polynomials: ``h_{k+1} = (z h_k - sqrt(k) h_{k-1}) / sqrt(k + 1)``."""
    rows = np.empty((TERMS, len(z)))
    rows[0] = 1.0
    rows[1] = z
    for k in range(1, TERMS - 1):
        rows[k + 1] = (z * rows[k] - math.sqrt(k) * rows[k - 1]) / math.sqrt(k + 1)
    return rows
