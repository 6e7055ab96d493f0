"""Activations that read nothing: what they do on this batch says nothing of the weights before them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fanin.checks.causes import loud_biases
from fanin.records.graph import Graph, Node, OpKind
from fanin.records.plan import Plan
from fanin.records.trace import Measurement, Trace

__all__ = ["blank"]

_SUMS = frozenset({OpKind.CONTRACTION, OpKind.CONVOLUTION})
_ROUNDING = 2.0**-20
"""Relative error of a mean of float32 numbers that are equal: three bits more than theirs."""


def blank(graph: Graph, plan: Plan, trace: Trace) -> frozenset[int]:
    """Activations of which all that enters is zero, or a bias upon zeros: a decoder's queries at its start.

    A layer that makes zeros of a signal is found by its zero weights, not by what it leaves on. Biases of
    more than a unit's power are the layer's own fault, whatever it reads.

    Parameters
    ----------
    graph, plan, trace
        As rules take them.

    Returns
    -------
    frozenset[int]
        Ids of their nodes.
    """
    nodes = {node.id: node for node in graph.nodes}
    measures = {m.node: m for m in trace.measurements}
    loud = {name for name, _ in loud_biases(graph, plan, trace)}
    found: set[int] = set()
    for node in graph.nodes:
        if node.kind != OpKind.ACTIVATION or not node.inputs or node.inputs[0] not in measures:
            continue
        before = nodes.get(node.inputs[0])
        if before is None:
            continue
        if measures[before.id].power == 0.0 or _upon_zeros(before, nodes, measures, loud):
            found.add(node.id)
    return frozenset(found)


def _upon_zeros(
    node: Node, nodes: Mapping[int, Node], measures: Mapping[int, Measurement], loud: set[str]
) -> bool:
    """Whether a weighted sum of nothing but zeros is read, with a quiet bias at the most."""
    if node.kind == OpKind.ADD and len(node.inputs) == 1:  # a bias that is added apart
        behind = nodes.get(node.inputs[0])
        return (
            behind is not None
            and not loud & set(node.parameters)
            and _upon_zeros(behind, nodes, measures, loud)
        )
    if node.kind not in _SUMS or loud & set(node.parameters):
        return False
    if not node.inputs:
        # Constants are no part of the graph; of random weights only zeros make one number for every unit.
        own = measures.get(node.id)
        return own is not None and math.isclose(own.power, own.mean**2, rel_tol=_ROUNDING)
    return all(i in measures and measures[i].power == 0.0 for i in node.inputs)
