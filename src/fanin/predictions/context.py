"""A graph prepared for prediction: who uses which parameter where, and what is known so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fanin.laws.fans import fans
from fanin.laws.hermite import Expansion, expand
from fanin.predictions.places import Cut, cut, even, fitting, part
from fanin.predictions.signal import Signal
from fanin.predictions.weights import Moments
from fanin.records.graph import Graph, Node, OpKind, Parameter, Use, UseKind

if TYPE_CHECKING:
    from fanin.predictions.trial import Outcome, Trial

Floats = NDArray[np.float64]

__all__ = ["Context", "Reading", "unit_dims"]

Reading = tuple[int, ...]
"""A node's id, and the part of its output that is read; see `fanin.records.graph.Node.reads`."""

_DIGITS = 12


@dataclass(slots=True, kw_only=True)
class Context:
    """The graph by node, the weights' moments, and the signals and product moments found so far."""

    graph: Graph
    weights: Mapping[str, Moments]
    batch: int
    trial: Trial | None = None
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)
    uses: dict[int, list[tuple[Parameter, Use]]] = field(default_factory=dict)
    units: dict[int, int] = field(default_factory=dict)
    signals: dict[int, Signal] = field(default_factory=dict)
    joints: dict[tuple[Reading, Reading, str], float] = field(default_factory=dict)
    spent: list[int] = field(default_factory=list)
    _parts: dict[Reading, Signal] = field(default_factory=dict)
    _covered: dict[int, float] = field(default_factory=dict)
    _expansions: dict[tuple[int, float, float], Expansion] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.nodes = {node.id: node for node in self.graph.nodes}
        for parameter in self.graph.parameters:
            for use in parameter.uses:
                self.uses.setdefault(use.node, []).append((parameter, use))
        self.units = unit_dims(self.graph)

    def reads(self, node: Node) -> list[Reading]:
        """What a node reads and is known, operand by operand."""
        every = node.reads or tuple((i,) for i in node.inputs)
        return [read for read in every if read[0] in self.signals]

    def seen(self, read: Reading) -> Signal:
        """The signal of what is read: of all places, or of those that are picked."""
        signal = self.signals[read[0]]
        if len(read) == 1 or (signal.profile is None and signal.common is None):
            return signal
        # (A signal is set once, and read by every pair of nodes behind it.)
        if read not in self._parts:
            self._parts[read] = part(signal, self.cut(read))
        return self._parts[read]

    def cut(self, read: Reading) -> Cut | None:
        """The places that are read; () for all, None where that is unclear."""
        source = self.nodes[read[0]]
        return cut(source.shape, self.units.get(source.id, len(source.shape) - 1), read, self.batch)

    def placed(self, node: Node, profile: Floats | None) -> Floats | None:
        """A profile, if a node has such places and they are not all alike."""
        return even(fitting(profile, node.shape, self.units.get(node.id, len(node.shape) - 1), self.batch))

    def chosen(self, read: Reading) -> bool:
        """Whether some places of a tensor are read, and others by nobody (a class token, a last step)."""
        source, rank = self.nodes[read[0]], (len(read) - 1) // 2
        if not rank or source.id in self.graph.outputs:
            return False
        unit = self.units.get(source.id, rank - 1)
        sizes = read[1 + rank :]
        if all(
            size == whole or d == unit
            for d, (size, whole) in enumerate(zip(sizes, source.shape, strict=True))
        ):
            return False
        if source.id not in self._covered:
            parts = [
                r for n in self.graph.nodes if source.id in n.inputs for r in n.reads if r[0] == source.id
            ]
            counts = (math.prod(r[1 + rank :] if len(r) > 1 else source.shape) for r in parts)
            self._covered[source.id] = sum(counts) / max(math.prod(source.shape), 1)
        return self._covered[source.id] < 1.0

    def moments(self, node: Node, *kinds: UseKind) -> list[Moments]:
        """Moments of the parameters that take these parts at a node, shifted by their constants."""
        return [
            self.weights[parameter.name].shifted(use.offset)
            for parameter, use in self.uses.get(node.id, [])
            if use.kind in kinds and parameter.name in self.weights
        ]

    def unknown(self, node: Node, *kinds: UseKind) -> list[str]:
        """Names of such parameters whose moments are not known."""
        return [
            parameter.name
            for parameter, use in self.uses.get(node.id, [])
            if use.kind in kinds and parameter.name not in self.weights
        ]

    def connections(self, parameter: Parameter, use: Use) -> float:
        """Terms that one output of a weight adds up."""
        return fans(parameter.shape, use.axes).fan_in if use.axes is not None else 1.0

    def width(self, node: Node) -> float:
        """Units of a node's output."""
        place = self.units.get(node.id, len(node.shape) - 1)
        return float(node.shape[place]) if node.shape else 1.0

    def positions(self, node: Node) -> float:
        """Positions a sample of a node's output."""
        per_sample = math.prod(node.shape) / max(self.batch, 1)
        return max(1.0, per_sample / max(self.width(node), 1.0))

    def expansion(self, activation: int, mean: float, variance: float) -> Expansion:
        """An activation around an input; those of the same input are computed once."""
        key = (activation, float(f"{mean:.{_DIGITS}g}"), float(f"{variance:.{_DIGITS}g}"))
        if key not in self._expansions:
            values = self.graph.activations[activation].values
            self._expansions[key] = expand(values, mean=key[1], variance=key[2])
        return self._expansions[key]


def unit_dims(graph: Graph) -> dict[int, int]:
    """The dimension that holds the units: the last, but for convolutions and what keeps their layout.

    A convolution's "units" say where they are; else they come before the dimensions of space.
    """
    ranks = {p.name: len(p.shape) for p in graph.parameters}
    dims: dict[int, int] = {}
    shapes = {node.id: node.shape for node in graph.nodes}
    for node in graph.nodes:
        if node.kind == OpKind.CONVOLUTION:
            spatial = max((ranks.get(name, 0) for name in node.parameters), default=0) - 2
            known = node.setting("units")
            dims[node.id] = int(known[0]) if known else max(0, len(node.shape) - 1 - max(spatial, 0))
        elif node.kind not in (OpKind.CONTRACTION, OpKind.EMBEDDING, OpKind.RECURRENCE, OpKind.ATTENTION):
            for i in node.inputs:
                same = i in dims and len(shapes.get(i, ())) == len(node.shape)
                if same and shapes[i][dims[i]] == node.shape[dims[i]]:
                    dims[node.id] = dims[i]
                    break
    return dims
