"""Softmax of random scores: how evenly it spreads its weight, and what it costs as a guess."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain

__all__ = ["attention_share", "attention_shares", "attention_slope", "random_cross_entropy"]

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_REACH = 8.5
_ROWS = 200
"""Rows of a causal mask that are computed; between them the share is interpolated."""
_LARGE = 30.0
"""Spread of logits from which on the second largest no longer counts: an error below one in a hundred."""


def attention_share(keys: int, *, score_variance: float = 0.0, causal: bool = False) -> float:
    """Expected sum of squared weights of a softmax over T places with independent Gaussian scores.

    1 / T for equal weights and 1 when one place takes all: a mean of T independent values with these weights
    keep this share of their power. With ``S = sum exp(s_i)``, ``E sum exp(2 s_i) / S^2`` is
    ``T integral over u of e^(2u) E[e^(2s) exp(-e^u e^s)] E[exp(-e^u e^s)]^(T - 1)``.

    Parameters
    ----------
    keys
        Number T of places.
    score_variance
        Variance of the scores within a row.
    causal
        Whether place t sees the first t places only: then the mean over t.

    Examples
    --------
    >>> attention_share(4), round(attention_share(4, causal=True), 4)
    (0.25, 0.5208)

    References
    ----------
    L. Noci et al., Signal Propagation in Transformers, 2022, section 3 (uniform attention at the start).
    """
    return float(np.mean(_shares(keys, _checked(keys, score_variance), causal)))


def attention_shares(keys: int, *, score_variance: float = 0.0, causal: bool = False) -> tuple[float, ...]:
    """The sum of squared weights of every row, of which `attention_share` is the mean.

    Parameters
    ----------
    keys, score_variance, causal
        As for `attention_share`.

    Returns
    -------
    tuple of float
        One for all rows, or with a causal mask one for each.

    Examples
    --------
    >>> attention_shares(4), attention_shares(2, causal=True)
    ((0.25,), (1.0, 0.5))
    """
    return _shares(keys, _checked(keys, score_variance), causal)


def attention_slope(keys: int, *, score_variance: float = 0.0, causal: bool = False) -> float:
    """What a softmax passes back to its scores: ``share (1 - share)``, with a causal mask the mean over rows.

    A score that rises by ds takes ``a_j (v_j - sum a v) ds`` more, of values v without anything in common:
    ``sum a_j^2 (1 - 2 a_j + sum a^2)`` times their power, which is this where the weights are even.

    Parameters
    ----------
    keys, score_variance, causal
        As for `attention_share`.

    Examples
    --------
    >>> attention_slope(4), round(attention_slope(2, causal=True), 4)
    (0.1875, 0.125)
    """
    shares = _shares(keys, _checked(keys, score_variance), causal)
    return float(np.mean([s * (1.0 - s) for s in shares]))


def _checked(keys: int, score_variance: float) -> float:
    if keys < 1 or not (math.isfinite(score_variance) and score_variance >= 0.0):
        raise InputError(
            explain(
                "A softmax has no places or no variance",
                received=f"keys={keys}, score_variance={score_variance}",
                rule="keys >= 1, score_variance >= 0",
            )
        )
    return float(f"{score_variance:.6g}")


@lru_cache(maxsize=256)
def _shares(keys: int, variance: float, causal: bool) -> tuple[float, ...]:  # noqa: FBT001 - of a private law
    """The share of every row; a single one where all rows see as many places."""
    places = np.arange(1, keys + 1, dtype=np.float64) if causal else np.array([float(keys)])
    if variance == 0.0:
        return tuple((1.0 / places).tolist())
    s = math.sqrt(variance)
    if s > _LARGE:
        return (1.0,)
    z, mass = _rule(-_REACH, _REACH, 0.5)
    mass = mass * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    # e^u S is of the order of 1: S lies between one smallest and all largest scores.
    u, weight = _rule(-math.log(keys) - _REACH * s - 12.0, _REACH * s + 4.0, 0.5)
    scaled = np.exp(u[:, None] + s * z)
    left = np.exp(-scaled)
    squares = weight * ((scaled**2 * left) @ mass)
    rest = np.log(np.maximum(left @ mass, 1e-300))
    if len(places) > _ROWS:
        places = np.unique(np.geomspace(1, keys, _ROWS).round())
        found = np.array([t * float(squares @ np.exp((t - 1.0) * rest)) for t in places])
        return tuple(np.interp(np.arange(1, keys + 1), places, found).tolist())
    return tuple(t * float(squares @ np.exp((t - 1.0) * rest)) for t in places)


def random_cross_entropy(classes: int, logit_std: float) -> float:
    """Cross entropy of Gaussian logits that know nothing of the label: ``E ln sum exp(s z_i)``.

    With ``S = sum exp(s z_i)``, ``E ln S = integral over u of exp(-e^u) - E[exp(-e^u e^(s z))]^C``: the
    logits are independent, so one Gaussian integral serves for any number of classes. It is
    ``ln C + s^2/2 (1 - 1/C)`` to second order in s, and ``s sqrt(2 ln C)`` for large s.

    Parameters
    ----------
    classes
        Number C of classes.
    logit_std
        Standard deviation s of the logits.

    Returns
    -------
    float
        In nats, to about 1e-7; to 1 % where s exceeds 30.

    Raises
    ------
    InputError
        No class, or a standard deviation that is no finite number >= 0.

    Examples
    --------
    >>> round(random_cross_entropy(50257, math.sqrt(768) * 0.02), 3)
    10.979
    """
    if classes < 1 or not (math.isfinite(logit_std) and logit_std >= 0.0):
        raise InputError(
            explain(
                "There is no class, or no spread",
                received=f"classes={classes}, logit_std={logit_std}",
                rule="classes >= 1, logit_std >= 0",
            )
        )
    if logit_std > _LARGE:
        # The largest logit is all there is: E max = integral of 1(x > 0) - Phi(x)^C.
        x, weight = _rule(-_REACH, _REACH, 0.1)
        below = np.array([0.5 * math.erfc(-point / math.sqrt(2.0)) for point in x])
        return logit_std * float(weight @ ((x > 0.0) - below**classes))
    # -e^u S is next to nothing below, and e^u overwhelms every S above.
    low, high = -math.log(classes) - _REACH * logit_std - 20.0, _REACH * logit_std + 5.0
    u, weight = _rule(low, high, 0.5)
    z, mass = _rule(-_REACH, _REACH, 0.5)
    mass = mass * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    # What is missing to 1 keeps its digits where e^u is small.
    missing = -np.expm1(-np.exp(np.minimum(u[:, None] + logit_std * z, 40.0))) @ mass
    decayed = np.exp(classes * np.log1p(-np.minimum(missing, 1.0 - 1e-15)))
    return float(weight @ (np.exp(-np.exp(np.minimum(u, 40.0))) - decayed))


def _rule(low: float, high: float, width: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre points and weights on equal cells."""
    edges = np.linspace(low, high, math.ceil((high - low) / width) + 1)
    half = 0.5 * (edges[1] - edges[0])
    points = (0.5 * (edges[1:] + edges[:-1])[:, None] + half * _POINTS).ravel()
    return points, np.tile(half * _WEIGHTS, len(edges) - 1)
