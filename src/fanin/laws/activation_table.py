"""The pointwise activations that PyTorch, JAX and Keras ship, as functions of float64 arrays.

One table drives gains, recognition and tests. Each entry has its derivative and the points where
either of them jumps, and closed forms of its moments where they are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACTIVATIONS", "Activation"]

Floats: TypeAlias = NDArray[np.float64]

_SQRT2 = math.sqrt(2.0)
_SQRT_2_PI = math.sqrt(2.0 / math.pi)

# The fixed point of the map of mean and variance at (0, 1): G. Klambauer et al., Self-Normalizing
# Neural Networks, 2017, equation 14, with their closed forms evaluated in float64.
_SELU_ALPHA = -_SQRT_2_PI / (math.erfc(1 / _SQRT2) * math.exp(0.5) - 1.0)
_SELU_LAMBDA = (
    (1.0 - math.erfc(1 / _SQRT2) * math.exp(0.5))
    * math.sqrt(2.0 * math.pi)
    / math.sqrt(
        2.0 * math.erfc(_SQRT2) * math.e**2
        + math.pi * math.erfc(1 / _SQRT2) ** 2 * math.e
        - 2.0 * (2.0 + math.pi) * math.erfc(1 / _SQRT2) * math.exp(0.5)
        + math.pi
        + 2.0
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A named pointwise function.

    Parameters
    ----------
    name
        Its name here, with the parameter where that is not the usual one: ``leaky_relu(0.2)``.
    function, derivative
        Of float64 arrays; the derivative is one-sided at a kink.
    kinks
        Where the function or its derivative jumps. The derivative moment of a function that
        jumps itself (hardshrink) leaves the jump out.
    mean, second_moment, derivative_second_moment
        Closed forms of ``E f``, ``E f^2`` and ``E f'^2`` for a standard normal input, or None.
    """

    name: str
    function: Callable[[Floats], Floats]
    derivative: Callable[[Floats], Floats]
    kinks: tuple[float, ...] = ()
    mean: float | None = None
    second_moment: float | None = None
    derivative_second_moment: float | None = None


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _sigmoid_slope(x: Floats) -> Floats:
    return np.asarray(0.25 / np.cosh(np.clip(0.5 * x, -350.0, 350.0)) ** 2)


def _softplus(x: Floats) -> Floats:
    return np.logaddexp(0.0, x)


def _normal_cdf(x: Floats) -> Floats:
    return 0.5 * np.array([math.erfc(-v / _SQRT2) for v in np.ravel(x)]).reshape(np.shape(x))


def _normal_pdf(x: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi))


def _linear() -> Activation:
    return Activation(
        name="linear",
        function=lambda x: x,
        derivative=np.ones_like,
        mean=0.0,
        second_moment=1.0,
        derivative_second_moment=1.0,
    )


def _leaky_relu(slope: float = 0.01) -> Activation:
    moment = 0.5 * (1.0 + slope * slope)
    return Activation(
        name="leaky_relu",
        function=lambda x: np.where(x > 0, x, slope * x),
        derivative=lambda x: np.where(x > 0, 1.0, slope),
        kinks=(0.0,),
        mean=(1.0 - slope) / math.sqrt(2.0 * math.pi),
        second_moment=moment,
        derivative_second_moment=moment,
    )


def _relu() -> Activation:
    # E f^2 = 1/2: K. He et al., 2015, equation 8.
    return Activation(
        name="relu",
        function=lambda x: np.maximum(x, 0.0),
        derivative=lambda x: np.where(x > 0, 1.0, 0.0),
        kinks=(0.0,),
        mean=1.0 / math.sqrt(2.0 * math.pi),
        second_moment=0.5,
        derivative_second_moment=0.5,
    )


def _relu_squared() -> Activation:
    return Activation(
        name="relu_squared",
        function=lambda x: np.maximum(x, 0.0) ** 2,
        derivative=lambda x: 2.0 * np.maximum(x, 0.0),
        kinks=(0.0,),
        mean=0.5,
        second_moment=1.5,
        derivative_second_moment=2.0,
    )


def _ramp(name: str, low: float, high: float) -> Activation:
    return Activation(
        name=name,
        function=lambda x: np.clip(x, low, high),
        derivative=lambda x: np.where((x > low) & (x < high), 1.0, 0.0),
        kinks=(low, high),
    )


def _elu(alpha: float = 1.0, *, name: str = "elu", factor: float = 1.0, rate: float = 1.0) -> Activation:
    """``factor x`` above 0 and ``factor alpha (exp(rate x) - 1)`` below."""
    # E exp(k z) over z < 0 is exp(k^2 / 2) Phi(-k).
    half = [math.exp(0.5 * k * k) * 0.5 * math.erfc(k / _SQRT2) for k in (0.0, rate, 2.0 * rate)]
    return Activation(
        name=name,
        function=lambda x: factor * np.where(x > 0, x, alpha * np.expm1(rate * np.minimum(x, 0.0))),
        derivative=lambda x: factor * np.where(x > 0, 1.0, alpha * rate * np.exp(rate * np.minimum(x, 0.0))),
        kinks=(0.0,),
        mean=factor * (1.0 / math.sqrt(2.0 * math.pi) + alpha * (half[1] - half[0])),
        second_moment=factor**2 * (0.5 + alpha**2 * (half[2] - 2.0 * half[1] + half[0])),
        derivative_second_moment=factor**2 * (0.5 + (alpha * rate) ** 2 * half[2]),
    )


def _celu(alpha: float = 1.0) -> Activation:
    return _elu(alpha, name="celu", rate=1.0 / alpha)


def _selu() -> Activation:
    return _elu(_SELU_ALPHA, name="selu", factor=_SELU_LAMBDA)


def _gelu() -> Activation:
    # E f = 1 / (2 sqrt(pi)). E f^2 = 1/4 + asin(1/2) / (2 pi) + 1 / (2 sqrt(3) pi), by parts from
    # E Phi^2 = 1/4 + asin(1/2) / (2 pi) = 1/3; likewise the derivative.
    root = math.sqrt(3.0) * math.pi
    return Activation(
        name="gelu",
        function=lambda x: x * _normal_cdf(x),
        derivative=lambda x: _normal_cdf(x) + x * _normal_pdf(x),
        mean=0.5 / math.sqrt(math.pi),
        second_moment=1.0 / 3.0 + 0.5 / root,
        derivative_second_moment=1.0 / 3.0 + 2.0 / (3.0 * root),
    )


def _gelu_tanh() -> Activation:
    def inner(x: Floats) -> Floats:
        return _SQRT_2_PI * (x + 0.044715 * x**3)

    def derivative(x: Floats) -> Floats:
        t: Floats = np.tanh(inner(x))
        slope: Floats = _SQRT_2_PI * (1 + 3 * 0.044715 * x * x)
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope

    # 0.044715: D. Hendrycks, K. Gimpel, Gaussian Error Linear Units, 2016, section 2.
    return Activation(
        name="gelu_tanh",
        function=lambda x: 0.5 * x * (1.0 + np.tanh(inner(x))),
        derivative=derivative,
    )


def _swish(beta: float = 1.0, *, name: str = "swish") -> Activation:
    return Activation(
        name=name,
        function=lambda x: x * _sigmoid(beta * x),
        derivative=lambda x: _sigmoid(beta * x) + beta * x * _sigmoid_slope(beta * x),
    )


def _mish() -> Activation:
    def derivative(x: Floats) -> Floats:
        t = np.tanh(_softplus(x))
        return t + x * (1.0 - t * t) * _sigmoid(x)

    return Activation(name="mish", function=lambda x: x * np.tanh(_softplus(x)), derivative=derivative)


def _hard_sigmoid() -> Activation:
    return Activation(
        name="hardsigmoid",
        function=lambda x: np.clip(x + 3.0, 0.0, 6.0) / 6.0,
        derivative=lambda x: np.where(np.abs(x) < 3.0, 1.0 / 6.0, 0.0),
        kinks=(-3.0, 3.0),
    )


def _hard_swish() -> Activation:
    return Activation(
        name="hardswish",
        function=lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
        derivative=lambda x: np.where(x > 3.0, 1.0, np.where(x < -3.0, 0.0, (2.0 * x + 3.0) / 6.0)),
        kinks=(-3.0, 3.0),
    )


def _softshrink(bound: float = 0.5) -> Activation:
    return Activation(
        name="softshrink",
        function=lambda x: np.sign(x) * np.maximum(np.abs(x) - bound, 0.0),
        derivative=lambda x: np.where(np.abs(x) > bound, 1.0, 0.0),
        kinks=(-bound, bound),
    )


def _hardshrink(bound: float = 0.5) -> Activation:
    return Activation(
        name="hardshrink",
        function=lambda x: np.where(np.abs(x) > bound, x, 0.0),
        derivative=lambda x: np.where(np.abs(x) > bound, 1.0, 0.0),
        kinks=(-bound, bound),
    )


def _sin(omega: float = 1.0) -> Activation:
    decay = math.exp(-2.0 * omega * omega)
    return Activation(
        name="sin",
        function=lambda x: np.sin(omega * x),
        derivative=lambda x: omega * np.cos(omega * x),
        mean=0.0,
        second_moment=0.5 * (1.0 - decay),
        derivative_second_moment=0.5 * omega * omega * (1.0 + decay),
    )


def _sparse_plus() -> Activation:
    return Activation(
        name="sparse_plus",
        function=lambda x: np.where(np.abs(x) < 1.0, 0.25 * (x + 1.0) ** 2, np.maximum(x, 0.0)),
        derivative=lambda x: np.clip(0.5 * (x + 1.0), 0.0, 1.0),
        kinks=(-1.0, 1.0),
    )


def _squareplus(b: float = 4.0) -> Activation:
    return Activation(
        name="squareplus",
        function=lambda x: 0.5 * (x + np.sqrt(x * x + b)),
        derivative=lambda x: 0.5 * (1.0 + x / np.sqrt(x * x + b)),
    )


def _softplus_entry() -> Activation:
    return Activation(name="softplus", function=_softplus, derivative=_sigmoid)


def _sigmoid_entry() -> Activation:
    return Activation(name="sigmoid", function=_sigmoid, derivative=_sigmoid_slope)


def _log_sigmoid() -> Activation:
    return Activation(
        name="logsigmoid",
        function=lambda x: -_softplus(np.negative(x)),
        derivative=lambda x: _sigmoid(np.negative(x)),
    )


def _tanh() -> Activation:
    return Activation(name="tanh", function=np.tanh, derivative=lambda x: 1.0 - np.tanh(x) ** 2)


def _tanhshrink() -> Activation:
    return Activation(
        name="tanhshrink", function=lambda x: x - np.tanh(x), derivative=lambda x: np.tanh(x) ** 2
    )


def _softsign() -> Activation:
    return Activation(
        name="softsign",
        function=lambda x: x / (1.0 + np.abs(x)),
        derivative=lambda x: 1.0 / (1.0 + np.abs(x)) ** 2,
        kinks=(0.0,),  # of the second derivative
    )


def _gaussian() -> Activation:
    # E exp(-2 z^2) = 1 / sqrt(5); E 4 z^2 exp(-2 z^2) = 4 / 5^(3/2).
    return Activation(
        name="gaussian",
        function=lambda x: np.exp(-x * x),
        derivative=lambda x: -2.0 * x * np.exp(-x * x),
        mean=1.0 / math.sqrt(3.0),
        second_moment=1.0 / math.sqrt(5.0),
        derivative_second_moment=4.0 / 5.0**1.5,
    )


def _exponential() -> Activation:
    return Activation(
        name="exponential",
        function=np.exp,
        derivative=np.exp,
        mean=math.exp(0.5),
        second_moment=math.exp(2.0),
        derivative_second_moment=math.exp(2.0),
    )


ACTIVATIONS: Mapping[str, Callable[..., Activation]] = {
    "linear": _linear,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "prelu": partial(_leaky_relu, 0.25),
    # In evaluation PyTorch uses the mean of its slopes, U(1/8, 1/3).
    "rrelu": partial(_leaky_relu, 0.5 * (1 / 8 + 1 / 3)),
    "relu6": partial(_ramp, "relu6", 0.0, 6.0),
    "relu_squared": _relu_squared,
    "elu": _elu,
    "celu": _celu,
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "quick_gelu": partial(_swish, 1.702, name="quick_gelu"),
    "silu": partial(_swish, 1.0, name="silu"),
    "mish": _mish,
    "softplus": _softplus_entry,
    "squareplus": _squareplus,
    "sparse_plus": _sparse_plus,
    "sigmoid": _sigmoid_entry,
    "logsigmoid": _log_sigmoid,
    "hardsigmoid": _hard_sigmoid,
    "hardswish": _hard_swish,
    "hardtanh": partial(_ramp, "hardtanh", -1.0, 1.0),
    "sparse_sigmoid": lambda: Activation(
        name="sparse_sigmoid",
        function=lambda x: np.clip(0.5 * (x + 1.0), 0.0, 1.0),
        derivative=lambda x: np.where(np.abs(x) < 1.0, 0.5, 0.0),
        kinks=(-1.0, 1.0),
    ),
    "tanh": _tanh,
    "tanhshrink": _tanhshrink,
    "softsign": _softsign,
    "softshrink": _softshrink,
    "hardshrink": _hardshrink,
    "sin": _sin,
    "gaussian": _gaussian,
    "exponential": _exponential,
}
"""Constructors by name; one that takes a parameter has the usual one as its default."""
