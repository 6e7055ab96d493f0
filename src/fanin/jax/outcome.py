"""The record of a measured run: every node, parameter and input, and the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fanin.jax.features import alike, measure_inputs
from fanin.jax.parameters import measure_parameters
from fanin.jax.passes import Measured, parts_side_by_side, total
from fanin.jax.session import Session
from fanin.jax.statistics import numbers, rows_of_scores, saturated_share, scores
from fanin.laws.bounds import bounds
from fanin.records.graph import Graph, Node, OpKind
from fanin.records.trace import Measurement, Trace

__all__ = ["trace_of"]


def trace_of(run: Session, found: Measured, notes: Sequence[str]) -> Trace:
    """The record of a run, from what came out of its passes and notes on what could not be done."""
    ops = run.recording.ops
    main = run.recording.outputs[run.outputs.main]
    given = [(id, np.asarray(x)) for id, x in _batch(run)]
    sizes = [x.shape[0] for _, x in given if x.ndim]
    batch = sizes[0] if sizes else (main.shape[0] if main.shape else 1)
    reaches = _behind_outputs(run)
    measurements = [
        _measurement(run, node, found, batch, reaches)
        for node in run.nodes.values()
        if node.id in run.layouts
    ]
    channels = {id: layout.unit for id, layout in run.layouts.items() if layout.maps}
    random = [op for op in ops if op.random and op.name.startswith("random_bits")]
    loss = None
    if run.loss is not None and found.loss is not None:
        loss = run.loss.measured(float(found.loss), found.outputs, found.silent)
    elif run.loss is not None:
        value = jax.jit(run.loss.value)(found.outputs, list(run.loss.target))
        loss = run.loss.measured(float(value), found.outputs, found.silent)
    return Trace(
        batch=batch,
        source="the given batch",
        mode="train" if random or not _stored(run.graph) else "eval",
        measurements=tuple(measurements),
        parameters=measure_parameters(run.graph, run.subject.leaves, _norms(run, found)),
        loss=loss,
        notes=tuple(notes),
        inputs=measure_inputs(given, channels),
        output=_output_node(run),
    )


def _batch(run: Session) -> list[tuple[int, Any]]:
    """Inputs that are data: keys of random numbers are none."""
    ops = run.recording.ops
    readers: dict[int, list[str]] = {}
    for op in ops:
        for operand in op.operands:
            if operand.op is not None:
                readers.setdefault(operand.op, []).append(op.name)

    def draws(id: int) -> bool:
        names = readers.get(id, [])
        return bool(names) and all(name.startswith(("random_", "threefry")) for name in names)

    pairs = zip(run.recording.inputs, run.subject.inputs, strict=True)
    return [(id, x) for id, x in pairs if not ops[id].constant and not draws(id)]


def _stored(graph: Graph) -> bool:
    """Whether a norm takes running statistics for its input's own."""
    return any(node.setting("training") == (0.0,) for node in graph.nodes)


def _behind_outputs(run: Session) -> set[int]:
    """Operations that the main output depends on."""
    ops = run.recording.ops
    ahead = [run.recording.outputs[run.outputs.main].op]
    found: set[int] = set()
    while ahead:
        id = ahead.pop()
        if id is not None and id not in found:
            found.add(id)
            ahead += [o.op for o in ops[id].operands] if ops[id].name != "stop_gradient" else []
    return found


def _measurement(run: Session, node: Node, found: Measured, batch: int, reaches: set[int]) -> Measurement:
    layout = run.layouts[node.id]
    given, highest = found.given[node.id], found.highest.get(node.id)
    rows = found.rows.get(node.id)
    squares = total(found.squares[node.id]) if node.id in found.squares else None
    if squares is None:  # a small array, as it is
        rows = given.reshape(-1, given.shape[-1]) if node.id in run.passes.weights else None
        given = parts_side_by_side(given, layout)
        if node.id in run.passes.masked:
            given = np.where(given == -np.inf, 0.0, given)
        squares = total((given,))
        if node.id in run.passes.active and given.ndim:
            highest = given.max(axis=tuple(d for d in range(given.ndim) if d != layout.unit))
    dtype = jnp.dtype(run.recording.ops[node.id].dtype)
    limits: Any = jnp.finfo(dtype)  # type: ignore[no-untyped-call]
    complex_ = jnp.issubdtype(dtype, jnp.complexfloating)
    parts = 2 if complex_ else 1
    seen = numbers(given, squares, layout, (float(limits.tiny), float(limits.max)))
    dead = None if highest is None else int(np.count_nonzero(highest <= 0)) / max(highest.size, 1)
    saturated, limit = None, None
    if node.activation is not None and node.kind == OpKind.ACTIVATION:
        limit = bounds(run.graph.activations[node.activation].values)
    if limit is not None and seen.finite:
        saturated = saturated_share(given, layout, limit.low, limit.high)
    spread = (
        None if rows is None else scores(rows if node.id in found.rows else rows[rows_of_scores(rows.shape)])
    )
    arrived = None
    if node.id in found.arrived and run.seats.of(node.id) in reaches:
        power = total(found.arrived[node.id])
        arrived = None if math.isnan(power) else power / max(batch, 1)
    near = None
    if node.kind == OpKind.INPUT:
        near = alike(_given(run, node.id), layout.unit if layout.maps else len(node.shape) - 1)
    units = max(layout.units // parts, 1)
    return Measurement(
        node=node.id,
        kind=node.kind,
        op=node.op,
        module=node.module,
        call=node.call,
        shape=node.shape,
        units=units,
        samples=math.prod(node.shape) // units,
        mean=seen.mean,
        power=parts * seen.power,
        gradient_power=arrived,
        dead=dead,
        saturated=saturated,
        zeros=seen.zeros,
        cosine=seen.cosine,
        unit_spread=seen.unit_spread,
        finite=seen.finite,
        tiny=seen.tiny,
        huge=seen.huge,
        entropy=None if spread is None else spread[0],
        score_std=None if spread is None else spread[1],
        near=near,
    )


def _given(run: Session, id: int) -> NDArray[Any]:
    place = run.recording.inputs.index(id)
    return np.asarray(run.subject.inputs[place])


def _norms(run: Session, found: Measured) -> Mapping[str, float | None]:
    """Norms of the gradients at parameters; None where none arrives."""
    names = [run.subject.leaves[k].name for k in run.passes.trained]
    if found.wanted is not None and run.loss is not None:
        reached = run.reached(sorted(run.loss.reads))
        sizes = [found.wanted]
        reach = [reached]
    else:
        others = [k for k in run.outputs.floating if k != run.outputs.main]
        sizes = list(found.learned)
        reach = [run.reached([run.outputs.main]), run.reached(others)]
    norms: dict[str, float | None] = {}
    for sized, reached in zip(reversed(sizes), reversed(reach[: len(sizes)]), strict=True):
        for place, name, size in zip(run.passes.trained, names, sized, strict=True):
            if place in reached:
                power = total(size)
                norms[name] = math.sqrt(power) if power >= 0.0 else math.nan
    return norms


def _output_node(run: Session) -> int | None:
    """The node that made the output, views and copies of it skipped; None if that is not found."""
    known = {node.id for node in run.graph.nodes}
    at = run.recording.outputs[run.outputs.main].op
    while at is not None and at not in known:
        operands = run.recording.ops[at].operands
        at = operands[0].op if operands else None
    return at
