"""The path of a network as a chain of stations, between which power is compared."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fanin.checks.figures import log_ratio
from fanin.errors import InputError
from fanin.laws.band import LINEAR, layer_variance, log_power_band, z_score
from fanin.records.graph import Graph, Node, OpKind, UseKind
from fanin.records.trace import Measurement, Trace

__all__ = ["Drift", "Station", "drift", "forward_drift", "heads", "stations"]

_MAPS = {OpKind.CONTRACTION, OpKind.CONVOLUTION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A node of the path whose output's power means something: a layer, or a residual join.

    `variance` and `width` say how much a draw's luck may change the power here; `fresh` says that
    the power before it has no bearing on it, because a norm lies between.
    """

    node: Node
    measure: Measurement
    variance: float
    width: float
    fresh: bool

    @property
    def label(self) -> str:
        """Module path for messages."""
        return self.node.module or self.node.op


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far a power strays between two stations.

    Parameters
    ----------
    first, last
        Ends, in execution order.
    log
        Natural logarithm of the ratio in the direction of travel (forward: last over first).
    layers
        Steps between them.
    z
        Distance from what finite width explains, in standard deviations.
    expected, sd
        Mean and standard deviation of `log` for a healthy network of these widths.
    """

    first: Station
    last: Station
    log: float
    layers: int
    z: float
    expected: float
    sd: float

    @property
    def factor(self) -> float:
        """Geometric mean of the factor a layer."""
        return math.exp(self.log / self.layers) if math.isfinite(self.log) else 0.0


def heads(graph: Graph) -> frozenset[int]:
    """Nodes after which only the output follows."""
    return frozenset(use.node for p in graph.parameters for use in p.uses if use.head)


def stations(graph: Graph, trace: Trace) -> tuple[Station, ...]:
    """Layers and residual joins along the path, without heads, as far as all values are finite."""
    nodes = {node.id: node for node in graph.nodes}
    measures = {m.node: m for m in trace.measurements}
    joins = {branch.join: branch for branch in graph.branches}
    ends = heads(graph)
    followed = {
        use.node: use.activation for p in graph.parameters for use in p.uses if use.kind == UseKind.WEIGHT
    }
    found: list[Station] = []
    fresh = True
    spread: dict[int | None, float] = {}
    for id in graph.path:
        node, measure = nodes.get(id), measures.get(id)
        if node is None:
            continue
        if measure is not None and not measure.finite:
            break
        if node.kind == OpKind.NORM or (id in joins and joins[id].normalised):
            fresh = True
        if measure is None or id in ends or not (node.kind in _MAPS or id in joins):
            continue
        active = followed.get(id)
        if active not in spread:
            spread[active] = _variance(graph, active)
        found.append(
            Station(
                node=node,
                measure=measure,
                variance=spread[active],
                width=max(1.0, float(measure.units)),
                fresh=fresh,
            )
        )
        fresh = False
    return tuple(found)


def _variance(graph: Graph, activation: int | None) -> float:
    if activation is None:
        return LINEAR
    try:
        # A gradient has Gaussian factors besides, so no layer varies less than a linear one.
        return max(LINEAR, layer_variance(graph.activations[activation].values))
    except InputError:
        return LINEAR


def drift(chain: tuple[Station, ...], log: float) -> Drift:
    """Judge the logarithm of a ratio over a chain of at least two stations."""
    widths = [(s.variance, s.width) for s in chain[1:]]
    expected, sd = log_power_band(widths)
    return Drift(
        first=chain[0],
        last=chain[-1],
        log=log,
        layers=len(chain) - 1,
        z=z_score(log, widths) if math.isfinite(log) else log,
        expected=expected,
        sd=sd,
    )


def forward_drift(chain: tuple[Station, ...]) -> Drift:
    """Forward: power of the last over the first."""
    return drift(chain, log_ratio(chain[-1].measure.power, chain[0].measure.power))
