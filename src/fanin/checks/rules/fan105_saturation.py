"""FAN105: bounded activations that sit at their bounds."""

from __future__ import annotations

import math

from fanin.checks.causes import init_verb, loud_biases, named, weights_cause
from fanin.checks.figures import percent
from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.weights import weighed
from fanin.laws.bounds import bounds
from fanin.laws.recursion import saturated_share
from fanin.predictions.forecast import Forecast
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.prediction import Certainty
from fanin.records.trace import Measurement, Trace

__all__ = ["RULE"]

_WARNING = 0.20
_FAILURE = 0.50
_ALLOWANCE = 1.5
_SUMS = {OpKind.ADD, OpKind.POINTWISE}
_CLOSED = 8.0
"""A gate's bias from which on it lets less than 1 / 3000 through. Time scales of 1000 steps ask for
ln 1000 = 6.9, and minus as much at the input gate (C. Tallec, Y. Ollivier, Can recurrent neural networks warp
time?, 2018)."""
_GATES = 4.0
_TANH = math.atanh(0.97)
"""Where the slope of tanh is 6 % of its largest."""


def _check(graph: Graph, plan: Plan, trace: Trace, forecast: Forecast | None = None) -> Outcome:
    weighty = _weighty(graph)
    seen = [
        m
        for m in trace.measurements
        if m.kind == OpKind.ACTIVATION and m.saturated is not None and m.node in weighty
    ]
    cells = _cells(graph, plan, trace)
    if cells is not None:
        return cells
    shut = _shut(graph, trace)
    if not seen:
        return shut or Skipped(reason="no bounded activation")
    worst = max(seen, key=lambda m: (m.saturated or 0.0) - _limit(graph, m, forecast))
    share, limit = worst.saturated or 0.0, _limit(graph, worst, forecast)
    if share < limit:
        return shut or Passed(
            reason=f"{len(seen)} bounded activations, at most {percent(share)} saturated; the limit is "
            f"{percent(limit)}"
        )
    faults = [m for m in seen if (m.saturated or 0.0) >= _limit(graph, m, forecast)]
    before = _before(graph, trace, worst)
    rms = "" if before is None else f" with a root mean square of {math.sqrt(before.power):.3g}"
    ids = _feeders(graph, worst.node)
    feeding = [w for w in weighed(graph, plan, trace) if ids & set(w.nodes)]
    everywhere = [w for w in weighed(graph, plan, trace) if not w.head]
    cause = weights_cause(graph, feeding, math.log(4.0)) and weights_cause(graph, everywhere, math.log(4.0))
    place = worst.module or worst.op
    given = _input(trace)
    biased = _biased(graph, plan, trace, faults)
    if cause is not None:
        text, fix, where = cause.cause, cause.fix, cause.where
    elif biased and before is not None and max(biased.values()) ** 2 > 0.5 * before.power:
        where = tuple(biased)
        text = (
            f"{named(where)} has numbers of size {max(biased.values()):.3g}, the same for every sample: they "
            f"hold {called(place)} at its bound, not the weights"
        )
        fix = f"Start {named(where)} at zero: {init_verb(graph)}"
    elif given is not None and given.power > 4.0:
        text = f"the inputs have a root mean square of {math.sqrt(given.power):.3g}"
        fix, where = "Scale the inputs to mean 0 and standard deviation 1", (place,)
    else:
        text = f"what enters {called(place)} is too large{rms}, though its weights have the plan's scale"
        fix, where = (
            f"Look at what feeds {called(place)}; {init_verb(graph)} draws the weights anew",
            (place,),
        )
    return Finding(
        code=RULE.code,
        name="saturated units",
        severity=Severity.FAILURE
        if share >= max(_FAILURE, limit * _FAILURE / _WARNING)
        else Severity.WARNING,
        summary=f"At {called(place)} {percent(share)} of the values sit where the slope is below 6 % of its "
        f"largest ({len(faults)} of {len(seen)} bounded activations are concerned); "
        f"inputs come in{rms or ' too large'}",
        cause=text,
        fix=fix,
        where=where,
        evidence=(
            ("saturated share", share),
            ("activations concerned", float(len(faults))),
            *_foreseen(worst, forecast),
            *(cause.evidence if cause else ()),
        ),
    )


def _weighty(graph: Graph) -> frozenset[int]:
    """Nodes that a parameter, or a measured signal of the data, reaches: waves of places have no units."""
    found: set[int] = set()
    for node in graph.nodes:
        given = node.kind == OpKind.INPUT and "float" in node.dtype
        if given or node.parameters or any(i in found for i in node.inputs):
            found.add(node.id)
    return frozenset(found)


def _biased(graph: Graph, plan: Plan, trace: Trace, faults: list[Measurement]) -> dict[str, float]:
    """Large biases right before the activations concerned."""
    ids = {i for m in faults for i in _feeders(graph, m.node)}
    read = {name for node in graph.nodes if node.id in ids for name in node.parameters}
    return {name: size for name, size in loud_biases(graph, plan, trace) if name in read}


def _shut(graph: Graph, trace: Trace) -> Finding | None:
    """Biases of a recurrence's gates far below 0: a gate that lets exp(bias) of its input through."""
    found = [
        (p.name, p.largest)
        for parameter in graph.parameters
        for p in trace.parameters
        if p.name == parameter.name
        and any(use.kind == UseKind.RECURRENT_BIAS for use in parameter.uses)
        and p.finite
        and p.largest >= _CLOSED
        and p.mean <= -_CLOSED / _GATES / 2.0
    ]
    if not found:
        return None
    names, size = tuple(name for name, _ in found), max(value for _, value in found)
    return Finding(
        code=RULE.code,
        name="gates shut",
        severity=Severity.WARNING,
        summary=f"Biases of a recurrence reach -{size:.3g} ({named(names)}): a sigmoid gate there lets "
        f"{math.exp(-size):.2g} of what it gates through, and as much of its gradient",
        cause="gates that start closed: a forget gate forgets all from one step to the next, an input or "
        "output gate shuts the cell off",
        fix=f"Start forget gates at 1 or more and the others at 0: {init_verb(graph)}",
        where=names,
        evidence=(("largest bias", size),),
    )


def _feeders(graph: Graph, node: int) -> set[int]:
    """A node, and what is summed up before it, as far as the weights."""
    nodes = {n.id: n for n in graph.nodes}
    found: set[int] = set()
    waiting = [node]
    while waiting:
        id = waiting.pop()
        if id in found or id not in nodes:
            continue
        found.add(id)
        if id == node or nodes[id].kind in _SUMS:
            waiting.extend(nodes[id].inputs)
    return found


def _cells(graph: Graph, plan: Plan, trace: Trace) -> Finding | None:
    """Cells of a recurrence that runs as one operation: what enters their tanh, from weights and powers."""
    measures = {m.node: m for m in trace.measurements}
    every = weighed(graph, plan, trace)
    for node in graph.nodes:
        m = measures.get(node.id)
        if node.kind != OpKind.RECURRENCE or m is None or not m.finite or not node.inputs:
            continue
        feeding = [w for w in every if node.id in w.nodes and w.entry.fan_in]
        before = measures.get(node.inputs[0])
        given = before.power if before is not None and before.finite else 1.0
        power = sum(
            (w.gain or 0.0) ** 2 * (given if w.kind == UseKind.RECURRENT_INPUT else m.power) for w in feeding
        ) / max(1, sum(w.kind == UseKind.RECURRENT_INPUT for w in feeding))
        share = saturated_share(_TANH, power)
        if share < _WARNING:
            continue
        cause = weights_cause(graph, feeding, math.log(4.0))
        text = f"the inputs have a root mean square of {math.sqrt(given):.3g}"
        return Finding(
            code=RULE.code,
            name="saturated units",
            severity=Severity.FAILURE if share >= _FAILURE else Severity.WARNING,
            summary=f"In {called(node.module, node.op)} what enters the cells' tanh has a root mean square "
            f"of {math.sqrt(power):.3g} by the weights' variances: {percent(share)} of it lies where the "
            "slope is below 6 % of its largest",
            cause=text if cause is None else cause.cause,
            fix="Scale the inputs to mean 0 and standard deviation 1" if cause is None else cause.fix,
            where=(node.module or node.op,) if cause is None else cause.where,
            evidence=(("saturated share", share), ("root mean square", math.sqrt(power))),
        )
    return None


def _limit(graph: Graph, m: Measurement, forecast: Forecast | None) -> float:
    """Share from which on saturation is a fault: a hard tanh cuts 32 % of a unit Gaussian anyway."""
    place = graph.node(m.node).activation
    edges = None if place is None else bounds(graph.activations[place].values)
    if edges is None:
        return _WARNING
    healthy = None if forecast is None else forecast.healthy.get(m.node)
    if healthy is not None and healthy.saturated is not None and healthy.certainty != Certainty.UNKNOWN:
        return max(_WARNING, _ALLOWANCE * healthy.saturated)
    reach = min(-edges.low_input, edges.high_input)
    return max(_WARNING, _ALLOWANCE * saturated_share(max(reach, 0.0), 1.0))


def _foreseen(m: Measurement, forecast: Forecast | None) -> tuple[tuple[str, float], ...]:
    """Evidence: the share that the laws give to these weights, and to the plan's."""
    if forecast is None:
        return ()
    now, healthy = forecast.nodes.get(m.node), forecast.healthy.get(m.node)
    found = (("saturated share by law", now), ("saturated share by law with the plan", healthy))
    return tuple((name, p.saturated) for name, p in found if p is not None and p.saturated is not None)


def _before(graph: Graph, trace: Trace, m: Measurement) -> Measurement | None:
    inputs = graph.node(m.node).inputs
    return next((x for x in trace.measurements if inputs and x.node == inputs[0]), None)


def _input(trace: Trace) -> Measurement | None:
    return next((m for m in trace.measurements if m.kind == OpKind.INPUT), None)


RULE = Rule(
    code="FAN105",
    name="saturation",
    definition="share of a bounded activation's outputs where its slope is below 6 % of its largest "
    "(|tanh| > 0.97)",
    threshold="a warning from 20 % (or 1.5 times what is predicted here with good weights), a failure from "
    "50 %: a unit Gaussian saturates 3.6 % of tanh, one with twice that std 30 %",
    advice="Give the weights before the activation the std gain / sqrt(fan_in), and scale the inputs",
    references=("X. Glorot, Y. Bengio, Understanding the difficulty of training deep networks, 2010",),
    symptom_of=("FAN201", "FAN205", "FAN206", "FAN401"),
    check=_check,
    against=_check,
)
