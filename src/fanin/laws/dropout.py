"""Gains under dropout: what survives is enlarged, so its power grows."""

from __future__ import annotations

from dataclasses import replace

from fanin.errors import InputError, explain, finite
from fanin.laws.gains import Gain

__all__ = ["dropout_gain"]


def dropout_gain(found: Gain, rate: float) -> Gain:
    """Gain of an activation that inverted dropout follows.

    ``g = m f(z) / (1 - p)``, ``m ~ Bernoulli(1 - p)``:
    ``E g = E f``, ``E g^2 = E f^2 / (1 - p)`` and ``E g'^2 = E f'^2 / (1 - p)``, so both gains are those of
    f times ``sqrt(1 - p)``, and chi stays. In evaluation nothing is dropped and the power is ``1 - p`` of
    that: no variance suits both, and without norms the one of training is what the gradient sees.

    Parameters
    ----------
    found
        Of the activation, as `fanin.laws.gains.gain` gives it.
    rate
        Share p that is dropped, 0 <= p < 1.

    Returns
    -------
    Gain
        Moments of what the next layer reads in training.

    Raises
    ------
    InputError
        A rate that is no share, or 1, which leaves nothing.

    Examples
    --------
    >>> from fanin.laws.gains import gain
    >>> round(dropout_gain(gain("relu"), 0.5).forward, 9)
    1.0

    References
    ----------
    N. Srivastava et al., Dropout, 2014, section 10 (inverted dropout).
    D. Hendrycks, K. Gimpel, Adjusting for Dropout Variance in Batch Normalization and Weight Initialization,
    2016, section 2.
    """
    if not (finite(rate) and 0.0 <= rate < 1.0):
        raise InputError(
            explain("The rate of dropout is no share", received=f"rate={rate!r}", rule="0 <= rate < 1")
        )
    kept = 1.0 - rate
    return replace(
        found,
        name=f"dropout({rate:g}) of {found.name}",
        second_moment=found.second_moment / kept,
        derivative_second_moment=found.derivative_second_moment / kept,
    )
