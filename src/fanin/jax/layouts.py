"""Where the units of each node's output lie."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp

from fanin.jax.recording import Recording
from fanin.jax.statistics import Layout
from fanin.predictions.context import unit_dims
from fanin.predictions.layout import standing
from fanin.records.graph import Graph, Node, OpKind

__all__ = ["layouts_of"]


def layouts_of(graph: Graph, nodes: Mapping[int, Node], recording: Recording) -> dict[int, Layout]:
    """Layouts of the nodes whose output is a floating array with elements.

    Parameters
    ----------
    graph
        The model's computation.
    nodes
        What is to be measured, by id: the graph's nodes, and inputs that are none.
    recording
        The run that they are of.
    """
    dims, left = unit_dims(graph), standing(graph)
    read = {
        i: dims[node.id] for node in graph.nodes if node.kind == OpKind.CONVOLUTION for i in node.inputs[:1]
    }
    found: dict[int, Layout] = {}
    for id, node in nodes.items():
        dtype = recording.ops[id].dtype
        if dtype.startswith("key<") or not jnp.issubdtype(jnp.dtype(dtype), jnp.inexact) or 0 in node.shape:
            continue
        rank = len(node.shape)
        unit, maps = dims.get(id, max(rank - 1, 0)), id in dims
        if id in left:
            unit, maps = left[id], False
        if node.kind == OpKind.INPUT and rank > 2:
            # Whole samples are compared; where the units are does not matter but for images.
            unit, maps = read.get(id, 1), True
        shape = node.shape
        if jnp.issubdtype(jnp.dtype(dtype), jnp.complexfloating):
            shape = tuple(n * (1 + (d == unit)) for d, n in enumerate(shape)) or (2,)
        found[id] = Layout(shape, min(unit, max(len(shape) - 1, 0)), maps)
    return found
