"""The path of a network as a chain of stations, between which power is compared."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fanin.checks.figures import log_ratio
from fanin.checks.places import called
from fanin.errors import InputError
from fanin.laws.band import LINEAR, layer_variance, log_power_band
from fanin.predictions.forecast import Forecast
from fanin.records.graph import Graph, Node, OpKind, UseKind
from fanin.records.prediction import Certainty, NodePrediction
from fanin.records.trace import Measurement, Trace

__all__ = [
    "LUCK_OF_LAWS",
    "Drift",
    "Station",
    "drift",
    "forward_drift",
    "gated",
    "heads",
    "passed_by",
    "stations",
]

LUCK_OF_LAWS = 6.0
"""Standard deviations within which a prediction counts as met: the laws' own error is of the order of one."""

_LEAST = 0.02
"""Laws of infinite width are good to 2 % at best."""

_ALIVE = 1e-6
"""Part of an output that differs between samples; below it rounding does."""

_MAPS = {OpKind.CONTRACTION, OpKind.CONVOLUTION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A node of the path whose output's power means something: a layer, or a residual join.

    `variance` and `width` say how much a draw's luck may change the power here; `fresh` says that
    the power before it has no bearing on it, because a norm lies between. `law` is what the weights as they
    are should give here, `healthy` what the plan's would.
    """

    node: Node
    measure: Measurement
    variance: float
    width: float
    fresh: bool
    law: NodePrediction | None = None
    healthy: NodePrediction | None = None

    @property
    def label(self) -> str:
        """Module path for messages."""
        return self.node.module or self.node.op

    @property
    def called(self) -> str:
        """The same as it stands in a sentence."""
        return called(self.node.module, self.node.op)


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
    law, planned
        What the laws say of `log`, for the weights as they are and for the plan's; None where they do not
        reach.
    exact
        Whether no simplification enters `law`.
    """

    first: Station
    last: Station
    log: float
    layers: int
    z: float
    expected: float
    sd: float
    law: float | None = None
    planned: float | None = None
    exact: bool = False

    @property
    def unexplained(self) -> float:
        """Distance from the laws for these weights, beyond what chance does; 0 if that is not known."""
        if self.law is None or not self.exact or not math.isfinite(self.log):
            return 0.0
        away = self.log - self.law - self.expected
        return math.copysign(max(0.0, abs(away) - LUCK_OF_LAWS * self.sd), away)

    def lucky(self, harm: float, sigmas: float) -> bool:
        """Whether the laws foresee less than `harm`, and chance explains the rest."""
        if self.law is None or not math.isfinite(self.log):
            return False
        # (What finite width takes from the logarithm on average is chance's, too.)
        return abs(self.law) < harm and abs(self.log - self.law - self.expected) < sigmas * self.sd

    @property
    def away(self) -> float:
        """How far the drift lies from what the plan's weights would give here: ln of a ratio."""
        return self.log - (self.planned or 0.0) - self.expected

    @property
    def from_healthy(self) -> float:
        """The same in standard deviations of healthy draws."""
        return self.away / self.sd if math.isfinite(self.log) and self.sd > 0.0 else self.away

    @property
    def factor(self) -> float:
        """Geometric mean of the factor a layer."""
        return math.exp(self.log / self.layers) if math.isfinite(self.log) else 0.0


def heads(graph: Graph) -> frozenset[int]:
    """Nodes after which only the output follows."""
    return frozenset(use.node for p in graph.parameters for use in p.uses if use.head)


def stations(graph: Graph, trace: Trace, forecast: Forecast | None = None) -> tuple[Station, ...]:
    """Layers and residual joins along the path, without heads, as far as all values are finite.

    What is zero and yet followed by a signal is passed by on another way (a branch that starts at zero, a
    flow's coupling): it is no station, and the power after it has no bearing on it. Nor is a layer of a
    branch that a learned scale ends: how much of it passes is for the scale to say. What is added to the data
    themselves (a source term, a skip connection around the whole model) has their power, whatever the layers
    before it had.
    """
    nodes = {node.id: node for node in graph.nodes}
    measures = {m.node: m for m in trace.measurements}
    joins = {branch.join: branch for branch in graph.branches}
    ends = heads(graph)
    followed = {
        use.node: use.activation for p in graph.parameters for use in p.uses if use.kind == UseKind.WEIGHT
    }
    found: list[Station] = []
    fresh = True
    quiet, scaled = passed_by(graph, trace), gated(graph)
    given = {node.id for node in graph.nodes if node.kind == OpKind.INPUT}
    spread: dict[int | None, float] = {}
    for id in graph.path:
        node, measure = nodes.get(id), measures.get(id)
        if node is None:
            continue
        if id in quiet or any(start < id < join for start, join in scaled):
            fresh = True
            continue
        if measure is not None and not measure.finite:
            break
        if node.kind == OpKind.NORM or (id in joins and (joins[id].normalised or joins[id].start in given)):
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
                law=None if forecast is None else forecast.nodes.get(id),
                healthy=None if forecast is None else forecast.healthy.get(id),
            )
        )
        fresh = False
    return tuple(found)


def gated(graph: Graph) -> frozenset[tuple[int, int]]:
    """Start and join of branches that a learned scale ends."""
    scaled = {use.branch for p in graph.parameters for use in p.uses if use.kind == UseKind.SCALE}
    return frozenset((b.start, b.join) for place, b in enumerate(graph.branches) if place in scaled)


def passed_by(graph: Graph, trace: Trace) -> frozenset[int]:
    """Nodes of the path that are zero although what follows them differs from sample to sample."""
    measures = {m.node: m for m in trace.measurements}
    on_path = [measures[i] for i in graph.path if i in measures]
    alive = [m.node for m in on_path if m.finite and m.power > 0.0 and (m.unit_spread or 0.0) > _ALIVE]
    last = max(alive, default=-1)
    return frozenset(m.node for m in on_path if m.power == 0.0 and m.node < last)


def _variance(graph: Graph, activation: int | None) -> float:
    if activation is None:
        return LINEAR
    try:
        # A gradient has Gaussian factors besides, so no layer varies less than a linear one.
        return max(LINEAR, layer_variance(graph.activations[activation].values))
    except InputError:
        return LINEAR


def drift(chain: tuple[Station, ...], log: float, *, backward: bool = False) -> Drift:
    """Judge the logarithm of a ratio over a chain of at least two stations.

    Chance is what the prediction says of it, norms and skip connections included; without one, the sum of
    the layers' own.
    """
    first, last = chain[0], chain[-1]
    widths = [(s.variance, s.width) for s in chain[1:]]
    expected, sd = log_power_band(widths)
    law = _between(first.law, last.law, backward=backward)
    planned = _between(first.healthy, last.healthy, backward=backward)
    exact = False
    if law is not None and first.law is not None and last.law is not None:
        ends = (last.law, first.law) if not backward else (first.law, last.law)
        sure = {(p.gradient_certainty if backward else p.certainty) for p in ends}
        exact = sure == {Certainty.EXACT}
        if Certainty.UNKNOWN not in sure:
            spreads = [p.gradient_spread if backward else p.spread for p in ends]
            shifts = [p.gradient_shift if backward else p.shift for p in ends]
            expected, sd = shifts[0] - shifts[1], max(math.hypot(*spreads), _LEAST)
    return Drift(
        first=first,
        last=last,
        log=log,
        layers=len(chain) - 1,
        z=(log - expected) / sd if math.isfinite(log) else log,
        expected=expected,
        sd=sd,
        law=law,
        planned=planned,
        exact=exact,
    )


def _between(first: NodePrediction | None, last: NodePrediction | None, *, backward: bool) -> float | None:
    """Logarithm of the predicted ratio in the direction of travel."""
    if first is None or last is None:
        return None
    if backward:
        first, last = last, first
        before, after = first.gradient_power, last.gradient_power
    else:
        before, after = first.power, last.power
    if before is None or after is None or before <= 0.0 or after <= 0.0:
        return None
    return log_ratio(after, before)


def forward_drift(chain: tuple[Station, ...]) -> Drift:
    """Forward: power of the last over the first."""
    return drift(chain, log_ratio(chain[-1].measure.power, chain[0].measure.power))
