"""A Keras model's variables: their names, and what they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras

from fanin.errors import InputError, explain

__all__ = ["Names", "Variable", "layers_of", "variables_of"]

Names: TypeAlias = Mapping[str, str] | Callable[[str], str] | None
"""From a variable's path to the name of its stream: paths that a mapping lacks keep their own."""

_STATISTICS = ("moving_mean", "moving_variance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable with the name of its stream.

    Parameters
    ----------
    name
        Its path, unless the user says another.
    value
        The Keras variable.
    role
        What it is for, if it is no weight; "" for weights.
    """

    name: str
    value: Any
    role: str

    @property
    def path(self) -> str:
        """Keras' own name of it."""
        return str(self.value.path)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(int(n) for n in self.value.shape)

    @property
    def dtype(self) -> str:
        """Name of its dtype."""
        return str(keras.backend.standardize_dtype(self.value.dtype))

    @property
    def owner(self) -> str:
        """Path of the layer that has it."""
        return self.path.rpartition("/")[0]


def variables_of(model: Any, names: Names = None) -> tuple[Variable, ...]:
    """The variables of a built model, in Keras' order.

    Raises
    ------
    InputError
        What is no Keras model or layer, one that is not built, or names that do not fit.

    Examples
    --------
    >>> layer = keras.layers.Dense(2, name="fc1")
    >>> layer.build((None, 3))
    >>> [variable.name for variable in variables_of(layer)]
    ['fc1/kernel', 'fc1/bias']
    """
    if not isinstance(model, keras.Layer):
        raise InputError(
            explain(
                "There is no model to read",
                received=type(model).__name__,
                rule="A model is a keras.Model or a keras.Layer",
            )
        )
    if not model.built or not model.variables:
        raise InputError(
            explain(
                "The model has no variables yet",
                received=type(model).__name__,
                rule="Keras makes them when it knows the shape of the input",
                remedy="Call the model once on a batch, or model.build(input_shape)",
            )
        )
    paths = [str(variable.path) for variable in model.variables]
    if names is not None and not callable(names) and not isinstance(names, Mapping):
        raise InputError(
            explain(
                "names= is not understood",
                received=f"{names!r} ({type(names).__name__})"[:200],
                rule="It maps paths of variables to names of streams: a mapping, or a function",
            )
        )
    if isinstance(names, Mapping) and (strangers := sorted(set(names) - set(paths))):
        raise InputError(
            explain(
                "names= has a path that no variable has",
                received=", ".join(strangers[:4]),
                remedy="The paths are " + ", ".join([*paths[:4], *["..."] * (len(paths) > 4)]),
            )
        )
    found = tuple(
        Variable(name=_name(path, names), value=variable, role=_role(path, variable))
        for path, variable in zip(paths, model.variables, strict=True)
    )
    seen: set[str] = set()
    for variable in found:
        if variable.name in seen:
            raise InputError(
                explain(
                    "Two variables have one name",
                    received=variable.name,
                    rule="Equal names have equal numbers, so each variable has a name of its own",
                    remedy="Name the layers, or give names= as a mapping from paths",
                )
            )
        seen.add(variable.name)
    return found


def layers_of(model: Any) -> list[Any]:
    """A model and all of its layers, in their order, inner ones too.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="fc1")], name="net")
    >>> [layer.name for layer in layers_of(model) if layer.variables]
    ['net', 'fc1']
    """
    # (Keras has no public list of inner layers; without this one names are those of variables alone.)
    flat = getattr(model, "_flatten_layers", None)
    return [model] if flat is None else list(flat())


def _name(path: str, names: Names) -> str:
    if names is None:
        return path
    return names(path) if callable(names) else names.get(path, path)


def _role(path: str, variable: Any) -> str:
    if path.rpartition("/")[2] in _STATISTICS:
        return "statistics"
    kind = str(keras.backend.standardize_dtype(variable.dtype))
    return "" if kind.startswith(("float", "bfloat", "complex")) else "counter"
