"""A loss as Keras' users give it, as ``loss(output, target)``, and what it said of the first output."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.keras.figures import check_classes, figures
from fanin.keras.kinds import LOGITS, Kind, kind_of, object_of

__all__ = ["Ending", "Told", "told"]

_EITHER = ("crossentropy", "ce")
"""Names for which Keras chooses among its cross entropies, by the shapes of target and output."""
_KERAS_ORDER = ("y_true", "true", "target", "targets", "label", "labels")
"""First parameters of functions that take a target before an output, as Keras' own do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The model's output: its shape, and what it looks like ("logits" or "probabilities")."""

    shape: tuple[int, ...]
    takes: str


@dataclass(slots=True, kw_only=True)
class Told:
    """A loss in fanin's order of arguments, with what is known of it.

    Parameters
    ----------
    function
        From an output and a target to a scalar.
    kind
        Which loss it is.
    target
        What the output is compared with.
    """

    function: Callable[[Any, Any], Any]
    kind: Kind
    target: Any
    first: Any = field(default=None)
    __name__: str = field(init=False)

    def __post_init__(self) -> None:
        self.__name__ = self.kind.name

    def __call__(self, output: Any, target: Any) -> Any:
        """The loss. The first output is kept: it is the model's own."""
        if self.kind.family:
            check_classes(self.kind, tuple(output.shape), _numbers(self.target))
        if self.first is None:
            self.first = output
        return self.function(output, target)

    def figures(self, output: Any) -> dict[str, Any]:
        """Fields of a `LossMeasurement`, from the model's output with its values."""
        known: dict[str, Any] = {"name": self.kind.name, "takes": self.kind.takes}
        if (self.kind.family or self.kind.takes) and hasattr(output, "shape"):
            known |= figures(self.kind, _numbers(output), _numbers(self.target))
        return known


def told(model: Any, loss: Any, target: Any, ending: Callable[[], Ending]) -> Told | None:
    """The loss that is meant: the one given, else the one that the model was compiled with, or the target's.

    Parameters
    ----------
    model
        A Keras model.
    loss
        A name, an object or a function of `keras.losses`, any other function, or a list or a dict of these
        for several outputs; None for the compiled one.
    target
        Of the kind that the loss takes. Without it only a function of the user's own is called.
    ending
        Answers how the model's output looks; asked where no loss says so.

    Raises
    ------
    InputError
        No such loss, or targets that do not fit it.
    """
    compiled = False
    if loss is None and getattr(model, "compiled", False) and target is not None:
        loss, compiled = model.loss, True
    own = callable(loss) and not isinstance(object_of(loss), keras.losses.Loss)
    if target is None and not own:
        return None
    target = np.asarray(target) if _plain_list(target) else target
    if isinstance(loss, list | tuple | dict) or (loss is not None and not own and _nested(target)):
        return _several(model, loss, target, compiled=compiled)
    if loss is None:
        return _by_target(target, ending)
    return _one(loss, target, ending, compiled=compiled)


def _numbers(value: Any) -> NDArray[Any]:
    """Numbers as an array of NumPy's."""
    if hasattr(value, "detach"):
        value = value.detach()
    kind = str(getattr(value, "dtype", ""))
    if "bfloat16" in kind or "float8" in kind:
        value = keras.ops.cast(value, "float32")
    return np.asarray(keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value)


def _plain_list(target: Any) -> bool:
    """Whether it is a list of numbers, or of rows of numbers, and no list of arrays."""
    if not isinstance(target, list | tuple) or not target:
        return False
    return all(isinstance(item, bool | int | float | np.number) or _plain_list(item) for item in target)


def _nested(target: Any) -> bool:
    return isinstance(target, Mapping | list | tuple)


def _by_target(target: Any, ending: Callable[[], Ending]) -> Told:
    """Cross entropy for classes, of what the model seems to return; squares for floats."""
    if _nested(target):
        raise InputError(
            explain(
                "Several targets need to be told how they count",
                received=f"a {type(target).__name__} of {len(target)}",
                rule="One target, of classes or of numbers, says by its kind which loss is meant",
                remedy="Give loss=[...] or loss={...}, or compile the model with its losses",
            )
        )
    if _numbers(target).dtype.kind in "iub":
        return _entropy(target, ending(), logits=ending().takes == LOGITS)
    return _one(keras.losses.MeanSquaredError(), target, ending)


def _entropy(target: Any, end: Ending, *, logits: bool) -> Told:
    """The cross entropy that shapes call for, as Keras chooses it."""
    shape, values = tuple(np.shape(target)), _numbers(target)
    losses = keras.losses
    if end.shape in (shape, (*shape, 1)):
        whole = values.dtype.kind in "iub"
        if end.shape[-1:] == (1,) or shape[-1:] == (1,) or (whole and len(shape) < 2):
            made: Any = losses.BinaryCrossentropy(from_logits=logits)
        else:
            made = losses.CategoricalCrossentropy(from_logits=logits)
    else:
        made = losses.SparseCategoricalCrossentropy(from_logits=logits)
    return Told(function=functools.partial(_keras, made), kind=kind_of(made), target=target)


def _one(loss: Any, target: Any, ending: Callable[[], Ending], *, compiled: bool = False) -> Told:
    if isinstance(loss, str) and loss.lower() in _EITHER:
        return _entropy(target, ending(), logits=False)
    found = object_of(loss)
    if isinstance(found, keras.losses.Loss):
        return Told(function=functools.partial(_keras, found), kind=kind_of(found), target=target)
    name = getattr(found, "__name__", type(found).__name__)
    turned = compiled or _target_first(found)
    call = functools.partial(_turned if turned else _straight, found)
    return Told(function=call, kind=Kind(name=str(name)), target=target)


def _target_first(function: Any) -> bool:
    """Whether a function calls its first argument what Keras calls a target."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return False
    return bool(names) and names[0] in _KERAS_ORDER


def _keras(loss: Any, output: Any, target: Any) -> Any:
    value = loss(target, output)
    return keras.ops.mean(value) if len(value.shape) else value


def _turned(function: Callable[[Any, Any], Any], output: Any, target: Any) -> Any:
    value = function(target, output)
    return keras.ops.mean(value) if len(getattr(value, "shape", ())) else value


def _straight(function: Callable[[Any, Any], Any], output: Any, target: Any) -> Any:
    return function(output, target)


def _weights(model: Any) -> Any:
    """Weights of the losses that a model was compiled with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # (of functions that cannot be written down: they need not be)
        config = model.get_compile_config() or {}
    return config.get("loss_weights")


def _several(model: Any, loss: Any, target: Any, *, compiled: bool) -> Told:
    """Losses of several outputs, added up with their weights as Keras does."""
    names = [str(name) for name in getattr(model, "output_names", None) or ()]
    known = _named(loss, names, "loss")
    if not isinstance(loss, list | tuple | dict):
        known = dict.fromkeys(_named(target, names, "target"), object_of(loss))
    wanted = _named(target, names, "target")
    weights = _weights(model) if compiled else None
    scale = {} if weights is None else _named(weights, names, "loss_weights")
    parts = []
    for name, one in known.items():
        if one is None:
            continue
        if name not in wanted:
            raise InputError(
                explain(
                    f"There is no target for the output '{name}'",
                    received=f"targets for {', '.join(wanted)}",
                    rule="Every output that has a loss has a target, by name or by place",
                )
            )
        part = _one(one, wanted[name], lambda: Ending(shape=(), takes=""), compiled=compiled)
        parts.append((name, part, float(scale.get(name, 1.0))))
    places = {name: place for place, name in enumerate(known)}

    def total(output: Any, given: Any) -> Any:
        values = _named(output, names or list(known), "output")
        given = _named(given, names or list(known), "target")
        terms = [
            factor * part(values.get(name, _at(output, places[name])), given[name])
            for name, part, factor in parts
        ]
        return functools.reduce(lambda a, b: a + b, terms)

    # (No name of a loss: what one of the outputs is to be, the others are not.)
    name = f"sum of {len(parts)} losses ({', '.join(name for name, _, _ in parts)})"
    return Told(function=total, kind=Kind(name=name), target=target)


def _at(output: Any, place: int) -> Any:
    return list(output.values() if isinstance(output, Mapping) else output)[place]


def _named(value: Any, names: Sequence[str], what: str) -> dict[str, Any]:
    """One for each output, by its name; by its place where there are no names."""
    if isinstance(value, Mapping):
        return {str(key): one for key, one in value.items()}
    if not isinstance(value, list | tuple):
        return dict.fromkeys(names, value)
    if names and len(value) != len(names):
        raise InputError(
            explain(
                f"{what} does not fit the model's outputs",
                received=f"{len(value)} for {len(names)} outputs ({', '.join(names[:4])})",
                rule="It has one for each output, in their order, or names them",
            )
        )
    return dict(zip(names or [str(k) for k in range(len(value))], value, strict=True))
