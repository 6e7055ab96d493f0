"""The output that counts, and the loss that a target makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from numpy.typing import NDArray

from fanin.errors import FaninError, InputError, ModelError, explain
from fanin.jax.losses import Asked, squares
from fanin.jax.models import parts_of

__all__ = ["Outputs", "asked", "outputs_of"]

_MAIN = ("logits", "prediction_logits", "last_hidden_state", "sample", "out")
_CROSS_ENTROPY = "cross entropy"
_IGNORED = -100
_SPREAD = 64
"""Samples whose logits are enough to know their spread."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What a function returns: shapes of its arrays, and which of them counts.

    `returned` puts arrays in their places; `floating` are those that can have a gradient, `main` is the place
    of the one that training works on, `own` of a loss that the model itself returns.
    """

    shapes: tuple[Any, ...]
    returned: Callable[[Sequence[Any]], Any]
    floating: tuple[int, ...]
    main: int
    own: int | None
    named: bool


def outputs_of(shapes: Sequence[Any], returned: Callable[[Sequence[Any]], Any]) -> Outputs:
    """Find the output that training works on: logits, else the last hidden state, else the first array.

    Parameters
    ----------
    shapes
        Shapes and types of the arrays that are returned, in order.
    returned
        Puts them in their places.

    Raises
    ------
    ModelError
        There is no floating array in the output.
    """
    marks = [jax.ShapeDtypeStruct(tuple(s.shape), s.dtype) for s in shapes]  # type: ignore[no-untyped-call]
    place = {id(mark): k for k, mark in enumerate(marks)}
    whole = returned(marks)
    named = _named(whole)

    def floats(tree: Any) -> list[int]:
        found = [place[id(x)] for x in jax.tree_util.tree_leaves(tree) if id(x) in place]
        return [k for k in found if jnp.issubdtype(marks[k].dtype, jnp.inexact)]

    first = next((floats(named[key]) for key in _MAIN if named is not None and floats(named.get(key))), None)
    rest = whole if named is None else [value for key, value in named.items() if key != "loss"]
    found = first or floats(rest)
    if not found:
        raise ModelError(
            explain(
                "The function returns no floating array, so there is nothing to measure",
                received=f"an output of {', '.join(str(s.dtype) for s in shapes[:4]) or 'no arrays'}",
                rule="The output is an array of floats, or a tree that holds one",
                remedy="Return what training works on: logits, and not their argmax",
            )
        )
    main = first[0] if first else next((k for k in found if marks[k].shape), found[0])
    own = None if named is None else next((k for k in floats(named.get("loss")) if not marks[k].shape), None)
    return Outputs(
        shapes=tuple(marks), returned=returned, floating=tuple(floats(whole)), main=main, own=own,
        named=named is not None,
    )  # fmt: skip


def _named(output: Any) -> Mapping[str, Any] | None:
    if isinstance(output, Mapping):
        return output
    if is_dataclass(output) and not isinstance(output, type):
        return {f.name: getattr(output, f.name) for f in fields(output)}
    return None


def asked(outputs: Outputs, target: Any, loss: Callable[..., Any] | None) -> Asked | None:
    """Build the loss: the user's, the one that the target's type calls for, or the model's own.

    Parameters
    ----------
    outputs
        What the function returns.
    target
        Integer classes (cross-entropy), floats (mean squared error), anything a `loss` takes, or
        None, which leaves the model's own loss if it returns one.
    loss
        ``loss(output, target)``, or None.

    Raises
    ------
    InputError
        A target that does not fit the output, or a loss that is no number or that JAX cannot trace.
    """
    if loss is not None:
        return _given(outputs, target, loss)
    if target is None:
        if outputs.own is None:
            return None
        own = outputs.own
        return Asked(name="the model's own loss", value=lambda out, _: out[own], reads=frozenset({own}))
    main, numbers = outputs.main, _numbers(target)
    if numbers.dtype.kind in "fc":
        return squares(outputs.shapes[main], main, numbers)
    return _cross_entropy(outputs.shapes[main], main, numbers.astype(np.int64))


def _numbers(target: Any) -> Array:
    """A target as an array with values."""
    try:
        found = np.asarray(target)
        why = f"an array of {found.dtype}"
    except Exception as error:  # noqa: BLE001 - anything may be given as a target
        found, why = np.asarray(None), str(error)
    if found.dtype.kind == "V":
        found = found.astype(np.float32)
    if found.dtype.kind in "iubfc":
        return found
    raise InputError(
        explain(
            "The target is no array of classes or numbers",
            received=f"{type(target).__name__}: {why}",
            rule="It is an array or a list of whole numbers (classes) or of floats",
            remedy="Give a loss=... that takes anything else",
        )
    )


def _given(outputs: Outputs, target: Any, loss: Callable[..., Any]) -> Asked:
    if isinstance(loss, type) or not callable(loss):
        raise InputError(
            explain(
                "The loss is no function",
                received=f"the class {loss.__name__}" if isinstance(loss, type) else repr(loss)[:200],
                rule="A loss is called as loss(output, target)",
            )
        )
    parts = parts_of(target)

    def value(made: Sequence[Any], given: Sequence[Any]) -> Any:
        return loss(outputs.returned(made), parts.whole(given))

    try:
        traced = jax.make_jaxpr(value, return_shape=True)(list(outputs.shapes), list(parts.arrays))
    except FaninError:
        raise
    except Exception as error:
        raise InputError(
            explain(
                "The loss cannot be computed from this output and target",
                received=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}",
                rule="A loss is called as loss(output, target), and traced by JAX",
                remedy="No target was given: target=..." if target is None else "",
            )
        ) from error
    closed, shape = traced
    single = getattr(shape, "shape", None) is not None and math.prod(shape.shape) == 1
    if not single or not jnp.issubdtype(shape.dtype, jnp.floating):
        many = getattr(shape, "shape", None)
        raise InputError(
            explain(
                "The loss is no single number",
                received=type(shape).__name__ if many is None else f"an array {many} of {shape.dtype}",
                rule="loss(output, target) is a scalar of a real number",
                remedy="Take its mean: loss=lambda output, target: f(output, target).mean()" if many else "",
            )
        )
    reads = _reads(closed, len(outputs.shapes)) & frozenset(outputs.floating)
    if not reads:
        raise InputError(
            explain(
                "The loss does not depend on the model",
                received=f"{getattr(loss, '__name__', type(loss).__name__)}, which reads none of its outputs",
                rule="It is computed from the output that it is given",
            )
        )
    name = str(getattr(loss, "__name__", type(loss).__name__))
    return Asked(
        name=name,
        value=lambda made, given: jnp.reshape(value(made, given), ()),
        target=parts.arrays,
        reads=reads,
        foreign=True,
    )


def _reads(closed: Any, count: int) -> frozenset[int]:
    """Places among the first arguments of a jaxpr that its outputs depend on."""
    alive = {var for var in closed.jaxpr.outvars if not isinstance(var, core.Literal)}
    for eqn in reversed(closed.jaxpr.eqns):
        if any(var in alive for var in eqn.outvars):
            alive.update(var for var in eqn.invars if not isinstance(var, core.Literal))
    return frozenset(k for k, var in enumerate(closed.jaxpr.invars[:count]) if var in alive)


def _cross_entropy(logits: Any, main: int, target: Array) -> Asked:
    shape = tuple(logits.shape)
    if target.ndim == len(shape) and target.shape[-1:] == (1,) and shape[-1] != 1:
        target = target[..., 0]
    if shape in (target.shape, (*target.shape, 1)):
        return _binary(main, target)
    dim = len(shape) - 1
    if target.shape != shape[:-1]:
        dim = 1
        if len(shape) < 2 or target.shape != (shape[0], *shape[2:]):
            raise InputError(
                explain(
                    "The target does not fit the output",
                    received=f"classes of shape {target.shape}, an output of shape {shape}",
                    rule="Classes are (N,) for (N, C), (B, T) for (B, T, V), or (N, d...) for (N, C, d...)",
                    remedy="Give a loss=... that takes this pair",
                )
            )
    classes = shape[dim]
    seen = target[target != _IGNORED]
    if seen.size == 0 or int(seen.min()) < 0 or int(seen.max()) >= classes:
        span = "none" if seen.size == 0 else f"{int(seen.min())} to {int(seen.max())}"
        raise InputError(
            explain(
                "The target holds classes that the output does not have",
                received=f"classes {span} for {classes} outputs",
                rule="Classes count from 0 and are fewer than the outputs; -100 is left out",
            )
        )
    kept = (target != _IGNORED).reshape(-1)
    picked = np.where(target == _IGNORED, 0, target).reshape(-1)

    def value(out: Sequence[Any], given: Sequence[Any]) -> Any:
        table = jnp.moveaxis(out[main], dim, -1).reshape(-1, classes).astype(jnp.float32)
        logs = jax.nn.log_softmax(table, axis=-1)
        right = jnp.take_along_axis(logs, given[0][:, None], axis=-1)[:, 0]
        return -jnp.where(given[1], right, 0.0).sum() / given[1].sum()

    def known(out: Sequence[Any]) -> dict[str, Any]:
        table = np.moveaxis(np.asarray(out[main]), dim, -1).reshape(-1, classes)
        # Logits of a few dozen samples say what their spread is: its standard error is 1 / sqrt(2 samples C).
        some = table[:: max(1, len(table) // _SPREAD)].astype(np.float64)
        shares = np.bincount(seen.reshape(-1), minlength=classes) / seen.size
        held = shares[shares > 0.0]
        return {
            "expected": math.log(classes),
            "classes": classes,
            "logit_std": float(np.sqrt(some.var(axis=1).mean())),
            "prior": float(-(held * np.log(held)).sum()),
            "rarity": float(shares.max()) * classes,
        }

    numbers = (jnp.asarray(picked, jnp.int32), jnp.asarray(kept))
    return Asked(name=_CROSS_ENTROPY, value=value, target=numbers, reads=frozenset({main}), known=known)


def _binary(main: int, target: Array) -> Asked:
    if int(target.min()) < 0 or int(target.max()) > 1:
        raise InputError(
            explain(
                "One output cannot tell these classes apart",
                received=f"classes {int(target.min())} to {int(target.max())}",
                rule="With one output a class is 0 or 1",
                remedy="Give the target as floats for a regression",
            )
        )
    share = min(max(float(target.mean()), 1e-12), 1.0 - 1e-12)

    def value(out: Sequence[Any], given: Sequence[Any]) -> Any:
        x = out[main].reshape(target.shape).astype(jnp.float32)
        return (jax.nn.softplus(x) - x * given[0]).mean()

    facts = {
        "expected": math.log(2.0),
        "classes": 2,
        "prior": -share * math.log(share) - (1.0 - share) * math.log(1.0 - share),
        "rarity": 2.0 * max(share, 1.0 - share),
    }
    return Asked(
        name="binary cross entropy",
        value=value,
        target=(jnp.asarray(target, jnp.float32),),
        reads=frozenset({main}),
        known=lambda _: dict(facts),
    )
