"""FAN107: activations that are on nearly always, or off nearly always."""

from __future__ import annotations

import math

from fanin.checks.blank import blank
from fanin.checks.figures import percent
from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.laws.quadrature import NODES
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind
from fanin.records.plan import Plan
from fanin.records.trace import Measurement, Trace

__all__ = ["RULE"]

_REMARK = 0.3
_WARNING = 0.45
_ERRORS = 5.0
_SUMS = {OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.NORM}


def _switches(values: tuple[float, ...]) -> bool:
    """Whether the activation is 0 on one side, like ReLU, and not on the other."""
    negative = {v for x, v in zip(NODES, values, strict=True) if x < 0}
    return negative == {0.0} and any(values)


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    nodes = {node.id: node for node in graph.nodes}
    nothing = blank(graph, plan, trace)
    seen: list[tuple[float, Measurement]] = []
    for m in trace.measurements:
        node = nodes.get(m.node)
        if m.kind != OpKind.ACTIVATION or node is None or node.activation is None or not m.finite:
            continue
        if m.node in nothing:
            continue
        before = nodes.get(node.inputs[0]) if node.inputs else None
        # Behind a residual add inputs are positive by design; a sum with random signs is not.
        if (
            before is None
            or before.kind not in _SUMS
            or not _switches(graph.activations[node.activation].values)
        ):
            continue
        # Samples that have become alike switch a unit as one: then units, not values, are counted.
        luck = _ERRORS * 0.5 / math.sqrt(max(m.units, 1))
        seen.append((abs(m.zeros - 0.5) / max(_REMARK, luck), m))
    if not seen:
        return Skipped(reason="no activation that is zero on one side follows a sum of weights")
    excess, worst = max(seen, key=lambda pair: pair[0])
    share = percent(1.0 - worst.zeros)
    if excess < 1.0:
        return Passed(
            reason=f"{len(seen)} activations; the farthest from half is on for {share} of its values"
        )
    on = worst.zeros < 0.5
    return Finding(
        code=RULE.code,
        name="activations always on" if on else "activations nearly off",
        severity=Severity.WARNING if abs(worst.zeros - 0.5) >= _WARNING else Severity.INFO,
        summary=f"{called(worst.module, worst.op)} is on for {share} of its values, where random weights "
        "give "
        "half: " + ("it passes everything on and adds no nonlinearity" if on else "little passes"),
        cause="biases or inputs of one sign before it" + (", or weights that are all positive" if on else ""),
        fix="Set the biases before it to zero, draw weights with mean 0, and centre the inputs",
        where=(worst.module or worst.op,),
        evidence=(("share on", 1.0 - worst.zeros), ("units", float(worst.units))),
    )


RULE = Rule(
    code="FAN107",
    name="active share",
    definition="share of values that a one-sided activation leaves at 0, right behind a weighted layer or "
    "norm that reads more than zeros",
    threshold="0.3 from one half is remarked, 0.45 a warning, beyond 5 standard errors 1 / (2 sqrt(units)): "
    "weights with random signs and no bias are above zero half of the time, whatever their scale",
    advice="Zero the biases, draw weights with mean 0, centre the inputs",
    symptom_of=("FAN110", "FAN104", "FAN201", "FAN204", "FAN205", "FAN401", "FAN106", "FAN101"),
    check=_check,
)
