"""Uniform laws of older toolkits: unit scaling, and the sigmoid's own."""

from __future__ import annotations

from fanin.schemes.base import Entry, FanScaled, checked_gain

__all__ = ["SCHEMES", "sigmoid_uniform", "uniform_unit_scaling"]


def uniform_unit_scaling(gain: float = 1.0) -> FanScaled:
    """Uniform that keeps a linear layer's variance; the default of TensorFlow before Glorot's.

    ``w ~ U(-a, a)`` with ``a = gain sqrt(3 / fan_in)``, so ``Var[w] = gain^2 / fan_in``.

    Parameters
    ----------
    gain
        Factor on the standard deviation; 1.43 was advised for ReLU, 1.15 for tanh.

    Returns
    -------
    FanScaled
        A scheme.

    Raises
    ------
    InputError
        A gain that is not positive and finite.

    Examples
    --------
    >>> print(uniform_unit_scaling().draw((100, 300)))
    U(±0.1)

    References
    ----------
    D. Sussillo, L. F. Abbott, Random walk initialization for training very deep feedforward networks, 2014,
    section 2 (the gains).
    """
    return FanScaled(
        name="uniform_unit_scaling",
        variance=checked_gain("uniform_unit_scaling", gain) ** 2,
        mode="fan_in",
        distribution="uniform",
        references=("Sussillo and Abbott 2014, section 2",),
    )


def sigmoid_uniform(gain: float = 4.0) -> FanScaled:
    """Glorot's uniform, four times as wide: the logistic sigmoid's slope at 0 is a quarter.

    ``w ~ U(-a, a)`` with ``a = gain sqrt(6 / (fan_in + fan_out))``.

    Parameters
    ----------
    gain
        Factor on Glorot's standard deviation.

    Returns
    -------
    FanScaled
        A scheme.

    Raises
    ------
    InputError
        A gain that is not positive and finite.

    Examples
    --------
    >>> print(sigmoid_uniform().draw((300, 300)))
    U(±0.4)

    References
    ----------
    X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010,
    section 4.2.1; the factor 4 for sigmoids: Theano's deep learning tutorials, multilayer perceptron.
    """
    return FanScaled(
        name="sigmoid_uniform",
        variance=checked_gain("sigmoid_uniform", gain) ** 2,
        mode="fan_avg",
        distribution="uniform",
        references=("Glorot and Bengio 2010, section 4.2.1",),
    )


SCHEMES = (
    Entry(factory=uniform_unit_scaling, aliases=("uniform_scaling",), examples=({}, {"gain": 1.43})),
    Entry(factory=sigmoid_uniform),
)
