"""Trace a function and lay its jaxpr flat: calls are inlined, loops are written out turn by turn.

A loop that carries a state is written out for a few turns, which is enough to see what each weight is
for; the rest of it stays one operation. A loop over stacked parameters (layers in a scan) is written out
whole, since each turn is a layer of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend import core

from fanin.errors import FaninError, ModelError, explain
from fanin.jax.recording import Aval, Op, Operand, Recording, Whole

__all__ = ["record"]

_TURNS = 3
"""Turns of a recurrence that are written out: the first may have no state yet, two show what repeats."""
_LAYERS = 512
"""Turns of a loop over stacked parameters that are written out at the most."""
_CALLS = ("call_jaxpr", "jaxpr", "fun_jaxpr")
"""Parameters under which calling primitives keep what they call."""
_OPAQUE = frozenset({"shard_map", "pallas_call", "custom_partitioning", "run_state", "xla_pmap"})
"""Primitives whose inner shapes are not those outside: not inlined."""
_RANDOM = ("random_", "threefry", "philox", "rng_")


def record(
    call: Callable[..., Any], params: Sequence[Any], inputs: Sequence[Any], *, unrolled: int = 0
) -> Recording:
    """Trace ``call(params, inputs)``, of two lists of arrays (or of their shapes), without values.

    Parameters
    ----------
    call
        A pure function of two lists.
    params, inputs
        Arrays, or `jax.ShapeDtypeStruct`.
    unrolled
        Operations up to which all turns of a recurrence are written out.

    Raises
    ------
    ModelError
        The function cannot be traced; the message has its own error text.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> made = record(lambda p, x: jnp.tanh(x[0] @ p[0]), [jnp.ones((3, 2))], [jnp.ones((1, 3))])
    >>> [op.name for op in made.ops]
    ['input', 'dot_general', 'tanh']
    """
    shapes = [[_struct(x) for x in group] for group in (params, inputs)]
    try:
        closed = jax.make_jaxpr(call)(*shapes)
    except FaninError:
        raise
    except Exception as error:
        raise ModelError(
            explain(
                "The model cannot be traced on these inputs",
                received=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}",
                rule="It is called once by jax.make_jaxpr, with the arrays among its inputs traced",
                remedy="Give what control flow depends on as plain Python values, and inputs that fit",
            )
        ) from error
    return _Flat(closed, len(params), unrolled).recording()


def _struct(x: Any) -> Any:
    return jax.ShapeDtypeStruct(tuple(x.shape), x.dtype)  # type: ignore[no-untyped-call]


class _Flat:
    def __init__(self, closed: Any, params: int, unrolled: int) -> None:
        self._closed, self._params, self._unrolled = closed, params, unrolled
        self.ops: list[Op] = []
        self.notes: dict[str, None] = {}

    def recording(self) -> Recording:
        given: list[Operand] = []
        inputs: list[int] = []
        for place, var in enumerate(self._closed.jaxpr.invars):
            aval = _aval(var.aval)
            if place < self._params:
                given.append(Operand(parameter=place, shape=aval.shape, dtype=aval.dtype))
                continue
            key = aval.dtype.startswith("key<")
            inputs.append(len(self.ops))
            op = Op(
                id=len(self.ops), name="key" if key else "input", outputs=(aval,), constant=key, random=key
            )
            self.ops.append(op)
            given.append(self._output(op, 0))
        consts = [_constant(value) for value in self._closed.consts]
        outputs = self._jaxpr(self._closed.jaxpr, consts, given, (), 0)
        return _without_the_dead(
            Recording(
                ops=tuple(self.ops), outputs=tuple(outputs), inputs=tuple(inputs), notes=tuple(self.notes)
            )
        )

    def _jaxpr(
        self,
        jaxpr: Any,
        consts: Sequence[Operand],
        given: Sequence[Operand],
        scope: tuple[str, ...],
        call: int,
    ) -> list[Operand]:
        known: dict[Any, Operand] = dict(zip(jaxpr.constvars, consts, strict=True))
        known.update(zip(jaxpr.invars, given, strict=True))

        def read(atom: Any) -> Operand:
            return _constant(atom.val) if isinstance(atom, core.Literal) else known[atom]

        for eqn in jaxpr.eqns:
            operands = [read(atom) for atom in eqn.invars]
            inner = (*scope, *_scopes(eqn.source_info.name_stack))
            made = self._equation(eqn, operands, inner, call)
            known.update(zip(eqn.outvars, made, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(
        self, eqn: Any, operands: Sequence[Operand], scope: tuple[str, ...], call: int
    ) -> list[Operand]:
        name = eqn.primitive.name
        idle = all(operand.constant for operand in operands)
        if name == "scan" and not idle:
            return self._scan(eqn, operands, scope)
        if name == "while" and not idle:
            return self._while(eqn, operands, scope)
        if name == "cond" and not idle:
            return self._cond(eqn, operands, scope, call)
        if name not in _OPAQUE | {"scan", "while", "cond"}:
            for key in _CALLS:
                called = eqn.params.get(key)
                if called is None or not (hasattr(called, "eqns") or hasattr(called, "jaxpr")):
                    continue
                closed = hasattr(called, "consts")
                jaxpr = called.jaxpr if closed else called
                if len(jaxpr.invars) == len(operands):
                    if name.startswith("custom_vjp"):
                        self.notes["derivatives that functions define for themselves are looked through"] = (
                            None
                        )
                    consts = [_constant(value) for value in called.consts] if closed else []
                    first = len(self.ops)
                    made = self._jaxpr(jaxpr, consts, operands, scope, call)
                    own = name.startswith(("custom_jvp", "custom_vjp")) and not idle
                    return self._copies(eqn, operands, made, first, scope, call) if own else made
        avals = tuple(_aval(var.aval) for var in eqn.outvars)
        return self._emit(eqn.primitive, eqn.params, operands, avals, scope, call)

    def _copies(
        self,
        eqn: Any,
        operands: Sequence[Operand],
        made: Sequence[Operand],
        first: int,
        scope: tuple[str, ...],
        call: int,
    ) -> list[Operand]:
        """Outputs of a function that says its own derivative, each with the call that it comes from."""
        found: list[Operand] = []
        whole = Whole(primitive=eqn.primitive, params=eqn.params, operands=tuple(operands), first=first)
        for index, operand in enumerate(made):
            aval = Aval(shape=operand.shape, dtype=operand.dtype)
            found += self._emit(lax.copy_p, {"index": index}, [operand], (aval,), scope, call)
            self.ops[-1].whole = whole
        return found

    def _emit(
        self,
        primitive: Any,
        params: dict[str, Any],
        operands: Sequence[Operand],
        avals: tuple[Aval, ...],
        scope: tuple[str, ...],
        call: int,
        *,
        name: str = "",
        stands_for: Sequence[Operand] = (),
    ) -> list[Operand]:
        name = name or primitive.name
        behind = any(o.op is not None and self.ops[o.op].random for o in operands)
        drawn = name.startswith(_RANDOM)
        idle = drawn or all(operand.constant for operand in operands)
        op = Op(
            id=len(self.ops),
            name=name,
            primitive=primitive,
            params=params,
            operands=tuple(operands),
            outputs=avals,
            module=".".join(scope),
            call=call,
            constant=idle,
            random=idle and (drawn or behind),
            stands_for=tuple(stands_for),
        )
        self.ops.append(op)
        return [self._output(op, index) for index in range(len(avals))]

    @staticmethod
    def _output(op: Op, index: int) -> Operand:
        aval = op.outputs[index]
        return Operand(op=op.id, index=index, shape=aval.shape, dtype=aval.dtype, constant=op.constant)

    def _scan(self, eqn: Any, operands: Sequence[Operand], scope: tuple[str, ...]) -> list[Operand]:
        params = dict(eqn.params)
        body = params["jaxpr"]
        consts = list(operands[: params["num_consts"]])
        carry = list(operands[params["num_consts"] : params["num_consts"] + params["num_carry"]])
        xs = list(operands[params["num_consts"] + params["num_carry"] :])
        length, backwards = int(params["length"]), bool(params["reverse"])
        stacked = any(x.parameter is not None or self._from_parameters(x) for x in xs)
        few = len(self.ops) + length * len(body.eqns) <= self._unrolled
        turns = min(length, _LAYERS if stacked else length if few else _TURNS)
        order = range(length - 1, length - 1 - turns, -1) if backwards else range(turns)
        rows: list[list[Operand]] = []
        for turn, place in enumerate(order):
            here = [self._row(x, place, scope, turn) for x in xs]
            inner = [_constant(value) for value in body.consts]
            out = self._jaxpr(body.jaxpr, inner, [*consts, *carry, *here], scope, turn)
            carry = out[: params["num_carry"]]
            rows.append(out[params["num_carry"] :])
        last = rows[-1] if rows else []
        rest: list[Operand] = []
        if turns < length:
            left = length - turns
            cut = [self._part(x, 0 if backwards else turns, left, scope) for x in xs]
            avals = [Aval(shape=o.shape, dtype=o.dtype) for o in carry]
            avals += [Aval(shape=(left, *o.shape), dtype=o.dtype) for o in last]
            self.notes[
                f"of a loop's {length} turns {turns} are written out; the others are one operation"
            ] = None
            went = self._emit(
                eqn.primitive,
                {**params, "length": left},
                [*consts, *carry, *cut],
                tuple(avals),
                scope,
                turns,
                stands_for=[*carry, *last],
            )
            carry, rest = went[: params["num_carry"]], went[params["num_carry"] :]
        stacks: list[Operand] = []
        for place, var in enumerate(eqn.outvars[params["num_carry"] :]):
            aval = _aval(var.aval)
            pieces = [self._lifted(row[place], scope) for row in rows]
            if rest:
                pieces.append(rest[place])
            if backwards:
                pieces.reverse()
            if not pieces:
                stacks.append(_constant(np.zeros(aval.shape, _numpy(aval.dtype))))
            elif len(pieces) == 1:
                stacks += pieces
            else:
                joined = {"dimension": 0}
                stacks += self._emit(lax.concatenate_p, joined, pieces, (aval,), scope, 0)
        return [*carry, *stacks]

    def _while(self, eqn: Any, operands: Sequence[Operand], scope: tuple[str, ...]) -> list[Operand]:
        params = eqn.params
        count = params["cond_nconsts"]
        consts = list(operands[count : count + params["body_nconsts"]])
        state = list(operands[count + params["body_nconsts"] :])
        turn_state = state
        for turn in range(_TURNS - 1):
            inner = [_constant(value) for value in params["body_jaxpr"].consts]
            turn_state = self._jaxpr(params["body_jaxpr"].jaxpr, inner, [*consts, *turn_state], scope, turn)
        avals = tuple(_aval(var.aval) for var in eqn.outvars)
        return self._emit(eqn.primitive, params, operands, avals, scope, 0, stands_for=turn_state)

    def _cond(
        self, eqn: Any, operands: Sequence[Operand], scope: tuple[str, ...], call: int
    ) -> list[Operand]:
        which, given = operands[0], list(operands[1:])
        results = []
        for branch in eqn.params["branches"]:
            inner = [_constant(value) for value in branch.consts]
            results.append(self._jaxpr(branch.jaxpr, inner, given, scope, call))
        found: list[Operand] = []
        for place, var in enumerate(eqn.outvars):
            made = [result[place] for result in results]
            avals = (_aval(var.aval),)
            found += self._emit(None, {}, [which, *made], avals, scope, call, name="cond")
        return found

    def _from_parameters(self, operand: Operand) -> bool:
        """Whether a value is made of parameters alone, and of one at least."""
        waiting, found = [operand], False
        while waiting:
            o = waiting.pop()
            if o.parameter is not None:
                found = True
            elif o.op is not None and not o.constant:
                op = self.ops[o.op]
                if op.primitive is None or not op.operands:
                    return False
                waiting += op.operands
        return found

    def _row(self, x: Operand, place: int, scope: tuple[str, ...], turn: int) -> Operand:
        part = self._part(x, place, 1, scope)
        aval = Aval(shape=x.shape[1:], dtype=x.dtype)
        row = self._emit(lax.squeeze_p, {"dimensions": (0,)}, [part], (aval,), scope, turn)[0]
        self.ops[-1].row = True
        return row

    def _part(self, x: Operand, start: int, size: int, scope: tuple[str, ...]) -> Operand:
        params = {
            "start_indices": (start, *[0] * (len(x.shape) - 1)),
            "limit_indices": (start + size, *x.shape[1:]),
            "strides": None,
        }
        aval = Aval(shape=(size, *x.shape[1:]), dtype=x.dtype)
        return self._emit(lax.slice_p, params, [x], (aval,), scope, 0)[0]

    def _lifted(self, x: Operand, scope: tuple[str, ...]) -> Operand:
        params = {
            "shape": (1, *x.shape),
            "broadcast_dimensions": tuple(range(1, len(x.shape) + 1)),
            "sharding": None,
        }
        aval = Aval(shape=(1, *x.shape), dtype=x.dtype)
        return self._emit(lax.broadcast_in_dim_p, params, [x], (aval,), scope, 0)[0]


def _without_the_dead(recording: Recording) -> Recording:
    """Only what the outputs depend on, with ids that are places again; inputs stay."""
    alive = {o.op for o in recording.outputs if o.op is not None} | set(recording.inputs)
    for op in reversed(recording.ops):
        if op.id in alive:
            called = op.whole.operands if op.whole is not None else ()
            alive.update(o.op for o in (*op.operands, *op.stands_for, *called) if o.op is not None)
    order = sorted(alive)
    ids = {old: new for new, old in enumerate(order)}

    def moved(operand: Operand) -> Operand:
        if operand.op is None:
            return operand
        return Operand(
            op=ids[operand.op],
            index=operand.index,
            shape=operand.shape,
            dtype=operand.dtype,
            constant=operand.constant,
        )

    kept = [op for op in recording.ops if op.id in alive]
    for op in kept:
        op.id = ids[op.id]
        op.operands = tuple(moved(o) for o in op.operands)
        op.stands_for = tuple(moved(o) for o in op.stands_for)
    for whole in {id(op.whole): op.whole for op in kept if op.whole is not None}.values():
        whole.operands = tuple(moved(o) for o in whole.operands)
        whole.first = bisect_left(order, whole.first)
    return Recording(
        ops=tuple(kept),
        outputs=tuple(moved(o) for o in recording.outputs),
        inputs=tuple(ids[id] for id in recording.inputs),
        notes=recording.notes,
    )


def _scopes(stack: Any) -> tuple[str, ...]:
    """Names of scopes; an einsum's equation and a transformation are none."""
    names = [
        str(getattr(part, "name", ""))
        for part in getattr(stack, "stack", ())
        if type(part).__name__ == "Scope"
    ]
    return tuple(piece for name in names for piece in name.split("/") if piece and "->" not in piece)


def _aval(aval: Any) -> Aval:
    return Aval(shape=tuple(aval.shape), dtype=str(aval.dtype))


def _constant(value: Any) -> Operand:
    dtype = str(value.dtype) if hasattr(value, "dtype") else str(np.asarray(value).dtype)
    if dtype.startswith("key<"):
        return Operand(value=None, key=value, shape=tuple(value.shape), dtype=dtype, constant=True)
    array = np.asarray(value)
    return Operand(value=array, shape=tuple(array.shape), dtype=dtype, constant=True)


def _numpy(dtype: str) -> Any:
    return jax.numpy.dtype(dtype)
