"""Where the units of a tensor lie: along which dimension, whatever was transposed on the way."""

from __future__ import annotations

from collections.abc import Mapping

from fanin.records.graph import Graph, OpKind
from fanin.torch.recording import Op, Recording

__all__ = ["channels_of_inputs", "unit_dims"]

_LAST = {OpKind.CONTRACTION, OpKind.EMBEDDING, OpKind.RECURRENCE, OpKind.ATTENTION}
"""Kinds whose outputs have their units along the last dimension, whatever they read."""


def unit_dims(graph: Graph, recording: Recording) -> dict[int, int]:
    """Operators whose units lie along an inner dimension: convolutions, and what keeps their layout.

    Parameters
    ----------
    graph, recording
        A run, and what was read of it: nodes have the ids of operators.

    Returns
    -------
    dict
        The dimension by operator; where there is none it is the last. Models whose own layout is
        channels-last transpose around every convolution, and a transposition takes the dimension along.
    """
    ranks = {p.name: len(p.shape) for p in graph.parameters}
    nodes = {node.id: node for node in graph.nodes}
    dims: dict[int, int] = {}
    for op in recording.ops:
        node = nodes.get(op.id)
        if node is not None and node.kind == OpKind.CONVOLUTION:
            spatial = max((ranks.get(name, 0) for name in node.parameters), default=0) - 2
            dims[op.id] = max(0, len(op.shape) - 1 - max(spatial, 0))
        elif node is None or node.kind not in _LAST:
            ways = (_carried(op, o.op, dims, recording) for o in op.operands)
            found = next((d for d in ways if d is not None), None)
            if found is None and node is not None:
                # (A norm written by hand may fold its input, and unfold it again.)
                ways = (_kept(op.shape, i, dims, recording) for i in node.inputs)
                found = next((d for d in ways if d is not None), None)
            if found is not None:
                dims[op.id] = found
    return dims


def _carried(op: Op, source: int | None, dims: Mapping[int, int], recording: Recording) -> int | None:
    """Where the units of an operand are in the output."""
    if source is None or source not in dims:
        return None
    order = _order(op, len(recording.ops[source].shape))
    return _kept(op.shape, source, dims, recording) if order is None else order.index(dims[source])


def _kept(shape: tuple[int, ...], source: int, dims: Mapping[int, int], recording: Recording) -> int | None:
    if source not in dims:
        return None
    before, at = recording.ops[source].shape, dims[source]
    return at if len(before) == len(shape) and before[at] == shape[at] else None


def _order(op: Op, rank: int) -> list[int] | None:
    """For each dimension of the output, that of the input; None for what is no transposition."""
    base = op.facts.base if op.facts is not None else ""
    if base == "permute":
        return [int(d) % rank for d in op.args[1]]
    if base == "transpose":
        one, other = (int(d) % rank for d in op.args[1:3])
        order = list(range(rank))
        order[one], order[other] = other, one
        return order
    return None


def channels_of_inputs(graph: Graph, recording: Recording, dims: Mapping[int, int]) -> dict[int, int]:
    """Inputs that convolutions read, each with the dimension of its channels.

    Parameters
    ----------
    graph, recording
        As `unit_dims` takes them.
    dims
        What it found: the input of a convolution has its channels where the output has its units.
    """
    found: dict[int, int] = {}
    for node in graph.nodes:
        if node.kind != OpKind.CONVOLUTION or node.id not in dims:
            continue
        at, op = dims[node.id], recording.ops[node.id]
        while op.operands and op.operands[0].op is not None:
            before = recording.ops[op.operands[0].op]
            order = _order(op, len(before.shape)) if op.id != node.id else None
            if order is not None:
                at = order[at]
            elif len(before.shape) <= at or (op.id != node.id and len(before.shape) != len(op.shape)):
                break
            if before.name == "input":
                found.setdefault(before.id, at)
            op = before
        for id in node.inputs:
            found.setdefault(id, dims[node.id])
    return found
