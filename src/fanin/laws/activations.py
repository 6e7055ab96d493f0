"""Activations by name: aliases, parameters, and errors that suggest the nearest name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial

from fanin.errors import InputError, explain, finite, nearest
from fanin.laws.activation_table import ACTIVATIONS, Activation

__all__ = ["ACTIVATIONS", "ALIASES", "Activation", "activation"]

ALIASES: Mapping[str, str] = {
    "identity": "linear",
    "none": "linear",
    "relu2": "relu_squared",
    "squared_relu": "relu_squared",
    "swish": "silu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_approximate": "gelu_tanh",
    "hard_sigmoid": "hardsigmoid",
    "hard_swish": "hardswish",
    "hard_silu": "hardswish",
    "hardsilu": "hardswish",
    "hard_tanh": "hardtanh",
    "soft_sign": "softsign",
    "soft_shrink": "softshrink",
    "hard_shrink": "hardshrink",
    "tanh_shrink": "tanhshrink",
    "log_sigmoid": "logsigmoid",
    "soft_plus": "softplus",
    "sine": "sin",
    "exp": "exponential",
}
"""Other names of the same functions."""


def activation(name: str, parameter: float | None = None) -> Activation:
    """Look up an activation: ``"relu"``, ``"leaky_relu(0.2)"``, or a name and its parameter.

    Raises
    ------
    UnknownNameError
        A name that is not in the table; the message has the nearest.
    InputError
        A parameter for a function that has none, or one that is not finite.
    """
    key, _, inside = name.strip().lower().partition("(")
    if inside:
        try:
            parameter = float(inside.rstrip(")"))
        except ValueError:
            raise InputError(explain("An activation's parameter is no number", received=repr(name))) from None
    key = ALIASES.get(key, key)
    if key not in ACTIVATIONS:
        raise nearest(name, [*ACTIVATIONS, *ALIASES], kind="activation")
    make = ACTIVATIONS[key]
    if parameter is None:
        return make()
    if key in {"prelu", "rrelu"}:
        make = ACTIVATIONS["leaky_relu"]
    if isinstance(make, partial) or not inspect.signature(make).parameters:
        raise InputError(
            explain(
                "This activation takes no parameter",
                received=f"{key}, {parameter}",
                rule="Parameters: leaky_relu, prelu (slope), elu, celu (alpha), softshrink, "
                "hardshrink (bound), squareplus (b), sin (omega)",
            )
        )
    positive = key in {"celu", "softshrink", "hardshrink", "squareplus", "sin"}
    if not finite(parameter) or (positive and parameter <= 0):
        raise InputError(
            explain(
                f"The parameter of {key} is out of range",
                received=parameter,
                rule="It is a finite number" + (", and positive" if positive else ""),
            )
        )
    return make(parameter)
