"""What an activation does to the scale of a signal, and the gains that undo it.

With ``Var[w] = gain^2 / fan_in`` a layer that follows ``f(z)``, z ~ N(0, 1), has outputs of second
moment 1 again. Backward the same holds for f' and fan_out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain, finite, nearest
from fanin.laws.activations import ACTIVATIONS, ALIASES, activation
from fanin.laws.expectation import evaluate, expectation
from fanin.laws.quadrature import (
    NODES,
    Values,
    curve,
    gaussian_derivative_second_moment,
    gaussian_mean,
    gaussian_second_moment,
)

__all__ = [
    "Gain",
    "conventional_gain",
    "forms",
    "gain",
    "gain_from_values",
    "glu_gain",
    "identify",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Moments of an activation of a Gaussian, and the gains that follow.

    Parameters
    ----------
    name
        Of the activation.
    q
        Variance of the input.
    mean, second_moment, derivative_second_moment
        ``E f``, ``E f^2`` and ``E f'^2``.
    source
        "closed form", "quadrature" or "values" (a table on `fanin.laws.quadrature.NODES`).
    """

    name: str
    q: float = 1.0
    mean: float
    second_moment: float
    derivative_second_moment: float
    source: str

    @property
    def forward(self) -> float:
        """Gain that keeps the signal: ``sqrt(q / E f^2)``."""
        return math.sqrt(self.q / self.second_moment)

    @property
    def backward(self) -> float:
        """Gain that keeps the gradient: ``1 / sqrt(E f'^2)``; infinite where f is flat."""
        slope = self.derivative_second_moment
        return 1.0 / math.sqrt(slope) if slope > 0 else math.inf

    @property
    def chi(self) -> float:
        """Growth of the gradient a layer when the signal is kept: ``q E f'^2 / E f^2``."""
        return self.q * self.derivative_second_moment / self.second_moment

    def __float__(self) -> float:
        return self.forward


def gain(name_or_f: str | Callable[..., object], slope: float | None = None) -> Gain:
    """Gains of an activation for a standard normal input.

    ``forward = 1 / sqrt(E f(z)^2)``, ``backward = 1 / sqrt(E f'(z)^2)``,
    ``chi = E f'^2 / E f^2``.

    Parameters
    ----------
    name_or_f
        A name (``"relu"``, ``"leaky_relu(0.2)"``), or any function of a NumPy array or of a float.
    slope
        Parameter of a named activation that has one: the negative slope of ``leaky_relu`` and
        ``prelu``, alpha of ``elu`` and ``celu``, the bound of the shrinkages, b of
        ``squareplus``, omega of ``sin``.

    Returns
    -------
    Gain
        ``float()`` of it is the forward gain.

    Raises
    ------
    UnknownNameError
        A name that is not known; the message has the nearest.
    InputError
        A function that is zero everywhere or returns no finite numbers, or a slope where there
        is none.

    Examples
    --------
    >>> round(gain("relu").forward, 4), round(gain("gelu").forward, 4)
    (1.4142, 1.5335)
    >>> round(gain(lambda x: max(x, 0.0) ** 2).forward, 4)
    0.8165

    References
    ----------
    K. He et al., Delving Deep into Rectifiers, 2015, equations 10 and 14 (ReLU), 15 (PReLU).
    S. S. Schoenholz et al., Deep Information Propagation, 2017, equation 5 (chi).
    """
    if isinstance(name_or_f, str):
        if slope is not None:
            activation(name_or_f, slope)  # refuses what is no number, before it is looked up
        return _named(name_or_f, slope)
    if slope is not None:
        raise InputError(
            explain(
                "A slope is for named activations",
                received=f"slope={slope} with a function",
                remedy="Put the slope into the function",
            )
        )
    label = getattr(name_or_f, "__name__", type(name_or_f).__name__)
    second = expectation(lambda x: np.square(evaluate(name_or_f, x)))
    return _nonzero(
        Gain(
            name=label,
            mean=expectation(name_or_f),
            second_moment=second,
            derivative_second_moment=expectation(lambda x: _difference(name_or_f, x) ** 2),
            source="quadrature",
        )
    )


@lru_cache(maxsize=256)
def _named(name: str, slope: float | None) -> Gain:
    entry = activation(name, slope)
    label = f"{entry.name}({slope:.6g})" if slope is not None else name.strip().lower()
    exact = (entry.mean, entry.second_moment, entry.derivative_second_moment)
    mean, second, slopes = exact
    if mean is None:
        mean = expectation(entry.function, kinks=entry.kinks)
    if second is None:
        second = expectation(lambda x: entry.function(x) ** 2, kinks=entry.kinks)
    if slopes is None:
        slopes = expectation(lambda x: entry.derivative(x) ** 2, kinks=entry.kinks)
    return _nonzero(
        Gain(
            name=label,
            mean=mean,
            second_moment=second,
            derivative_second_moment=slopes,
            source="quadrature" if None in exact else "closed form",
        )
    )


def _difference(f: Callable[..., object], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fourth-order central difference: truncation h^4 and rounding 1e-16 / h meet near 1e-12."""
    h = 1e-3
    near = evaluate(f, x + h) - evaluate(f, x - h)
    far = evaluate(f, x + 2 * h) - evaluate(f, x - 2 * h)
    return (8.0 * near - far) / (12.0 * h)


def _nonzero(result: Gain) -> Gain:
    if not result.second_moment > 0.0:
        raise InputError(
            explain(
                "No gain restores a signal that the activation removes",
                received=f"{result.name}, E f^2 = {result.second_moment}",
                rule="f is not zero on almost all of N(0, 1)",
            )
        )
    return result


def gain_from_values(values: Values, q: float = 1.0, *, name: str = "custom") -> Gain:
    """Gains of an activation that is known by its values on `NODES`, for any input variance.

    Parameters
    ----------
    values
        f on `fanin.laws.quadrature.NODES`.
    q
        Variance of the input.
    name
        For the record.

    Raises
    ------
    InputError
        No table on `NODES`, or all zero.

    Examples
    --------
    >>> round(gain_from_values(np.maximum(NODES, 0.0)).forward, 6)
    1.414214
    """
    second = gaussian_second_moment(values, q)
    slopes = gaussian_derivative_second_moment(values, q)
    return _nonzero(
        Gain(
            name=name,
            q=float(q),
            mean=gaussian_mean(values, q),
            second_moment=second,
            # Ten digits of slope below the signal there is only the rounding of the fit.
            derivative_second_moment=slopes if slopes * max(q, 1.0) > 1e-20 * second else 0.0,
            source="values",
        )
    )


def glu_gain(name_or_f: str | Callable[..., object], slope: float | None = None) -> Gain:
    """Gains of a gated unit ``f(z) u``, where z and u are independent standard normals.

    ``E (f(z) u)^2 = E f^2``, so the forward gain is that of f. Backward the value branch carries
    ``E f^2`` and the gate branch ``E f'^2`` of the gradient's second moment; a common input gets
    their sum.

    Parameters and errors are those of `gain`. The plain GLU of PyTorch has ``f = "sigmoid"``.

    Examples
    --------
    >>> round(glu_gain("sigmoid").forward, 4)
    1.8462
    """
    gate = gain(name_or_f, slope)
    return Gain(
        name=f"glu({gate.name})",
        mean=0.0,
        second_moment=gate.second_moment,
        derivative_second_moment=gate.second_moment + gate.derivative_second_moment,
        source=gate.source,
    )


@lru_cache(maxsize=1)
def forms() -> dict[str, NDArray[np.float64]]:
    """Values of every named activation on `NODES`, at its usual parameter.

    Without prelu and rrelu, which are leaky_relu with another slope.
    """
    return {name: activation(name).function(NODES) for name in ACTIVATIONS if name not in {"prelu", "rrelu"}}


def identify(values: Values, *, tolerance: float = 2e-6) -> str | None:
    """Name the known activation that has these values on `NODES`.

    Parameters
    ----------
    values
        f on `fanin.laws.quadrature.NODES`, in float32 or better.
    tolerance
        Largest difference, relative to ``max(1, |f|)``.

    Returns
    -------
    str or None
        A name that `gain` understands, such as ``"gelu_tanh"``, ``"leaky_relu(0.2)"`` or
        ``"elu(0.5)"``; None for any other function.

    Raises
    ------
    InputError
        No table on `NODES`.

    Examples
    --------
    >>> identify(np.where(NODES > 0, NODES, 0.2 * NODES))
    'leaky_relu(0.2)'
    >>> identify(np.cos(NODES)) is None
    True
    """
    curve(values)
    table = np.asarray(values, dtype=np.float64)

    def matches(known: NDArray[np.float64]) -> bool:
        return bool((np.abs(table - known) <= tolerance * np.maximum(1.0, np.abs(known))).all())

    for name, known in forms().items():
        if matches(known):
            return name
    # Families with a free parameter, read off the left end and snapped to few digits.
    for family, parameter in (("leaky_relu", -table[0] / NODES[-1]), ("elu", -table[0])):
        for digits in (3, 6, 12):
            rounded = float(f"{parameter:.{digits}g}")
            if abs(rounded) < 1e6 and matches(activation(family, rounded).function(NODES)):
                return f"{family}({rounded:.12g})"
    return None


def conventional_gain(name: str, slope: float | None = None) -> float:
    """Gain by the table of ``torch.nn.init.calculate_gain``, for its dialect only.

    linear, convolutions and sigmoid 1; tanh 5/3; relu sqrt(2); leaky_relu sqrt(2 / (1 + slope^2))
    with slope 0.01; selu 3/4. Those of tanh, sigmoid and selu are conventions: no moment of the
    function has these values (`gain` does).

    Raises
    ------
    UnknownNameError
        A name that the table does not have.
    InputError
        A slope that is no finite number.

    Examples
    --------
    >>> conventional_gain("tanh") == 5 / 3
    True

    References
    ----------
    PyTorch documentation, torch.nn.init.calculate_gain.
    """
    table = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}
    table |= {f"conv{kind}{d}d": 1.0 for kind in ("", "_transpose") for d in (1, 2, 3)}
    if name == "leaky_relu":
        negative = 0.01 if slope is None else slope
        if not finite(negative):
            raise InputError(explain("The slope is no number that is finite", received=f"slope={slope!r}"))
        return math.sqrt(2.0 / (1.0 + negative * negative))
    if name not in table:
        error = nearest(name, [*table, "leaky_relu"], kind="nonlinearity of the torch table")
        if ALIASES.get(name, name) in ACTIVATIONS:
            error.add_note(f"fanin's own gain('{name}') is computed from the function.")
        raise error
    return table[name]
