"""Which zeros wake up: they get no gradient at step zero, and get one as soon as another tensor has moved."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from fanin.laws.quadrature import NODES
from fanin.records.graph import Graph, Node, OpKind, UseKind
from fanin.records.trace import Measurement, Trace

__all__ = ["Awake", "awake"]

_FACTORS = {
    UseKind.WEIGHT,
    UseKind.EMBEDDING,
    UseKind.NORM_SCALE,
    UseKind.SCALE,
    UseKind.RECURRENT_INPUT,
    UseKind.RECURRENT_STATE,
}
"""Parts in which a parameter multiplies what its node reads: zero, and nothing passes."""

_MULTIPLY = {OpKind.PRODUCT, OpKind.CONTRACTION, OpKind.ATTENTION}
"""Operations whose operands pass on each other's gradients only as far as they are not zero themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awake:
    """What gets a gradient at the second step, if every tensor moves that gets one at the first.

    `parameters` are the zero ones among them that get none at the first; `nodes` are those whose outputs
    a gradient reaches then.
    """

    parameters: frozenset[str]
    nodes: frozenset[int]


def awake(graph: Graph, trace: Trace) -> Awake:
    """Let the tensors that get a gradient be other than zero, and see what it reaches then.

    A block that ends in zeros behind a head of zeros (Fixup, diffusion models) waits one step and no more:
    the head gets a gradient and moves. Two layers of zeros in a row wait for each other and stay.
    """
    measures = {p.name: p for p in trace.parameters}
    moving = {
        p.name for p in graph.parameters
        if p.name not in measures or measures[p.name].largest > 0.0 or measures[p.name].gradient_norm
    }  # fmt: skip
    factors: dict[int, list[str]] = defaultdict(list)
    terms: dict[int, list[str]] = defaultdict(list)
    for parameter in graph.parameters:
        for use in parameter.uses:
            (factors if use.kind in _FACTORS else terms)[use.node].append(parameter.name)
    powers = {m.node: m for m in trace.measurements}
    alive = _alive(graph, powers, moving, factors, terms)
    reached = _reached(graph, powers, moving, factors, alive)
    by_id = {node.id: node for node in graph.nodes}
    woken = [
        p.name
        for p in graph.parameters
        if p.name not in moving and any(u.node in reached and _fed(by_id.get(u.node), alive) for u in p.uses)
    ]
    return Awake(parameters=frozenset(woken), nodes=frozenset(reached))


def _alive(
    graph: Graph,
    powers: dict[int, Measurement],
    moving: set[str],
    factors: dict[int, list[str]],
    terms: dict[int, list[str]],
) -> set[int]:
    """Nodes whose outputs are not zero, or will not be."""
    found: set[int] = set()
    for node in graph.nodes:
        measure = powers.get(node.id)
        if measure is not None and measure.power > 0.0:
            found.add(node.id)
            continue
        given = [i in found for i in node.inputs]
        passes = not given or (all(given) if node.kind in _MULTIPLY else any(given))
        added = any(name in moving for name in terms[node.id])
        if added or (passes and moving.issuperset(factors[node.id])):
            found.add(node.id)
    return found


def _reached(
    graph: Graph,
    powers: dict[int, Measurement],
    moving: set[str],
    factors: dict[int, list[str]],
    alive: set[int],
) -> set[int]:
    """Nodes to which a gradient comes back through what is not zero, or will not be."""
    found, flat = set(graph.outputs), _flat(graph, powers)
    readers: dict[int, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        for i in node.inputs:
            readers[i].append(node)
    for node in reversed(graph.nodes):
        measure = powers.get(node.id)
        if measure is not None and measure.gradient_power is None and node.id not in found:
            continue  # Its history was cut: no step changes that.
        if (measure is not None and measure.gradient_power) or any(
            reader.id in found
            and reader.id not in flat
            and moving.issuperset(factors[reader.id])
            and _lets(reader, node.id, alive)
            for reader in readers[node.id]
        ):
            found.add(node.id)
    return found


def _flat(graph: Graph, powers: dict[int, Measurement]) -> set[int]:
    """Activations with slope zero for every input of this batch: no gradient passes at any step."""
    zero_below = {
        i for i, f in enumerate(graph.activations)
        if not any(v for x, v in zip(NODES, f.values, strict=True) if x < 0)
    }  # fmt: skip
    return {
        node.id for node in graph.nodes
        if node.activation in zero_below and (m := powers.get(node.id)) is not None and m.dead == 1.0
    }  # fmt: skip


def _lets(reader: Node, source: int, alive: set[int]) -> bool:
    """Whether what an operation multiplies this operand with is not zero."""
    return reader.kind not in _MULTIPLY or all(i == source or i in alive for i in reader.inputs)


def _fed(node: Node | None, alive: set[int]) -> bool:
    """Whether a node reads something other than zeros."""
    return node is not None and (not node.inputs or any(i in alive for i in node.inputs))
