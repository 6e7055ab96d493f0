"""A recording evaluated on values: what each of its operations makes, with a place for gradients at nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from fanin.jax.primitives import SAME
from fanin.jax.recording import Op, Operand, Recording, Whole

__all__ = ["Flow", "Seats", "bind", "large_constants", "seats_of"]

_LARGE = 1024
"""Elements from which on a constant is an argument of what is compiled, and no part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seats:
    """Where nodes are read and get their gradient.

    Parameters
    ----------
    place
        For an operation, the copy of its output behind a function that says its own derivative; those that
        are not listed have their own output.
    inner
        Operations inside of such functions, whose gradients are the function's own affair.
    """

    place: Mapping[int, int]
    inner: frozenset[int]

    def of(self, node: int) -> int:
        """The operation whose output is the node's, derivative and all."""
        return self.place.get(node, node)


def seats_of(recording: Recording) -> Seats:
    """Find where the outputs of functions with derivatives of their own come out of these."""
    ops = recording.ops
    origin: dict[int, int] = {}
    place: dict[int, int] = {}
    inner: set[int] = set()
    for op in ops:
        if op.whole is None:
            continue
        # (The copies of a call's outputs follow each other: the earlier ones are not inside of it.)
        inner.update(k for k in range(op.whole.first, op.id) if ops[k].whole is not op.whole)
        made = _made_by(ops, op.operands[0])
        node = origin.get(made, made) if made is not None else None
        if made is not None and made >= op.whole.first and node is not None:
            place[node] = op.id
            origin[op.id] = node
    return Seats(place=place, inner=frozenset(inner))


def _made_by(ops: Sequence[Op], operand: Operand) -> int | None:
    """The operation behind copies of its output."""
    at = operand
    while at.op is not None and at.index == 0:
        op = ops[at.op]
        if op.whole is not None or op.name not in SAME or op.name == "convert_element_type":
            return op.id
        at = op.operands[0]
    return None


def large_constants(recording: Recording) -> list[Operand]:
    """Constants from outside that are handed over as arguments, in the order of the recording."""
    found: dict[int, Operand] = {}
    for operand in _operands(recording):
        if operand.value is not None and operand.value.size >= _LARGE:
            found[id(operand.value)] = operand
    return list(found.values())


def _operands(recording: Recording) -> Iterable[Operand]:
    for op in recording.ops:
        yield from op.operands
        if op.whole is not None:
            yield from op.whole.operands
    yield from recording.outputs


def bind(primitive: Any, params: Mapping[str, Any], values: Sequence[Any]) -> Any:
    """Apply a primitive, as JAX's own evaluation of a jaxpr does."""
    given = primitive.get_bind_params(dict(params))
    functions, rest = given if isinstance(given, tuple) else ((), given)
    return primitive.bind(*functions, *values, **rest)


class Flow:
    """Evaluates a recording, operation by operation, on arrays or on what stands for them in a trace.

    Parameters
    ----------
    recording
        The flat trace.
    values
        The parameters' leaves, in their order.
    inputs
        Arrays of the inputs, in their order.
    constants
        Values of `large_constants`.
    taps
        What is added to the outputs of nodes, by the id of the node: zeros, at which a gradient is taken.
    seats
        Where that is.
    """

    def __init__(
        self,
        recording: Recording,
        values: Sequence[Any],
        inputs: Sequence[Any],
        constants: Sequence[Any] = (),
        taps: Mapping[int, Any] | None = None,
        seats: Seats | None = None,
    ) -> None:
        self._recording, self._values = recording, values
        self._given = dict(zip(recording.inputs, inputs, strict=True))
        known = large_constants(recording) if constants else []
        self._constants = {id(o.value): value for o, value in zip(known, constants, strict=True)}
        self._wholes: dict[int, Any] = {}
        seats = seats or Seats(place={}, inner=frozenset())
        self._taps = {seats.of(node): tap for node, tap in (taps or {}).items()}
        self.made: dict[int, tuple[Any, ...]] = {}

    def run(self) -> list[Any]:
        """Every operation in turn; the function's outputs."""
        for op in self._recording.ops:
            made = self.step(op)
            if op.id in self._taps:
                made = (made[0] + self._taps[op.id], *made[1:])
            self.made[op.id] = made
        return [self.operand(o) for o in self._recording.outputs]

    def operand(self, operand: Operand) -> Any:
        """An operand's value."""
        if operand.op is not None:
            return self.made[operand.op][operand.index]
        if operand.parameter is not None:
            return self._values[operand.parameter]
        if operand.value is None:
            return operand.key
        found = self._constants.get(id(operand.value))
        return jnp.asarray(operand.value) if found is None else found

    def step(self, op: Op) -> tuple[Any, ...]:
        """Outputs of one operation."""
        if op.id in self._given:
            return (self._given[op.id],)
        if op.whole is not None:
            return (self._called(op.whole)[op.params["index"]],)
        args = [self.operand(o) for o in op.operands]
        if op.primitive is None:
            return (_chosen(args[0], args[1:]),)
        found = bind(op.primitive, op.params, args)
        return tuple(found) if op.primitive.multiple_results else (found,)

    def _called(self, whole: Whole) -> Any:
        """A function with a derivative of its own, called once for all of its outputs."""
        if id(whole) not in self._wholes:
            found = bind(whole.primitive, whole.params, [self.operand(o) for o in whole.operands])
            self._wholes[id(whole)] = found if whole.primitive.multiple_results else [found]
        return self._wholes[id(whole)]


def _chosen(which: Any, branches: Sequence[Any]) -> Any:
    """The branch that a choice takes; like `jax.lax.cond` it takes the last one for what is too large."""
    place = jnp.clip(jnp.asarray(which).astype(np.int32), 0, len(branches) - 1)
    return lax.select_n(place, *branches)
