"""``keras.initializers`` by its own names, signatures, laws and seeds, drawn by fanin: swap the import.

>>> from fanin.keras import dropins as initializers
>>> init = initializers.RandomNormal(stddev=0.1, seed=0)
>>> tuple(init((784, 256)).shape), init.stddev
((784, 256), 0.1)

What draws nothing (`Zeros`, `Ones`, `Constant`, `Identity`, `STFT`) is Keras' own.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import keras

from fanin.keras.base import as_tensor
from fanin.keras.streams import seed_of, stream_name
from fanin.records import draw as draws
from fanin.records.axes import Axes, Role
from fanin.schemes.dialects.dialect import dialect
from fanin.schemes.dialects.law import PeerScheme
from fanin.schemes.sample import draw_of, sizes_of

__all__ = ["classes", "deserialize", "get", "serialize"]

_PEER = dialect("keras")
_DRAWN = (
    "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Orthogonal",
    "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform",
)  # fmt: skip
_OWN = {
    name: getattr(keras.initializers, camel)
    for camel, names in {
        "Zeros": ("Zeros", "zeros"), "Ones": ("Ones", "ones"), "Constant": ("Constant", "constant"),
        "Identity": ("Identity", "identity", "IdentityInitializer"),
        "STFT": ("STFT", "stft", "STFTInitializer"), "Initializer": ("Initializer",),
    }.items()
    if hasattr(keras.initializers, camel)
    for name in names
}  # fmt: skip
serialize = keras.initializers.serialize


@lru_cache(maxsize=1)
def classes() -> Mapping[str, type[keras.initializers.Initializer]]:
    """Every class that draws, by the names that ``keras.initializers`` gives it.

    They are subclasses of Keras' own: parameters, attributes and configs are inherited, only the numbers
    are other ones. As in Keras a whole number as a seed gives the same values at every call.

    Examples
    --------
    >>> classes()["HeNormal"] is classes()["he_normal"]
    True
    """
    found: dict[str, type[keras.initializers.Initializer]] = {}
    for name in _DRAWN:
        own = getattr(keras.initializers, name)
        doc = f"``keras.initializers.{name}`` with fanin's numbers."
        members = {"__call__": _call, "__doc__": doc, "__module__": __name__}
        made = keras.saving.register_keras_serializable(package="fanin.dropins", name=name)(
            type(name, (own,), members)
        )
        found |= dict.fromkeys((name, _PEER.known(name)), made)
    found["OrthogonalInitializer"] = found["Orthogonal"]
    return MappingProxyType(dict(sorted(found.items())))


def get(identifier: Any) -> Any:
    """``keras.initializers.get``, which finds these classes by Keras' names.

    Parameters
    ----------
    identifier
        A name, a config, an initializer, an array or None.

    Returns
    -------
    object
        An initializer, or what Keras makes of anything else.

    Raises
    ------
    ValueError
        What Keras does not know either.

    Examples
    --------
    >>> type(get("glorot_normal")).__module__
    'fanin.keras.dropins'
    """
    if isinstance(identifier, str) and identifier in classes():
        return classes()[identifier]()
    return keras.initializers.get(identifier)


def deserialize(config: Any) -> Any:
    """``keras.initializers.deserialize``, which finds these classes by Keras' names.

    Parameters
    ----------
    config
        What `serialize` gave; a config of Keras' own class makes the drop-in.

    Returns
    -------
    object
        An initializer.

    Raises
    ------
    ValueError
        What Keras does not know either.

    Examples
    --------
    >>> deserialize(keras.initializers.serialize(keras.initializers.HeNormal(seed=3))).seed
    3
    """
    named = config.get("class_name") if isinstance(config, Mapping) else None
    if named in classes() and not config.get("registered_name"):
        return classes()[str(named)].from_config(config.get("config", {}))
    return keras.initializers.deserialize(config)


def _call(
    self: Any,
    shape: Sequence[int],
    dtype: Any = None,
    layout: Any = None,
    **kwargs: Any,  # noqa: ARG001 - what later versions of Keras may add
) -> Any:
    """Draw a weight of this shape, as a tensor of the backend."""
    sizes = sizes_of(shape)
    kind = keras.backend.standardize_dtype(dtype)
    scheme = _scheme(self)
    draw: draws.Draw = draws.Constant(value=0.0)
    roles: Axes | None = None
    if 0 not in sizes:
        roles = scheme.axes(sizes)
        draw = draw_of(scheme, sizes, roles, kind)
    label = stream_name(None, scheme.name, sizes, 1)
    return as_tensor(draw, sizes, seed=seed_of(self.seed), name=label, axes=roles, kind=kind, layout=layout)


def _scheme(one: keras.initializers.Initializer) -> PeerScheme:
    """The law of an instance: what Keras keeps under the names of the parameters."""
    name = next(kind.__name__ for kind in type(one).__mro__ if kind.__name__ in classes())
    words = inspect.signature(_PEER.functions[_PEER.known(name)].make).parameters
    scheme = _PEER.get(name, **{word: getattr(one, word) for word in words})
    inputs, outputs = (getattr(one, word, None) for word in ("input_axes", "output_axes"))
    if inputs is not None and outputs is not None:
        # As in Keras: one of the two alone says nothing, and other dimensions are in no fan.
        where = replace(scheme.layout, inputs=tuple(inputs), outputs=tuple(outputs), rest=Role.BATCH)
        scheme = replace(scheme, layout=where)
    return scheme


def __getattr__(name: str) -> Any:
    found = classes().get(name) or _OWN.get(name)
    if found is None:
        raise AttributeError(f"keras.initializers has no {name!r} that fanin stands in for")
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, *classes(), *_OWN})


# Registers them, so that saved models find them.
classes()
