"""Which loss of Keras' is meant, and what it takes: logits or probabilities."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from fanin.errors import InputError, explain

__all__ = ["LOGITS", "PROBABILITIES", "Kind", "kind_of", "object_of"]

LOGITS, PROBABILITIES = "logits", "probabilities"
_FAMILIES = {
    "SparseCategoricalCrossentropy": "sparse",
    "CategoricalCrossentropy": "categorical",
    "BinaryCrossentropy": "binary",
    "MeanSquaredError": "squares",
    "MeanAbsoluteError": "regression",
    "Huber": "regression",
    "LogCosh": "regression",
}
_NAMES = {
    "sparse": "cross entropy",
    "categorical": "cross entropy",
    "binary": "binary cross entropy",
    "squares": "mean squared error",
}
_OF_PROBABILITIES = ("KLDivergence", "Dice", "Tversky")
"""Losses that take probabilities, and have no word for logits."""
_SHORT = {
    "bce": "binarycrossentropy",
    "kld": "kldivergence",
    "mae": "meanabsoluteerror",
    "mape": "meanabsolutepercentageerror",
    "mse": "meansquarederror",
    "msle": "meansquaredlogarithmicerror",
}
"""Names that Keras has beside those of its classes and functions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is known of a loss.

    Parameters
    ----------
    name
        How reports call it.
    family
        "sparse", "categorical", "binary" (cross entropies), "squares", "regression", or "" for others.
    takes
        "logits", "probabilities", or "" where nothing says so.
    axis
        Where the classes lie in the output.
    ignored
        A class that is left out.
    plain
        Whether it is nothing but the mean cross entropy of logits, for which there is a law.
    summed
        Whether it grows with the batch.
    """

    name: str
    family: str = ""
    takes: str = ""
    axis: int = -1
    ignored: int | None = None
    plain: bool = False
    summed: bool = False


def kind_of(loss: Any) -> Kind:
    """What is known of a loss object of Keras'.

    Examples
    --------
    >>> kind_of(keras.losses.SparseCategoricalCrossentropy(from_logits=True)).takes
    'logits'
    >>> kind_of(keras.losses.BinaryCrossentropy()).name
    'binary cross entropy of probabilities'
    """
    class_name = type(loss).__name__
    family, takes = _FAMILIES.get(class_name, ""), ""
    if (given := getattr(loss, "from_logits", None)) is not None:
        takes = LOGITS if given else PROBABILITIES
    elif class_name in _OF_PROBABILITIES:
        takes = PROBABILITIES
    name = _NAMES.get(family, str(loss.name))
    if takes == PROBABILITIES:
        name += " of probabilities" if family else ""
    elif family == "binary":
        name += " with logits"
    summed = getattr(loss, "reduction", "") == "sum"
    ignored = getattr(loss, "ignore_class", None)
    axis = getattr(loss, "axis", -1)
    altered = summed or bool(getattr(loss, "label_smoothing", 0.0)) or ignored is not None
    return Kind(
        name=name,
        family=family,
        takes=takes,
        axis=axis if isinstance(axis, int) else -1,
        ignored=ignored,
        plain=family in ("sparse", "categorical") and takes == LOGITS and not altered,
        summed=summed,
    )


def object_of(loss: Any) -> Any:
    """A loss of Keras', by whatever name it goes, as an object; any other function as it is.

    Raises
    ------
    InputError
        Keras has no such loss, or a class in place of an instance.
    """
    if isinstance(loss, type) and issubclass(loss, keras.losses.Loss):
        raise InputError(
            explain(
                "The loss is no function",
                received=f"the class {loss.__name__}",
                rule="A loss is called with a target and an output",
                remedy=f"Give an instance: loss=keras.losses.{loss.__name__}()",
            )
        )
    if isinstance(loss, keras.losses.Loss):
        return loss
    if isinstance(loss, Mapping):
        return _found(loss)
    words: dict[str, Any] = {}
    given = loss
    if isinstance(loss, functools.partial) and not loss.args:
        given, words = loss.func, dict(loss.keywords)
    if not isinstance(given, str) and not str(getattr(given, "__module__", "")).startswith("keras."):
        if callable(loss):
            return loss
        return _found(loss)
    key = (given if isinstance(given, str) else getattr(given, "__name__", "")).lower().replace("_", "")
    made = _classes().get(_SHORT.get(key, key))
    return made(**words) if made is not None else _found(loss)


def _found(loss: Any) -> Any:
    """What Keras itself makes of it: registered functions, configurations."""
    try:
        return keras.losses.get(loss)
    except (ValueError, TypeError) as error:
        raise InputError(
            explain(
                "Keras has no such loss",
                received=repr(loss)[:200],
                rule="A loss is a name or an object of keras.losses, or a function",
            )
        ) from error


@functools.cache
def _classes() -> dict[str, type]:
    """Classes of losses, by their names in lower case: functions have the same with underscores."""
    return {
        name.lower(): one
        for name, one in vars(keras.losses).items()
        if inspect.isclass(one) and issubclass(one, keras.losses.Loss) and one is not keras.losses.Loss
    }
