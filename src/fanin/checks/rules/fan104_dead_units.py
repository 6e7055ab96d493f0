"""FAN104: units that fire on no input."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fanin.checks.blank import blank
from fanin.checks.causes import init_verb, loud_biases, named
from fanin.checks.figures import percent
from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.rules.fan307_output_and_loss import misfit
from fanin.laws.quadrature import NODES
from fanin.laws.recursion import dead_share
from fanin.predictions.forecast import Forecast
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Activation, Graph, Node, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.prediction import Certainty
from fanin.records.trace import Measurement, Trace

__all__ = ["RULE"]

_WEIGHTS = {UseKind.WEIGHT, UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE}
_POINTS = 0.05
_ERRORS = 6.0
_SHIFT = 4.0
_FAILURE = 0.9


def _one_sided(activation: Activation) -> bool:
    """Whether f is zero for every negative input, so that a unit can be dead."""
    negative = [v for x, v in zip(NODES, activation.values, strict=True) if x < 0]
    return all(v == 0.0 for v in negative) and any(v != 0.0 for v in activation.values)


def _expected(node: Node, nodes: Mapping[int, Node], trace: Trace) -> float | None:
    """Share that likeness of samples alone explains; None where likeness was not measured."""
    measures = {m.node: m for m in trace.measurements}
    m = measures[node.id]
    before = nodes.get(node.inputs[0]) if node.inputs else None
    if before is None or before.id not in measures:
        return None
    given = measures[before.id]
    cosine = given.cosine
    if before.kind in (OpKind.CONTRACTION, OpKind.CONVOLUTION) and before.inputs:
        # Without biases the correlation of a layer's outputs is the cosine of its inputs. Random biases
        # raise it, and kill no more than likeness does; biases of one sign are the fault to be found.
        behind = measures.get(before.inputs[0])
        likeness = behind.cosine if behind is not None else None
        shifted = given.mean < -_SHIFT / math.sqrt(given.units) * math.sqrt(given.power)
        if likeness is not None:
            cosine = likeness if shifted or cosine is None else max(cosine, likeness)
    if cosine is None:
        return None
    # Neighbouring positions of a map are no independent samples; counting samples errs to the safe side.
    return dead_share(min(cosine, 1.0), max(1, trace.batch if len(m.shape) > 2 else m.samples))


def _dead_end(graph: Graph, plan: Plan, trace: Trace) -> Finding | None:
    """An activation that is zero everywhere and through which every gradient goes, so that there is none."""
    norms = [p.gradient_norm for p in trace.parameters if p.gradient_norm is not None]
    if not norms or any(norm != 0.0 for norm in norms):
        return None
    nodes = {node.id: node for node in graph.nodes}
    for m in trace.measurements:
        node = nodes.get(m.node)
        if node is None or node.activation is None or m.power != 0.0 or not node.inputs:
            continue
        before = nodes.get(node.inputs[0])
        if before is None or not _one_sided(graph.activations[node.activation]):
            continue
        given = next((x for x in trace.measurements if x.node == before.id), None)
        if given is not None and given.power == 0.0:
            continue
        loud = {name: size for name, size in loud_biases(graph, plan, trace) if name in before.parameters}
        if not loud and node.id == misfit(graph, trace):
            return None  # (an end that its loss does not want is told as that)
        what = f" (mean {given.mean:.3g})" if given is not None else ""
        place = called(node.module, node.op)
        return Finding(
            code=RULE.code,
            name="dead units",
            severity=Severity.FAILURE,
            summary=f"{place[0].upper()}{place[1:]} puts out 0 for every sample, and no parameter gets a "
            "gradient: nothing can be learned",
            cause=f"all that enters it lies below zero{what}"
            + (f": {named(tuple(loud))} has numbers of size {max(loud.values()):.3g}" if loud else ""),
            fix=f"Start {named(tuple(loud))} at zero: {init_verb(graph)}"
            if loud
            else f"Leave {place} out, or take one with a slope below zero (softplus, leaky ReLU)",
            where=tuple(loud) or (node.module or node.op,),
            evidence=(("dead share", 1.0), ("parameters without gradient", float(len(norms)))),
        )
    return None


def _liveliest(graph: Graph, nodes: Mapping[int, Node], trace: Trace) -> dict[int, int]:
    """For each call of an activation, the call behind the same weights in which most units fire.

    A unit of a recurrence is dead if it fires at no step; at the first ones it may have seen nothing yet.
    """
    weights = {p.name for p in graph.parameters if any(use.kind in _WEIGHTS for use in p.uses)}
    calls: dict[frozenset[str], list[Measurement]] = {}
    for m in trace.measurements:
        node = nodes.get(m.node)
        if node is None or node.activation is None or m.dead is None or not node.inputs:
            continue
        before = nodes.get(node.inputs[0])
        makers = () if before is None else (before, *(nodes[i] for i in before.inputs if i in nodes))
        key = frozenset(name for maker in makers for name in maker.parameters if name in weights)
        if key:
            calls.setdefault(key, []).append(m)
    return {
        m.node: min(group, key=lambda one: one.dead or 0.0).node
        for group in calls.values() for m in group if len(group) > 1
    }  # fmt: skip


def _check(graph: Graph, plan: Plan, trace: Trace, forecast: Forecast | None = None) -> Outcome:
    nodes = {node.id: node for node in graph.nodes}
    measures = {m.node: m for m in trace.measurements}
    end = _dead_end(graph, plan, trace)
    if end is not None:
        return end
    worst: tuple[float, Measurement, float, float] | None = None
    faults: list[Measurement] = []
    seen = 0
    liveliest = _liveliest(graph, nodes, trace)
    nothing = blank(graph, plan, trace)
    unfit = misfit(graph, trace)
    for m in trace.measurements:
        node = nodes.get(m.node)
        if m.node in nothing or m.node == unfit or (m.node in liveliest and liveliest[m.node] != m.node):
            continue
        if m.kind != OpKind.ACTIVATION or m.dead is None or node is None or node.activation is None:
            continue
        if not _one_sided(graph.activations[node.activation]) or not math.isfinite(m.power) or m.units < 2:
            continue
        expected = _expected(node, nodes, trace)
        law = None if forecast is None else forecast.nodes.get(m.node)
        if expected is None and law is not None and law.certainty != Certainty.UNKNOWN:
            expected = law.dead
        # Of a narrow layer samples are pairwise more alike and less than on average: the laws count that in.
        healthy = None if forecast is None else forecast.healthy.get(m.node)
        if healthy is not None and healthy.dead is not None and healthy.certainty != Certainty.UNKNOWN:
            expected = max(expected or 0.0, healthy.dead)
        if expected is None:
            continue
        seen += 1
        error = math.sqrt(max(expected * (1.0 - expected), 1.0 / m.units) / m.units)
        excess = m.dead - expected - max(_POINTS, _ERRORS * error)
        if excess > 0.0:
            faults.append(m)
        if worst is None or excess > worst[0]:
            worst = (excess, m, m.dead, expected)
    if worst is None:
        return Skipped(reason="no activation that is zero on one side was measured on two samples or more")
    _, m, dead, expected = worst
    figures = f"{percent(dead)} of the units, {percent(expected)} expected from the likeness of the samples"
    if not faults:
        return Passed(reason=f"{seen} activations, at most {figures}")
    where = tuple(dict.fromkeys(f.module or f.op for f in faults))
    place = m.module or m.op
    law = None if forecast is None else forecast.nodes.get(m.node)
    foreseen = (("dead share by law", law.dead),) if law is not None and law.dead is not None else ()
    severity = Severity.FAILURE if dead >= _FAILURE else Severity.WARNING
    before = measures.get(nodes[m.node].inputs[0]) if nodes[m.node].inputs else None
    shift = ""
    if before is not None and before.power > 0:
        offset = before.mean / math.sqrt(before.power)
        shift = f" (mean {before.mean:.3g}, {offset:.2g} of its root mean square)"
    return Finding(
        code=RULE.code,
        name="dead units",
        severity=severity,
        summary=f"At {called(place)} {percent(dead)} of {m.units} units fire on none of {m.samples} samples; "
        f"{percent(expected)} would be expected",
        cause=f"what enters it lies below zero{shift}: biases or inputs that shift it, not depth",
        fix="Set the biases before these activations to zero and centre the inputs",
        where=where,
        evidence=(
            ("dead share", dead),
            ("expected dead share", expected),
            ("samples", float(m.samples)),
            *foreseen,
        ),
    )


RULE = Rule(
    code="FAN104",
    name="dead units",
    definition="share of units at or below zero on every sample, against "
    "integral pdf(t) Phi(-t sqrt(c / (1 - c)))^B dt for samples of mean cosine c, measured before the "
    "activation, or predicted where it was not; activations that read exact zeros are left out",
    threshold="5 points and 6 standard errors above the expectation; a failure from 90 %, or where one that "
    "is all zero takes the gradient of every parameter. A fixed limit "
    "would flag every deep ReLU network: at 50 layers 43 % is what depth alone brings",
    advice="Zero the biases before the activation and centre the inputs",
    symptom_of=("FAN201", "FAN204", "FAN205", "FAN401", "FAN402"),
    references=("L. Lu et al., Dying ReLU and Initialization, 2019",),
    check=_check,
    against=_check,
)
