"""The one gain, and the one power, that serve both directions of a plain chain of layers of a given depth.

A gain that keeps the signal's power at every layer lets the gradient's power change by
``chi = E f'^2 / E f^2`` a layer: 1.18 for tanh, so a hundred layers make it 10^7. A smaller gain lets
the signal fall a little, and the gradient with it; the best of them depends on the depth.

A gain keeps a power only where a deviation from it does not grow. Through one layer the logarithm of the
power deviates by ``a = d ln E f(sqrt(q) z)^2 / d ln q`` times as much as before: less than 1 for tanh, 1 for
ReLU, 1.14 for GELU at q = 1, which makes 40 layers multiply a draw's luck by 200. Fed with more power, GELU
is nearer to ReLU, and a is nearer to 1.
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

_MOST = 12.0
"""Growth of a deviation over the chain that is left alone. 30 layers of GELU learn digits with Adam as well
at a growth of 12 (power 2.1: 91.5 %) as at power 1 (90.8 %), and worse at 4 (power 3.9: 88.4 %), where GELU
is nearly ReLU; of 150 draws to depth 60 none then starts with a loss 3 nats above ln C."""

_HIGHEST = 36.0
"""Largest power to feed an activation with: beyond it the nodes of an activation's table end before the
Gaussian does."""
_STEP = 1e-3


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
    alone
        The gradient's with the gain that keeps the signal at power 1.
    power
        Of what the activation is fed with: the gain keeps it.
    growth, growth_alone
        Factor by which a deviation of the power's logarithm grows over the chain, and what it would be at
        power 1.
    """

    gain: float
    forward: float
    backward: float
    alone: float
    power: float = 1.0
    growth: float = 1.0
    growth_alone: float = 1.0

    @property
    def drift(self) -> float:
        """The larger of both changes."""
        return max(abs(self.forward), abs(self.backward))


def chain_gain(values: Values, depth: int) -> ChainGain:
    """Gain of the weights that read an activation f, in a plain chain with `depth` such weights.

    ``gain = 1 / sqrt(E f(z)^2)`` as long as the gradient's power then stays within a decade; else
    the smaller gain for which the larger of ``|ln(q_L / q_0)|`` and ``|ln(G_0 / G_L)|`` is least, where
    ``q' = gain^2 E f(sqrt(q) z)^2`` and ``G' = gain^2 E f'(sqrt(q) z)^2 G``, from ``q_0 = 1``.

    Where deviations of the power would grow more than twelvefold over the chain (GELU from 19 layers on), the
    smallest power q at which they do not, and ``gain = sqrt(q / E f(sqrt(q) z)^2)``.

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
        a larger one would only saturate the units. With another power than 1, of the weights that read f and
        feed it again: those that only feed it have ``sqrt(power)``.

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
    >>> gelu = NODES * np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)))(NODES)
    >>> round(chain_gain(gelu, 8).power, 1), round(chain_gain(gelu, 40).power, 1)
    (1.0, 3.1)

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
    growth = _growth(values, 1.0) ** depth
    if growth > _MOST:
        return _steadied(values, depth, alone, growth)
    kept = ChainGain(
        gain=keeping, forward=0.0, backward=alone, alone=alone, growth=growth, growth_alone=growth
    )
    if kept.backward <= TOLERANCE:
        return kept
    gains = keeping * np.linspace(0.5, 1.0, _CANDIDATES)
    forward, backward = _travelled(values, gains, depth)
    best = int(np.argmin(np.maximum(np.abs(forward), np.abs(backward))))
    found = ChainGain(
        gain=float(gains[best]),
        forward=float(forward[best]),
        backward=float(backward[best]),
        alone=alone,
        growth=growth,
        growth_alone=growth,
    )
    # Where the signal's fixed point is no stable one hardly anything is won by a smaller gain.
    return found if found.drift <= 0.5 * kept.drift else kept


def _growth(values: Values, q: float) -> float:
    """``d ln E f(sqrt(q) z)^2 / d ln q``."""
    above, below = (gaussian_second_moment(values, q * (1.0 + side * _STEP)) for side in (1.0, -1.0))
    if not (above > 0.0 and below > 0.0):
        return 1.0
    return math.log(above / below) / (math.log1p(_STEP) - math.log1p(-_STEP))


def _steadied(values: Values, depth: int, alone: float, growth: float) -> ChainGain:
    """The smallest power at which a deviation grows no more than it may; the largest if it always does."""
    power, lasting = 1.0, growth
    for place in range(1, _TABLE):
        power = math.exp(place / (_TABLE - 1) * math.log(_HIGHEST))
        lasting = _growth(values, power) ** depth
        if lasting <= _MOST:
            break
    second = gaussian_second_moment(values, power)
    slope = gaussian_derivative_second_moment(values, power)
    return ChainGain(
        gain=math.sqrt(power / second),
        forward=0.0,
        backward=depth * math.log(power * slope / second),
        alone=alone,
        power=power,
        growth=lasting,
        growth_alone=growth,
    )


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
