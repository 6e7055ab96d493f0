"""Glorot (Xavier): a compromise between the forward and the backward variance."""

from __future__ import annotations

from fanin.errors import InputError, explain, finite
from fanin.schemes.base import Entry, FanScaled

__all__ = ["SCHEMES", "glorot_normal", "glorot_truncated_normal", "glorot_uniform"]


def glorot_uniform(gain: float = 1.0) -> FanScaled:
    """Glorot uniform, also called Xavier uniform.

    ``w ~ U(-a, a)`` with ``a = gain sqrt(6 / (fan_in + fan_out))``, so ``Var[w] = gain^2 / fan_avg``.

    Parameters
    ----------
    gain
        Factor on the standard deviation; 1 for linear units and those with slope 1 at 0.

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
    >>> print(glorot_uniform().draw((300, 100)))
    U(±0.1225)

    References
    ----------
    X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural
    networks, 2010, equation 16.
    """
    return _glorot("glorot_uniform", gain, "uniform", "16")


def glorot_normal(gain: float = 1.0) -> FanScaled:
    """Glorot normal, also called Xavier normal; not truncated.

    ``w ~ N(0, gain^2 / fan_avg)`` with ``fan_avg = (fan_in + fan_out) / 2``.

    Parameters
    ----------
    gain
        Factor on the standard deviation; 1 for linear units and those with slope 1 at 0.

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
    >>> print(glorot_normal().draw((300, 100)))
    N(0, 0.07071²)

    References
    ----------
    X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural
    networks, 2010, equation 12.
    """
    return _glorot("glorot_normal", gain, "normal", "12")


def glorot_truncated_normal(gain: float = 1.0) -> FanScaled:
    """Glorot normal, cut at ±2 standard deviations of the parent.

    ``Var[w] = gain^2 / fan_avg`` after the cut: the parent is wider by ``1 / std(z | |z| < 2)``. This is
    the ``glorot_normal`` of Keras and JAX.

    Parameters
    ----------
    gain
        Factor on the standard deviation; 1 for linear units and those with slope 1 at 0.

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
    >>> print(glorot_truncated_normal().draw((300, 100)))
    N(0, 0.07071²) cut at ±2σ

    References
    ----------
    X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural
    networks, 2010, equation 12.
    """
    return _glorot("glorot_truncated_normal", gain, "truncated_normal", "12")


def _glorot(name: str, gain: float, distribution: str, equation: str) -> FanScaled:
    if not (finite(gain) and gain > 0):
        raise InputError(explain(f"{name} needs a gain that is positive and finite", received=f"gain={gain}"))
    return FanScaled(
        name=name,
        variance=float(gain) ** 2,
        mode="fan_avg",
        distribution=distribution,
        references=(f"Glorot and Bengio 2010, equation {equation}",),
    )


SCHEMES = (
    Entry(factory=glorot_uniform, aliases=("xavier_uniform",), examples=({}, {"gain": 0.5})),
    Entry(factory=glorot_normal, aliases=("xavier_normal",), examples=({}, {"gain": 2.0})),
    Entry(factory=glorot_truncated_normal, aliases=("xavier_truncated_normal",)),
)
