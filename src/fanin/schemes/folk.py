"""Rules that people write by hand, under names of their own."""

from __future__ import annotations

from fanin.errors import InputError, explain, finite
from fanin.records.draw import Normal
from fanin.schemes.base import Entry, FanScaled, Fixed

__all__ = ["SCHEMES", "randn_fan_in", "randn_fan_sum", "small_normal"]


def small_normal(std: float = 0.01) -> Fixed:
    """One small standard deviation for every layer: ``w ~ N(0, std^2)``.

    0.01 is AlexNet's, from before anyone counted fans: a ReLU layer multiplies the signal's power by
    ``fan_in std^2 / 2``, which is 1 only at a fan_in of 20,000 (of 80,000 for the equally common 0.005).

    Parameters
    ----------
    std
        0.01 or 0.005 by custom.

    Returns
    -------
    Fixed
        A scheme.

    Raises
    ------
    InputError
        A std that is not positive and finite.

    Examples
    --------
    >>> small_normal(0.005)
    <small_normal: w ~ N(0, 0.005²)>

    References
    ----------
    A. Krizhevsky, I. Sutskever, G. E. Hinton, ImageNet Classification with Deep Convolutional Neural
    Networks, 2012, section 5.
    """
    if not (finite(std) and std > 0):
        raise InputError(
            explain("small_normal needs a std that is positive and finite", received=f"std={std}")
        )
    return Fixed(
        name="small_normal",
        spec=Normal(std=float(std)),
        references=("Krizhevsky, Sutskever and Hinton 2012, section 5",),
    )


def randn_fan_in() -> FanScaled:
    """The one-liner ``randn(m, n) * sqrt(1 / n)``, often called Xavier: LeCun's normal, in truth.

    ``w ~ N(0, 1 / fan_in)``. It keeps the power of a linear layer forward; Glorot's mean of both fans is a
    compromise with the gradient's.

    Returns
    -------
    FanScaled
        A scheme.

    Examples
    --------
    >>> print(randn_fan_in().draw((30, 100)))
    N(0, 0.1²)

    References
    ----------
    Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller, Efficient BackProp, 1998, section 4.6, equation 16.
    """
    return FanScaled(
        name="randn_fan_in",
        variance=1.0,
        mode="fan_in",
        distribution="normal",
        references=("LeCun et al. 1998, section 4.6, equation 16",),
    )


def randn_fan_sum() -> FanScaled:
    """The one-liner ``randn(m, n) * sqrt(2 / (n + m))``: Glorot's normal.

    ``w ~ N(0, 2 / (fan_in + fan_out))``.

    Returns
    -------
    FanScaled
        A scheme.

    Examples
    --------
    >>> print(randn_fan_sum().draw((50, 150)))
    N(0, 0.1²)

    References
    ----------
    X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010,
    equation 12.
    """
    return FanScaled(
        name="randn_fan_sum",
        variance=1.0,
        mode="fan_avg",
        distribution="normal",
        references=("Glorot and Bengio 2010, equation 12",),
    )


SCHEMES = (
    Entry(factory=small_normal, aliases=("folk_normal",), examples=({}, {"std": 0.005})),
    Entry(factory=randn_fan_in),
    Entry(factory=randn_fan_sum),
)
