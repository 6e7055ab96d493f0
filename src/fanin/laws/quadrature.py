"""Gaussian expectations of a function known by its values on a grid.

A reader evaluates an activation on `NODES` once and stores the values; gains, derivative moments
and correlation maps for every input variance then follow from the values alone, without the
framework that computed them.

Between nodes the function is a polynomial of degree 8 on each panel of 1/4, and the polynomials
are integrated against the Gaussian by Gauss-Legendre rules on cells that never cross a panel edge.
Kinks at multiples of 1/4 (0, ±1/2, ±1, ±3, 6: those of ReLU, hard tanh, hard swish, ReLU6 and the
shrinkages) thus cost nothing. A panel that is far rougher than its neighbours holds a kink or a
jump elsewhere; there the function is linear between nodes.

Accuracy for q from 0.01 to 9 and values in float64, relative to ``E f^2`` (or ``E f'^2``):
1e-10 for functions that are smooth, or have kinks at multiples of 1/4 only; ``2e-5 q^(-3/2)`` for
a kink elsewhere, its derivative moment ``0.01 q^(-1/2)``; ``0.04 q^(-1/2)`` for a jump, which has no
derivative moment. Values rounded to float32 add about 1e-6.
Around 0 each side is its parabola, so a function that is 0 there keeps its digits (1e-8) down to the
smallest q. Past ±24, which matters for q > 9 only, a function that ends as a polynomial of degree 2 is
continued as such and any other is mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.laws.expectation import expectation

__all__ = [
    "NODES",
    "Curve",
    "Values",
    "curve",
    "expectation",
    "gaussian_correlation",
    "gaussian_derivative_second_moment",
    "gaussian_mean",
    "gaussian_second_moment",
    "gaussian_separation",
]

Floats: TypeAlias = NDArray[np.float64]
Values: TypeAlias = Sequence[float] | Floats

_END = 24.0
_DEGREE = 8
_PANEL = 0.25
_PANELS = round(2 * _END / _PANEL)

_ZERO = _PANELS // 2
"""The panel to the right of 0."""

_NEAR = 2.0**-20
"""Closer to 0 a point loses its digits in its panel's own coordinate, and a parabola has them all."""

_NOTHING = 1e-13
"""Of a panel's size: what rounding leaves of a value that is 0."""

_STEP = _PANEL / _DEGREE
NODES: Floats = np.linspace(-_END, _END, _PANELS * _DEGREE + 1)
"""Where activations are tabulated: -24 to 24 in steps of 1/32, all exact in float16 and wider."""
NODES.setflags(write=False)

# Beyond 8.5 standard deviations lies 2e-17 of the mass.
_REACH = 8.5
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(12)
# Node values of one panel to coefficients of powers of s in [-1, 1].
_TO_POWERS = np.linalg.inv(np.vander(np.linspace(-1.0, 1.0, _DEGREE + 1), increasing=True)).T
# Ends that leave a parabola by less than this are continued as one; float32 values still pass.
_PARABOLA = 1e-5
# Rounding to float32 alone gives an eighth difference of up to 256 * 6e-8, twice over.
_ROUGH = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A tabulated function as piecewise polynomials: row i holds the powers of panel i."""

    powers: Floats
    lines: Floats
    """Value and slope at the left of every cell between two nodes, for rough panels."""
    rough: NDArray[np.bool_]
    """Panels with a kink or a jump inside."""
    ends: tuple[Floats | None, Floats | None]
    """Powers of ``|x| - 24`` past the left and the right end; None where the curve is mirrored."""

    def __call__(self, x: Floats) -> Floats:
        """Values at any points."""
        folded = _fold(x)
        place = np.minimum(((folded + _END) * (1.0 / _PANEL)).astype(np.intp), _PANELS - 1)
        s = (folded + _END) * (2.0 / _PANEL) - (2 * place + 1)
        result: Floats = self.powers[place, _DEGREE]
        for power in range(_DEGREE - 1, -1, -1):
            result = result * s + self.powers[place, power]
        if self.rough.any():
            inside = self.rough[place]
            point = folded[inside]
            cell = np.minimum(((point + _END) / _STEP).astype(np.intp), len(self.lines) - 1)
            result[inside] = self.lines[cell, 0] + self.lines[cell, 1] * (point - NODES[cell])
        near = np.abs(x) < _NEAR
        if near.any() and not self.rough[_ZERO - 1 : _ZERO + 1].any():
            close = x[near]
            left, right = self._beside_zero()
            a, b, c = np.where(close < 0.0, left[:, None], right[:, None])
            result[near] = a + close * (b + close * c)
        for end, outside in zip(self.ends, (x < -_END, x > _END), strict=True):
            if end is not None and outside.any():
                past = np.abs(x[outside]) - _END
                result[outside] = end[0] + past * (end[1] + past * end[2])
        return result

    def _beside_zero(self) -> tuple[Floats, Floats]:
        """Powers of x on either side of 0: the first three."""
        order = np.arange(_DEGREE + 1)
        found = []
        for row, s in ((self.powers[_ZERO - 1], 1.0), (self.powers[_ZERO], -1.0)):
            at = s**order
            parts = np.array([row @ at, row @ (order * at) * s, row @ (order * (order - 1) * at) * 0.5])
            parts[np.abs(parts) < _NOTHING * np.abs(row).max()] = 0.0
            found.append(parts * (2.0 / _PANEL) ** order[:3])
        return found[0], found[1]

    def derivative(self) -> Curve:
        """Its derivative, one-sided in every panel."""
        order = np.arange(1, _DEGREE + 1)
        powers = np.zeros_like(self.powers)
        powers[:, :-1] = self.powers[:, 1:] * order * (2.0 / _PANEL)
        left, right = self.ends
        return Curve(
            powers=powers,
            lines=np.stack([self.lines[:, 1], np.zeros(len(self.lines))], axis=1),
            rough=self.rough,
            ends=(
                None if left is None else np.array([-left[1], -2.0 * left[2], 0.0]),
                None if right is None else np.array([right[1], 2.0 * right[2], 0.0]),
            ),
        )

    def kinks(self) -> Floats:
        """Points where the first or second derivative jumps, at most six panel edges and six inside."""
        first = self.derivative()
        second = first.derivative()
        signs = (-1.0) ** np.arange(_DEGREE + 1)
        jump = np.zeros(_PANELS - 1)
        scale = 0.0
        for order in (first, second):
            before, after = order.powers.sum(axis=1)[:-1], (order.powers @ signs)[1:]
            jump = np.maximum(jump, np.abs(after - before))
            scale = max(scale, float(np.abs(order.powers[:, 0]).max()))
        # Thirty medians are past the rounding noise of float32 values.
        places = np.flatnonzero(jump > max(1e-7 * scale, 30.0 * float(np.median(jump))))
        places = places[np.argsort(jump[places])[::-1][:6]]
        bend = np.abs(np.diff(self.lines[:, 1]))
        bend[~np.repeat(self.rough, _DEGREE)[:-1] & ~np.repeat(self.rough, _DEGREE)[1:]] = 0.0
        inside = np.argsort(bend)[::-1][:6]
        inside = inside[bend[inside] > 0.01 * bend.max()]
        return np.unique(np.concatenate([(places + 1) * _PANEL - _END, NODES[inside + 1]]))

    def edges(self) -> Floats:
        """Ends of the pieces that are each one polynomial."""
        inside = NODES[:-1][np.repeat(self.rough, _DEGREE)]
        return np.concatenate([np.arange(-_END, _END + _PANEL, _PANEL), inside])


def curve(values: Values) -> Curve:
    """Fit the piecewise polynomials to values on `NODES`.

    Raises
    ------
    InputError
        Not one finite value a node.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.shape != NODES.shape or not np.isfinite(table).all():
        raise InputError(
            explain(
                "Values are no table on NODES",
                received=f"shape {table.shape}, {int((~np.isfinite(table)).sum())} not finite",
                rule=f"One finite value for each of the {len(NODES)} points of NODES",
            )
        )
    rows = np.lib.stride_tricks.sliding_window_view(table, _DEGREE + 1)[::_DEGREE]
    return Curve(
        powers=rows @ _TO_POWERS,
        lines=np.stack([table[:-1], np.diff(table) / _STEP], axis=1),
        rough=_rough(rows),
        ends=(_end(table[::-1]), _end(table)),
    )


def _rough(rows: Floats) -> NDArray[np.bool_]:
    """Panels whose eighth difference is out of line with the function and with the neighbours.

    The neighbours tell a kink, which is alone, from a fast sine, which is rough everywhere. The
    second smallest of four also serves two kinks side by side, and a sine that vanishes nearby.
    """
    signs = [(-1.0) ** k * math.comb(_DEGREE, k) for k in range(_DEGREE + 1)]
    size = np.abs(rows @ signs)
    padded = np.pad(size, 2, constant_values=0.0)
    around = np.sort(np.stack([padded[k : k + len(size)] for k in (0, 1, 3, 4)]), axis=0)[1]
    scale = np.maximum(np.abs(rows).max(axis=1), 1e-8 * np.abs(rows).max())
    flagged: NDArray[np.bool_] = (size > _ROUGH * scale) & (size > 100.0 * around)
    return flagged


def _end(table: Floats) -> Floats | None:
    """Parabola through the last 8 units of a table, in the distance past its end."""
    step = round(4.0 / _STEP)
    at_end, middle, start = table[-1], table[-1 - step], table[-1 - 2 * step]
    bend = (at_end - 2 * middle + start) / 32.0
    slope = (at_end - middle) / 4.0 + 4.0 * bend
    tail = table[-1 - 2 * step :]
    past = NODES[-1 - 2 * step :] - _END
    error = np.abs(at_end + past * (slope + past * bend) - tail).max()
    if error > _PARABOLA * max(float(np.abs(tail).max()), 1e-30):
        return None
    return np.array([at_end, slope, bend])


def _fold(x: Floats) -> Floats:
    """Mirror points into the grid, as often as needed."""
    if x.size == 0 or (x.min() >= -_END and x.max() <= _END):
        return x
    turn = np.mod(x + _END, 4 * _END)
    return np.minimum(turn, 4 * _END - turn) - _END


def _variance(q: float) -> float:
    if not (math.isfinite(q) and q >= 0):
        raise InputError(explain("The input variance q is not a finite number >= 0", received=f"q={q}"))
    return math.sqrt(q)


def _rule(sd: float, inner: Floats) -> tuple[Floats, Floats]:
    """Points x and Gaussian weights for E f(x), x ~ N(0, sd^2), on cells between these edges."""
    reach = _REACH * sd
    width = max(_PANEL, sd / 4)
    count = math.ceil(max(reach - _END, 0.0) / width)
    outer = _END + width * np.arange(1, count + 1)
    edges = np.concatenate([inner, outer, -outer, sd * np.arange(-_REACH, _REACH + 0.5)])
    edges = np.unique(edges[np.abs(edges) <= reach])
    x, w = _cells(edges / sd)
    return (sd * x).ravel(), w.ravel()


def _cells(edges: Floats) -> tuple[Floats, Floats]:
    """Gauss-Legendre points between consecutive edges (last axis), with standard normal weights."""
    half = 0.5 * np.diff(edges)[..., None]
    z = 0.5 * (edges[..., 1:] + edges[..., :-1])[..., None] + half * _POINTS
    return z, half * _WEIGHTS * np.exp(-0.5 * z * z) * (1.0 / math.sqrt(2.0 * math.pi))


def gaussian_mean(values: Values, q: float = 1.0) -> float:
    """Mean of a tabulated function of a Gaussian: ``E f(sqrt(q) z)``, ``z ~ N(0, 1)``.

    Parameters
    ----------
    values
        f on `NODES`.
    q
        Variance of the input.

    Returns
    -------
    float
        The expectation; ``f(0)`` at ``q = 0``.

    Raises
    ------
    InputError
        Values that are no table on `NODES`, or a variance that is negative or not finite.

    Examples
    --------
    >>> round(gaussian_mean(np.maximum(NODES, 0.0)), 6) == round(1 / math.sqrt(2 * math.pi), 6)
    True
    """
    return _mean(curve(values), _variance(q), 1)


def gaussian_second_moment(values: Values, q: float = 1.0) -> float:
    """Second moment of a tabulated function of a Gaussian: ``E f(sqrt(q) z)^2``.

    Parameters and errors are those of `gaussian_mean`.
    """
    return _mean(curve(values), _variance(q), 2)


def gaussian_derivative_second_moment(values: Values, q: float = 1.0) -> float:
    """Second moment of the derivative of a tabulated function: ``E f'(sqrt(q) z)^2``.

    Parameters and errors are those of `gaussian_mean`. A jump of f has no such moment: the result
    is then of the order of the jump squared over the grid step.
    """
    return _mean(curve(values).derivative(), _variance(q), 2)


def _mean(f: Curve, sd: float, power: int) -> float:
    if sd == 0.0:
        # A kink at 0 is met from both sides.
        both = f(np.array([0.0, -1e-9]))
        return float((both**power).mean())
    x, w = _rule(sd, f.edges())
    return float(w @ f(x) ** power)


def gaussian_correlation(values: Values, q: float, c: float) -> float:
    """Product moment of a tabulated function of two correlated Gaussians: ``E f(u) f(v)``.

    ``Var[u] = Var[v] = q`` and ``Cov[u, v] = c q``.

    Parameters
    ----------
    values
        f on `NODES`.
    q
        Variance of both inputs.
    c
        Their correlation, -1 to 1.

    Returns
    -------
    float
        The product moment. Where ``c`` is near 1, `gaussian_separation` has the digits that
        ``E f^2 - E f(u) f(v)`` would lose.

    Raises
    ------
    InputError
        As `gaussian_mean`, or a correlation outside -1 to 1.

    Examples
    --------
    >>> round(gaussian_correlation(NODES, 2.0, 0.5), 9)
    1.0

    References
    ----------
    B. Poole et al., Exponential expressivity in deep neural networks through transient chaos,
    2016, equation 5.
    """
    f, sd = curve(values), _variance(q)
    if c >= 0.0:
        return _mean(f, sd, 2) - _pairs(f, sd, c, separation=True)
    return _pairs(f, sd, c, separation=False)


def gaussian_separation(values: Values, q: float, c: float) -> float:
    """Half the mean squared distance of a function's outputs: ``E (f(u) - f(v))^2 / 2``.

    Equals ``E f^2 - E f(u) f(v)``, without the cancellation. Parameters and errors are those of
    `gaussian_correlation`.
    """
    return _pairs(curve(values), _variance(q), c, separation=True)


def _pairs(f: Curve, sd: float, c: float, *, separation: bool) -> float:
    """Integrate f(u) f(v), or half the squared difference, over two correlated Gaussians.

    u = A i + B o and v = ±(A i - B o) with independent standard normals i, o and A >= B, so that
    the inner integral over i is over the wider direction and smooth in o.
    """
    if not -1.0 <= c <= 1.0:
        raise InputError(explain("A correlation is not between -1 and 1", received=f"c={c}"))
    wide, narrow = sd * math.sqrt((1 + abs(c)) / 2), sd * math.sqrt((1 - abs(c)) / 2)
    sign = 1.0 if c >= 0 else -1.0
    if sd == 0.0 or (separation and c == 1.0):
        return 0.0 if separation else _mean(f, sd, 1) ** 2
    kinks = f.kinks()
    o, weight_o = np.zeros(1), np.ones(1)
    if narrow > 0.0:
        # Where kinks of u and v meet, the inner integral is less smooth.
        meet = (kinks[:, None] - sign * kinks).ravel() / (2.0 * narrow)
        cells_o, cell_weights_o = _cells(_split(narrow, meet))
        o, weight_o = cells_o.ravel(), cell_weights_o.ravel()
    at_u = (kinks - narrow * o[:, None]) / wide
    at_v = (sign * kinks + narrow * o[:, None]) / wide
    breaks = np.clip(np.concatenate([at_u, at_v], axis=1), -_REACH, _REACH)
    fixed = np.broadcast_to(_split(wide, np.empty(0)), (len(o), len(_split(wide, np.empty(0)))))
    i, weight_i = _cells(np.sort(np.concatenate([fixed, breaks], axis=1), axis=1))
    u = wide * i + narrow * o[:, None, None]
    v = sign * (wide * i - narrow * o[:, None, None])
    inside = 0.5 * (f(u) - f(v)) ** 2 if separation else f(u) * f(v)
    return float(weight_o @ (inside * weight_i).sum(axis=(1, 2)))


def _split(sd: float, extra: Floats) -> Floats:
    """Edges in standard deviations: cells at most 1.5 wide, and at most 1 in units of x."""
    count = math.ceil(2 * _REACH / min(1.5, 1.0 / sd)) if sd > 0 else 12
    edges = np.linspace(-_REACH, _REACH, min(count, 200) + 1)
    return np.unique(np.concatenate([edges, extra[np.abs(extra) < _REACH]]))
