"""The one gain that serves both directions of a plain chain of layers, for a given depth.

A gain that keeps the signal's power at every layer lets the gradient's power change by
``chi = E f'^2 / E f^2`` a layer: 1.18 for tanh, so a hundred layers make it 10^7. A smaller gain lets
the signal fall a little, and the gradient with it; the best of them depends on the depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fanin.errors import InputError, explain
from fanin.laws.quadrature import Values, gaussian_derivative_second_moment, gaussian_second_moment

__all__ = ["TOLERANCE", "ChainGain", "chain_gain"]

TOLERANCE = math.log(10.0)
"""Drift of either power over the whole chain that is left alone: one decade."""

_SMALLEST_POWER, _LARGEST_POWER, _TABLE = 1e-4, 9.0, 49
_CANDIDATES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainGain:
    """A gain and what it brings about over the whole chain.

    Parameters
    ----------
    gain
        Factor on ``1 / sqrt(fan_in)``.
    forward, backward
        Natural logarithms of the change of the signal's power from the first layer to the last, and
        of the gradient's from the last to the first, at infinite width.
    """

    gain: float
    forward: float
    backward: float
    alone: float

    @property
    def drift(self) -> float:
        """The larger of both changes."""
        return max(abs(self.forward), abs(self.backward))


def chain_gain(values: Values, depth: int) -> ChainGain:
    """Gain of the weights that read an activation f, in a plain chain with `depth` such weights.

    ``gain = 1 / sqrt(E f(z)^2)`` as long as the gradient's power then stays within a decade; else
    the smaller gain for which the larger of ``|ln(q_L / q_0)|`` and ``|ln(G_0 / G_L)|`` is least, where
    ``q' = gain^2 E f(sqrt(q) z)^2`` and ``G' = gain^2 E f'(sqrt(q) z)^2 G``, from ``q_0 = 1``.

    Parameters
    ----------
    values
        f on `fanin.laws.quadrature.NODES`.
    depth
        Weights of the chain that read f, at least 1.

    Returns
    -------
    ChainGain
        Never more than the gain that keeps the signal: where that one loses the gradient (sigmoid),
        a larger one would only saturate the units.

    Raises
    ------
    InputError
        A depth below 1, or a function without power.

    Examples
    --------
    >>> import numpy as np
    >>> from fanin.laws.quadrature import NODES
    >>> tanh = np.tanh(NODES)
    >>> round(chain_gain(tanh, 3).gain, 3), round(chain_gain(tanh, 100).gain, 2)
    (1.593, 1.18)

    References
    ----------
    X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks,
    2010, equations 8 and 9 (both directions at once); S. S. Schoenholz et al., Deep Information
    Propagation, 2017, section 4 (chi and depth).
    """
    if depth < 1:
        raise InputError(explain("A chain has no layers", received=f"depth={depth}", rule="depth >= 1"))
    power = gaussian_second_moment(values, 1.0)
    if not (math.isfinite(power) and power > 0.0):
        raise InputError(
            explain("The activation has no power", received=f"E f^2 = {power}", rule="0 < E f^2 < infinity")
        )
    keeping = 1.0 / math.sqrt(power)
    chi = gaussian_derivative_second_moment(values, 1.0) / power
    alone = depth * math.log(chi) if chi > 0.0 else -math.inf
    kept = ChainGain(gain=keeping, forward=0.0, backward=alone, alone=alone)
    if kept.backward <= TOLERANCE:
        return kept
    gains = keeping * np.linspace(0.5, 1.0, _CANDIDATES)
    forward, backward = _travelled(values, gains, depth)
    best = int(np.argmin(np.maximum(np.abs(forward), np.abs(backward))))
    found = ChainGain(
        gain=float(gains[best]), forward=float(forward[best]), backward=float(backward[best]), alone=alone
    )
    # Where the signal's fixed point is unstable (GELU, SiLU) hardly anything is won by a smaller gain.
    return found if found.drift <= 0.5 * kept.drift else kept


def _travelled(values: Values, gains: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Both changes for many gains at once, with the two maps tabulated over ln q."""
    places = np.linspace(math.log(_SMALLEST_POWER), math.log(_LARGEST_POWER), _TABLE)
    powers = np.exp(places)
    signal = np.log([gaussian_second_moment(values, float(q)) / q for q in powers])
    slope = np.log([max(gaussian_derivative_second_moment(values, float(q)), 1e-300) for q in powers])
    step = 2.0 * np.log(gains)
    level, back = np.zeros_like(step), np.zeros_like(step)
    for _ in range(depth):
        back = back + step + np.interp(level, places, slope)
        level = level + step + np.interp(level, places, signal)
    return level, back
