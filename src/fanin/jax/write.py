"""Carry out a plan: new arrays for old ones, each drawn where it is to lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Sharding
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.jax.drawing import laid_out
from fanin.jax.engine import dtype_word, sampled
from fanin.jax.leaves import Leaf
from fanin.plans.carried import check_plan, check_precision, check_stream
from fanin.plans.numbers import numbers
from fanin.records.axes import as_axes
from fanin.records.pieces import pieces
from fanin.records.plan import Entry, Plan
from fanin.sampling.engine import SERVED

__all__ = ["with_values", "written"]

_SHOWN = 4
_NEUTRAL: Mapping[str, float] = MappingProxyType({"mean": 0.0, "var": 1.0})
"""Running statistics before anything has run."""


def written(leaves: Sequence[Leaf], plan: Plan, values: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
    """New arrays for a model's leaves, as a plan says.

    Everything is checked before anything is drawn. Each array has the dtype and the sharding of the leaf that
    it takes the place of; a shard is drawn without the rest of its array, on the host of its devices.
    Inside of `jax.jit` the numbers are computed by the compiled program instead.

    Parameters
    ----------
    leaves
        Arrays, or shapes and dtypes, in the order of the tree.
    plan
        As made, edited or loaded.
    values
        Values of kept leaves that have none, by name or path.

    Raises
    ------
    InputError
        A plan for another model, dtype or stream version; a leaf that is kept and has no value.

    Warns
    -----
    PrecisionWarning
        Once, for all arrays whose dtype is too coarse for their draws.
    """
    entries = _checked(leaves, plan)
    given = with_values(leaves, values)
    kept = {leaf.name: _kept(leaf) for leaf in given if entries[leaf.name].draw is None}
    absent = [name for name, value in kept.items() if value is None]
    if absent:
        raise InputError(
            explain(
                "The plan keeps arrays that have no values",
                received=_listed(absent),
                rule="A jax.ShapeDtypeStruct says a shape; what a plan keeps is taken over from an array",
                remedy="Give arrays, or their values in values={name: array}",
            )
        )
    return tuple(
        kept[leaf.name] if leaf.name in kept else _drawn(entries[leaf.name], leaf.value, plan.seed)
        for leaf in leaves
    )


def with_values(leaves: Sequence[Leaf], values: Mapping[str, Any] | None) -> tuple[Leaf, ...]:
    """Leaves with the values that the user gives by name or path.

    Raises
    ------
    InputError
        A name that no leaf has, or a value of another shape.
    """
    given = dict(values or {})
    strangers = sorted(set(given) - {leaf.name for leaf in leaves} - {leaf.path for leaf in leaves})
    if strangers:
        raise InputError(
            explain("values= has names that no leaf has", received=", ".join(strangers[:_SHOWN]))
        )
    return tuple(_given(leaf, given) for leaf in leaves)


def _given(leaf: Leaf, given: Mapping[str, Any]) -> Leaf:
    key = leaf.name if leaf.name in given else leaf.path
    if key not in given:
        return leaf
    value = given[key]
    if not jnp.issubdtype(leaf.value.dtype, jax.dtypes.prng_key):
        value = jnp.asarray(value, leaf.value.dtype)
    if tuple(value.shape) != leaf.shape:
        raise InputError(
            explain(
                f"The value of '{key}' has another shape",
                received=tuple(value.shape),
                rule=f"The array's is {leaf.shape}",
            )
        )
    return replace(leaf, value=value)


def _kept(leaf: Leaf) -> Any:
    if not isinstance(leaf.value, jax.ShapeDtypeStruct):
        return leaf.value
    neutral = _NEUTRAL.get(leaf.path.rpartition(".")[2].removeprefix("moving_").replace("variance", "var"))
    if leaf.role.startswith("statistics") and neutral is not None:
        return jnp.full(leaf.shape, neutral, leaf.value.dtype)
    return None


def _drawn(entry: Entry, like: Any, seed: int) -> Any:
    kind = str(jnp.dtype(like.dtype).name)
    sharding = _sharding(like)
    if isinstance(like, jax.core.Tracer):
        return _traced(entry, kind, seed, sharding)
    if sharding is None:
        return jnp.asarray(numbers(entry, seed).view(jnp.dtype(kind)))

    def callback(index: Any) -> NDArray[Any]:
        cut = zip(index, entry.shape, strict=True)
        part = numbers(entry, seed, tuple(slice(*one.indices(n)[:2]) for one, n in cut))
        return part.view(jnp.dtype(kind))

    return jax.make_array_from_callback(entry.shape, sharding, callback)


def _traced(entry: Entry, kind: str, seed: int, sharding: Sharding | None) -> Any:
    """The numbers as a part of a program that is being compiled."""
    made = pieces(entry)
    whole = len(made) == 1 and entry.zeroed is None
    found = [
        sampled(
            piece.draw,
            piece.shape,
            seed=seed,
            name=piece.name,
            axes=piece.axes,
            dtype=kind,
            sharding=sharding if whole else None,
        )
        for piece in made
    ]
    if whole:
        return found[0]
    place = next((d for d, s in enumerate(made[0].index) if s.stop - s.start < entry.shape[d]), 0)
    out = found[0] if len(found) == 1 else jnp.concatenate(found, axis=place)
    if entry.zeroed is not None:
        out = out.at[entry.zeroed].set(0)
    return laid_out(out, sharding)


def _sharding(like: Any) -> Sharding | None:
    """Where an array lies on purpose; None where that was left to JAX."""
    if isinstance(like, jax.core.Tracer):
        return None
    found = getattr(like, "sharding", None)
    if found is None or isinstance(like, jax.ShapeDtypeStruct):
        return found
    return found if getattr(like, "committed", False) else None


def _checked(leaves: Sequence[Leaf], plan: Plan) -> Mapping[str, Entry]:
    check_plan(plan, maker="fanin.jax.plan(apply, params, batch)")
    check_stream(plan)
    entries = {entry.name: entry for entry in plan.entries}
    absent = [name for name in entries if name not in {leaf.name for leaf in leaves}]
    unplanned = [leaf.name for leaf in leaves if leaf.name not in entries]
    if absent or unplanned or len(entries) < len(plan.entries):
        told = (("not in the parameters", absent), ("not in the plan", unplanned))
        raise InputError(
            explain(
                f"The plan (of {plan.model}) is for other parameters",
                received="; ".join(f"{what}: {_listed(names)}" for what, names in told if names),
                rule="A plan has exactly one entry for each array",
                remedy="Plan this model, with the names= that are used here",
            )
        )
    for leaf in leaves:
        _fits(entries[leaf.name], leaf)
    check_precision(plan)
    return entries


def _fits(entry: Entry, leaf: Leaf) -> None:
    for what, planned, actual in (
        ("shape", entry.shape, leaf.shape),
        ("dtype", entry.dtype, leaf.dtype),
    ):
        if planned != actual:
            raise InputError(
                explain(
                    f"'{entry.name}' has another {what} than in the plan",
                    received=f"{actual} in the parameters, {planned} in the plan",
                    rule="A plan is carried out on arrays of the shapes and dtypes it was made for",
                    remedy="Plan the model as it is now",
                )
            )
    if entry.draw is None:
        return
    kind = dtype_word(leaf.dtype)
    if kind not in SERVED or jax.dtypes.canonicalize_dtype(kind) != kind:
        raise InputError(
            explain(
                f"'{entry.name}' cannot be drawn in its dtype",
                received=kind,
                rule="float64 and complex128 need jax_enable_x64",
                remedy="Use float32, or jax.config.update('jax_enable_x64', True)",
            )
        )
    as_axes(entry.axes, entry.shape)
    if prod(entry.shape):
        pieces(entry)


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
