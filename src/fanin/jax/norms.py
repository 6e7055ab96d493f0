"""Norms that a jaxpr writes out, by what their statistics run over: the batch, or the units of a place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fanin.jax.recording import Op, Operand, Recording
from fanin.predictions.context import unit_dims
from fanin.records.graph import Graph, Node, OpKind

__all__ = ["with_norms"]

_REACH = 64
"""Operations that a norm consists of, at the most."""


def with_norms(graph: Graph, recording: Recording) -> Graph:
    """Say of each norm what a framework's own norm says of itself: whether it is one over the batch.

    Other norms (over groups, or without a mean taken out) stay what they were read as, written out.
    """
    stored = {p.name for p in graph.parameters if p.role.startswith("statistics")}
    units = unit_dims(graph)
    return replace(
        graph,
        nodes=tuple(
            _named(node, recording, stored, units.get(node.id, len(node.shape) - 1))
            if node.kind == OpKind.NORM and node.setting("written out") and len(node.inputs) == 1
            else node
            for node in graph.nodes
        ),
    )


def _named(node: Node, recording: Recording, stored: set[str], unit: int) -> Node:
    rank = len(node.shape)
    if any(name in stored for name in node.parameters):
        return _over_the_batch(node, training=0.0, eps=0.0)
    inside = _inside(recording, node)
    axes = {tuple(op.params["axes"]) for op in inside if op.name == "reduce_sum" and "axes" in op.params}
    eps = _epsilon(recording, inside)
    centred = any(op.name == "sub" and op.shape == node.shape for op in inside)
    if len(axes) != 1 or rank < 2 or not centred:
        return node
    (over,) = axes
    if set(over) == set(range(rank)) - {unit % rank}:
        return _over_the_batch(node, training=1.0, eps=eps)
    if over == (rank - 1,) and unit % rank == rank - 1:
        return replace(node, settings=(("centred", (1.0,)), ("eps", (eps,))))
    return node


def _over_the_batch(node: Node, *, training: float, eps: float) -> Node:
    settings = {"over the batch": 1.0, "training": training, "centred": 1.0, "eps": eps}
    return replace(node, op="batch_norm", settings=tuple((key, (value,)) for key, value in settings.items()))


def _inside(recording: Recording, node: Node) -> list[Op]:
    """Operations between what a norm reads and what it makes."""
    ahead, found = [node.id], dict[int, Op]()
    while ahead and len(found) < _REACH:
        id = ahead.pop()
        if id not in found and id > node.inputs[0]:
            found[id] = recording.ops[id]
            ahead += [o.op for o in recording.ops[id].operands if o.op is not None]
    return list(found.values())


def _epsilon(recording: Recording, inside: Iterable[Op]) -> float:
    """The constant that is added before a root is taken; 0 where none is."""
    for op in inside:
        if op.name in {"rsqrt", "sqrt"}:
            made = op.operands[0].op
            if made is not None and recording.ops[made].name == "add":
                numbers = [_number(o) for o in recording.ops[made].operands]
                return next((number for number in numbers if number is not None), 0.0)
    return 0.0


def _number(operand: Operand) -> float | None:
    value = operand.value
    return float(value.flat[0]) if value is not None and value.size == 1 else None
