"""The kinds of models that JAX's libraries have, each as one function of a list of arrays.

A plain function with its tree of parameters; a module of Flax's linen with its variables; a module that
holds its own arrays: one of Flax's nnx, or any callable tree (as Equinox's are).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import jax

from fanin.errors import InputError, explain
from fanin.jax.leaves import Leaf, Names, leaf_names, named

__all__ = ["Parts", "Subject", "holder_of", "parts_of", "subject_of"]

_RNGS = ("dropout", "params", "default")
_STATISTICS = "statistics"
_COLLECTIONS: Mapping[str, str] = MappingProxyType({"batch_stats": _STATISTICS, "cache": "table"})
"""Collections of Flax that hold no parameters, and what they are for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model as a function of a list of arrays.

    Parameters
    ----------
    model
        Its name.
    leaves
        Its arrays, with their names.
    call
        Takes the arrays and the inputs' arrays, and returns what the model returns.
    inputs
        Arrays among the inputs.
    rebuilt
        Makes, from as many new arrays, what the user gave.
    scope
        Name of the outermost scope of the model's own, which paths of modules do without.
    """

    model: str
    leaves: tuple[Leaf, ...]
    call: Callable[[Sequence[Any], Sequence[Any]], Any]
    inputs: tuple[Any, ...]
    rebuilt: Callable[[Sequence[Any]], Any]
    scope: str = ""


def subject_of(
    apply: Any, params: Any, inputs: tuple[Any, ...], kwargs: Mapping[str, Any], names: Names = None
) -> Subject:
    """Find out what kind of model this is.

    Parameters
    ----------
    apply
        A function ``apply(params, *inputs, **kwargs)``, a linen module or its ``apply``, or a module that
        holds its own arrays: then `params` is the first of its inputs.
    params
        Tree of arrays, or of their shapes.
    inputs, kwargs
        What the model is called with. Arrays are traced; everything else is handed over as it is.
    names
        Names of streams, by path.

    Raises
    ------
    InputError
        Nothing that can be called, or no arrays to initialise.
    """
    linen, method = _linen(apply)
    if linen is not None:
        found = _of_linen(linen, method, params, inputs, kwargs)
    elif _is_nnx(apply):
        found = _of_nnx(apply, (params, *inputs), kwargs)
    elif callable(apply) and _arrays_of(apply):
        found = _of_tree(apply, (params, *inputs), kwargs)
    elif callable(apply):
        found = _of_function(apply, params, inputs, kwargs)
    else:
        raise InputError(
            explain(
                "There is no model to read",
                received=type(apply).__name__,
                rule="A model is apply(params, *inputs), a Flax module, or a callable tree of arrays",
            )
        )
    return _named(found, names, params)


def _named(found: Subject, names: Names, params: Any) -> Subject:
    if not found.leaves:
        raise InputError(
            explain(
                "There are no parameters",
                received=f"params of type {type(params).__name__}",
                rule="Parameters are a tree of arrays, or of jax.ShapeDtypeStruct",
                remedy="Pass what init returns, or jax.eval_shape of it",
            )
        )
    return replace(found, leaves=named(found.leaves, names))


def holder_of(params: Any, names: Names = None) -> Subject:
    """A tree of parameters, or a module that holds them, without what is computed with it.

    Raises
    ------
    InputError
        No arrays, or names that do not fit.
    """
    found = _of_nnx(params, (), {}) if _is_nnx(params) else _of_function(_nothing, params, (), {})
    return _named(found, names, params)


def _nothing(*_: Any) -> None:
    return None


def _is_array(value: Any) -> bool:
    """Whether a leaf is an array, or says shape and dtype of one."""
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, type)


def _arrays_of(tree: Any) -> bool:
    leaves = jax.tree_util.tree_leaves(tree)
    return not (len(leaves) == 1 and leaves[0] is tree) and any(_is_array(leaf) for leaf in leaves)


@dataclass(frozen=True, slots=True)
class Parts:
    """Arrays of a tree, and the way back."""

    arrays: tuple[Any, ...]
    paths: tuple[str, ...]
    whole: Callable[[Sequence[Any]], Any]


def parts_of(tree: Any) -> Parts:
    """Take a tree apart into its arrays; everything else stays where it is."""
    leaves, structure = jax.tree_util.tree_flatten(tree)
    places = [k for k, leaf in enumerate(leaves) if _is_array(leaf)]
    paths = [path for path, _ in leaf_names(tree)]

    def whole(arrays: Sequence[Any]) -> Any:
        filled = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            filled[place] = array
        return jax.tree_util.tree_unflatten(structure, filled)

    return Parts(tuple(leaves[k] for k in places), tuple(paths[k] for k in places), whole)


def _leaves(parts: Parts, buffer: Callable[[str], str | None]) -> tuple[Leaf, ...]:
    found = []
    for path, array in zip(parts.paths, parts.arrays, strict=True):
        role = buffer(path)
        path = path.removeprefix("params.")  # noqa: PLW2901 - the collection that parameters are in
        path = path or "params"  # noqa: PLW2901
        found.append(Leaf(path=path, name=path, value=array, buffer=role is not None, role=role or ""))
    return tuple(found)


def _of_function(
    apply: Callable[..., Any], params: Any, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Subject:
    parts, given = parts_of(params), parts_of((inputs, dict(kwargs)))
    flax = isinstance(params, Mapping) and "params" in params

    def call(arrays: Sequence[Any], values: Sequence[Any]) -> Any:
        args, named_args = given.whole(values)
        return apply(parts.whole(arrays), *args, **named_args)

    return Subject(
        model=getattr(apply, "__name__", type(apply).__name__),
        leaves=_leaves(parts, _collection if flax else _whole_numbers),
        call=call,
        inputs=given.arrays,
        rebuilt=parts.whole,
    )


def _collection(path: str) -> str | None:
    head = path.partition(".")[0]
    return None if head == "params" else _COLLECTIONS.get(head, "table")


def _whole_numbers(path: str) -> str | None:  # noqa: ARG001 - a tree of arrays says nothing of buffers
    return None


def _of_tree(apply: Any, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Subject:
    parts, given = parts_of(apply), parts_of((inputs, dict(kwargs)))

    def call(arrays: Sequence[Any], values: Sequence[Any]) -> Any:
        args, named_args = given.whole(values)
        return parts.whole(arrays)(*args, **named_args)

    return Subject(
        model=type(apply).__name__,
        leaves=_leaves(parts, _whole_numbers),
        call=call,
        inputs=given.arrays,
        rebuilt=parts.whole,
    )


# ---------------------------------------------------------------------- Flax
def _linen(apply: Any) -> tuple[Any, Any]:
    """The linen module that is meant, and the method that was named."""
    linen = sys.modules.get("flax.linen")
    if linen is None:
        return None, None
    if isinstance(apply, linen.Module):
        return apply, None
    owner = getattr(apply, "__self__", None)
    if isinstance(owner, linen.Module) and getattr(apply, "__name__", "") == "apply":
        return owner, None
    return None, None


def _of_linen(
    module: Any, method: Any, variables: Any, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Subject:
    if not isinstance(variables, Mapping) or "params" not in variables:
        keys = ", ".join(map(str, list(variables)[:4])) if isinstance(variables, Mapping) else ""
        raise InputError(
            explain(
                "A linen module takes its variables",
                received=f"a mapping with {keys}" if keys else type(variables).__name__,
                rule="They are a mapping of collections, {'params': ...} and the others",
                remedy="Pass what module.init(key, *inputs) returns, or jax.eval_shape of it",
            )
        )
    parts, given = parts_of(variables), parts_of((inputs, dict(kwargs)))
    others = [name for name in variables if name != "params"]
    own = "mutable" not in kwargs

    def call(arrays: Sequence[Any], values: Sequence[Any]) -> Any:
        args, named_args = given.whole(values)
        if own:
            named_args["mutable"] = [*others, "intermediates"]
        named_args.setdefault("rngs", {name: jax.random.key(k) for k, name in enumerate(_RNGS)})
        out = module.apply(
            parts.whole(arrays), *args, method=method or named_args.pop("method", None), **named_args
        )
        changes = own or named_args["mutable"] not in (False, ())
        return out[0] if changes else out

    return Subject(
        model=type(module).__name__,
        leaves=_leaves(parts, _collection),
        call=call,
        inputs=given.arrays,
        rebuilt=parts.whole,
        scope=module.name or type(module).__name__,
    )


def _is_nnx(apply: Any) -> bool:
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(apply, nnx.Module)


def _of_nnx(module: Any, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Subject:
    nnx = sys.modules["flax.nnx"]
    definition, state = nnx.split(module)
    flat = nnx.to_flat_state(state)
    entries = list(zip(flat.paths, flat.leaves, strict=True))
    given = parts_of((inputs, dict(kwargs)))
    leaves = []
    for keys, variable in entries:
        path = ".".join(map(str, keys))
        kind = getattr(variable, "type", type(variable))
        parameter = isinstance(kind, type) and issubclass(kind, nnx.Param)
        statistics = isinstance(kind, type) and issubclass(kind, nnx.BatchStat)
        role = "" if parameter else _STATISTICS if statistics else "table"
        leaves.append(Leaf(path=path, name=path, value=_held(variable), buffer=not parameter, role=role))

    def whole(arrays: Sequence[Any]) -> Any:
        # (Variables are replaced, not written to: the user's module keeps its own.)
        filled = [
            variable.replace(array) if hasattr(variable, "replace") else array
            for (_, variable), array in zip(entries, arrays, strict=True)
        ]
        return nnx.merge(definition, nnx.from_flat_state(list(zip(flat.paths, filled, strict=True))))

    def call(arrays: Sequence[Any], values: Sequence[Any]) -> Any:
        args, named_args = given.whole(values)
        return whole(arrays)(*args, **named_args)

    return Subject(
        model=type(module).__name__,
        leaves=tuple(leaves),
        call=call,
        inputs=given.arrays,
        rebuilt=whole,
    )


def _held(variable: Any) -> Any:
    getter = getattr(variable, "get_value", None)
    return getter() if callable(getter) else getattr(variable, "value", variable)
