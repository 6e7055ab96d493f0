"""He (Kaiming): the activation's own second moment, undone exactly.

For ReLU the factor is the known 2; every other activation gets its own instead of a table's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from fanin.errors import InputError, explain
from fanin.laws.gains import gain
from fanin.schemes.base import Entry, FanScaled

__all__ = ["SCHEMES", "he_normal", "he_truncated_normal", "he_uniform"]

Activation: TypeAlias = str | Callable[..., object]


def he_uniform(
    activation: Activation = "relu", slope: float | None = None, mode: str = "fan_in"
) -> FanScaled:
    """He uniform, also called Kaiming uniform.

    ``w ~ U(-a, a)`` with ``a = sqrt(3) gain / sqrt(fan)``; for ReLU ``sqrt(6 / fan_in)``.

    Parameters
    ----------
    activation
        Of the layer's input: a name that `fanin.laws.gains.gain` knows, or any function.
    slope
        Parameter of the activation, where it has one (`leaky_relu`, `prelu`, `elu`, ...).
    mode
        ``"fan_in"`` keeps the signal (``gain^2 = 1 / E f^2``), ``"fan_out"`` the gradient
        (``1 / E f'^2``); the averaged fans take the geometric mean of both.

    Returns
    -------
    FanScaled
        A scheme.

    Raises
    ------
    InputError
        An unknown activation or mode, or a slope that the activation does not take.

    Examples
    --------
    >>> print(he_uniform().draw((64, 600)))
    U(±0.1)

    References
    ----------
    K. He et al., Delving Deep into Rectifiers, 2015, equations 10, 14 and 15.
    """
    return _he("he_uniform", activation, slope, mode, "uniform")


def he_normal(activation: Activation = "relu", slope: float | None = None, mode: str = "fan_in") -> FanScaled:
    """He normal, also called Kaiming normal or MSRA; not truncated.

    ``w ~ N(0, gain^2 / fan)``; for ReLU ``2 / fan_in``.

    Parameters
    ----------
    activation
        Of the layer's input: a name that `fanin.laws.gains.gain` knows, or any function.
    slope
        Parameter of the activation, where it has one (`leaky_relu`, `prelu`, `elu`, ...).
    mode
        ``"fan_in"`` keeps the signal (``gain^2 = 1 / E f^2``), ``"fan_out"`` the gradient
        (``1 / E f'^2``); the averaged fans take the geometric mean of both.

    Returns
    -------
    FanScaled
        A scheme.

    Raises
    ------
    InputError
        An unknown activation or mode, or a slope that the activation does not take.

    Examples
    --------
    >>> print(he_normal().draw((64, 800)))
    N(0, 0.05²)
    >>> he_normal(activation="gelu")
    <he_normal: Var[w] = 2.35172 / fan_in, normal>

    References
    ----------
    K. He et al., Delving Deep into Rectifiers, 2015, equations 10, 14 and 15.
    """
    return _he("he_normal", activation, slope, mode, "normal")


def he_truncated_normal(
    activation: Activation = "relu", slope: float | None = None, mode: str = "fan_in"
) -> FanScaled:
    """He normal, cut at ±2 standard deviations of the parent.

    ``Var[w] = gain^2 / fan`` after the cut; for ReLU ``2 / fan_in``. This is the ``he_normal`` of Keras
    and JAX.

    Parameters
    ----------
    activation
        Of the layer's input: a name that `fanin.laws.gains.gain` knows, or any function.
    slope
        Parameter of the activation, where it has one (`leaky_relu`, `prelu`, `elu`, ...).
    mode
        ``"fan_in"`` keeps the signal (``gain^2 = 1 / E f^2``), ``"fan_out"`` the gradient
        (``1 / E f'^2``); the averaged fans take the geometric mean of both.

    Returns
    -------
    FanScaled
        A scheme.

    Raises
    ------
    InputError
        An unknown activation or mode, or a slope that the activation does not take.

    Examples
    --------
    >>> print(he_truncated_normal().draw((64, 800)))
    N(0, 0.05²) cut at ±2σ

    References
    ----------
    K. He et al., Delving Deep into Rectifiers, 2015, equations 10, 14 and 15.
    """
    return _he("he_truncated_normal", activation, slope, mode, "truncated_normal")


def _he(name: str, activation: Activation, slope: float | None, mode: str, distribution: str) -> FanScaled:
    gains = gain(activation, slope)
    forward, backward = gains.forward**2, gains.backward**2
    variance = {"fan_in": forward, "fan_out": backward}.get(mode, gains.forward * gains.backward)
    if variance == float("inf"):
        raise InputError(
            explain(
                "No gain keeps a gradient that the activation removes",
                received=f"{gains.name}, E f'^2 = 0, mode={mode!r}",
                remedy="Use mode='fan_in'",
            )
        )
    return FanScaled(
        name=name,
        variance=variance,
        mode=mode,
        distribution=distribution,
        references=("He et al. 2015, equations 10, 14 and 15",),
    )


SCHEMES = (
    Entry(
        factory=he_uniform,
        aliases=("kaiming_uniform",),
        examples=({}, {"activation": "leaky_relu", "slope": 0.2}),
    ),
    Entry(
        factory=he_normal,
        aliases=("kaiming_normal", "msra"),
        examples=({}, {"activation": "gelu"}, {"activation": "tanh", "mode": "fan_out"}),
    ),
    Entry(
        factory=he_truncated_normal,
        aliases=("kaiming_truncated_normal",),
        examples=({}, {"activation": "silu", "mode": "fan_avg"}),
    ),
)
