"""``jax.nn.initializers`` by its own names, signatures and laws, drawn by fanin: swap the import.

>>> import jax
>>> from fanin.jax import dropins as initializers
>>> initializers.normal(stddev=0.1)(jax.random.key(0), (8, 16)).shape
(8, 16)
>>> initializers.he_normal().scheme  # JAX's law of that name is truncated
<jax:he_normal: Var[w] = 2 / fan_in, truncated normal>
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from fanin.errors import InputError, explain
from fanin.jax import initializers as made_here
from fanin.records.axes import Axes
from fanin.records.draw import Draw
from fanin.schemes.dialects.dialect import dialect
from fanin.schemes.dialects.law import Made, PeerScheme
from fanin.schemes.given import given

__all__ = ["dropin"]

_PEER = dialect("jax")
_READY = ("zeros", "ones")
"""Initializers that JAX offers as they are, not functions that make one; Flax makes them (`zeros_init`)."""


@dataclass(frozen=True, slots=True, repr=False)
class _Real:
    """A peer's law for real weights; complex ones have its variance, and fanin's shape."""

    peer: PeerScheme

    @property
    def name(self) -> str:
        return self.peer.name

    @property
    def law(self) -> str:
        return self.peer.law

    @property
    def references(self) -> tuple[str, ...]:
        return self.peer.references

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Draw:
        return self.peer.draw(shape, axes)

    def __repr__(self) -> str:
        return repr(self.peer)


def dropin(name: str) -> Callable[..., Any]:
    """A function of ``jax.nn.initializers`` (or Flax's ``zeros_init``, ``ones_init``) with fanin's numbers.

    The law is JAX's, as `fanin.dialect` has it, and so are the parameters, their order and their defaults;
    values, dtypes and shardings are those of `fanin.jax.initializer`. A complex weight has the variance
    that the name says (JAX's truncated ones have 1.0188 times that).

    Parameters
    ----------
    name
        A name in that module.

    Returns
    -------
    Callable
        What the module has under that name: a function that makes an initializer, or, for ``"zeros"`` and
        ``"ones"``, the initializer itself.

    Raises
    ------
    UnknownNameError
        A name that the module does not have.

    Examples
    --------
    >>> import inspect
    >>> print(inspect.signature(dropin("truncated_normal")))
    (stddev=0.01, dtype=None, lower=-2.0, upper=2.0)
    """
    known = _PEER.known(name.removesuffix("_init") if name in ("zeros_init", "ones_init") else name)
    if known in _READY and name == known:
        return made_here.initializer(_Real(_PEER.get(known)))
    signature = _signature(known)

    def make(*args: Any, **words: Any) -> made_here.Initializer:
        try:
            bound = signature.bind(*args, **words)
        except TypeError as error:
            raise InputError(
                explain(
                    f"Parameters do not fit {name}",
                    received=", ".join([*map(repr, args), *(f"{k}={v!r}" for k, v in words.items())]),
                    rule=f"It is {name}{signature}, as in jax.nn.initializers ({error})",
                )
            ) from None
        parameters = {key: _number(value) for key, value in bound.arguments.items()}
        dtype = parameters.pop("dtype", None)
        if isinstance(parameters.get("value"), np.ndarray):
            return made_here.initializer(given(parameters["value"]), dtype=dtype)
        if known == "delta_orthogonal" and parameters.pop("column_axis", -1) != -1:
            raise InputError(
                explain(
                    "The columns of a delta-orthogonal kernel are its last dimension here",
                    received=f"column_axis={bound.arguments['column_axis']!r}",
                    remedy="Use fanin.jax.delta_orthogonal(axes=...)",
                )
            )
        scheme = _PEER.get(known, **parameters)
        if not isinstance(scheme.rule, Made):
            # The peer's layout has the fans; JAX takes positions that no roles can say, such as one twice.
            return made_here.initializer(_Real(scheme), dtype=dtype)
        where = (scheme.layout.inputs, scheme.layout.outputs, scheme.layout.batch)
        in_axis, out_axis, batch_axis = (place[0] if len(place) == 1 else place for place in where)
        return made_here.initializer(
            _Real(scheme), in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=dtype
        )

    make.__name__ = make.__qualname__ = name
    make.__module__ = __name__
    make.__doc__ = (
        f"``jax.nn.initializers.{known}`` with fanin's numbers: {_PEER.functions[known].note}".rstrip(": ")
    )
    make.__signature__ = signature  # type: ignore[attr-defined]
    return make


def _signature(known: str) -> inspect.Signature:
    """JAX's own, of the release that is installed; the dialect's, with a dtype, for what it lacks."""
    found = getattr(jax.nn.initializers, known, None)
    if known in _READY or found is None:
        own = list(inspect.signature(_PEER.functions[known].make).parameters.values())
        return inspect.Signature([one.replace(annotation=one.empty) for one in own])
    parameters = inspect.signature(found).parameters.values()
    # Older releases say a type, which now means the same as None.
    plain = [
        one.replace(annotation=one.empty, default=None if one.name == "dtype" else one.default)
        for one in parameters
    ]
    return inspect.Signature(plain)


def _number(value: Any) -> Any:
    """An array's number: JAX takes scalars that are arrays for its parameters."""
    if not isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return value
    held = np.asarray(value)
    return held.item() if held.ndim == 0 else held


def __getattr__(name: str) -> Callable[..., Any]:
    if name == "Initializer":
        return jax.nn.initializers.Initializer
    if name not in __dir__():
        raise AttributeError(f"jax.nn.initializers has no function {name!r} that fanin stands in for")
    return dropin(name)


def __dir__() -> list[str]:
    return sorted({*_PEER.functions, "Initializer", "dropin", "ones_init", "zeros_init"})
