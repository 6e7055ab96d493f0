"""FAN502: a learning rate that the curvature does not allow."""

from __future__ import annotations

from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_STABLE = 2.0


def _check(_graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    sharpness = None if trace.deep is None else trace.deep.sharpness
    if sharpness is None:
        return Skipped(reason="measured in the deep tier, with a loss")
    if trace.lr is None:
        limit = f"; plain gradient descent is stable below a rate of {_STABLE / max(sharpness, 1e-30):.3g}"
        return Passed(reason=f"sharpness {sharpness:.3g}{limit if sharpness > 0.0 else ''}")
    product = trace.lr * sharpness
    if product <= _STABLE:
        return Passed(reason=f"learning rate times sharpness is {product:.3g}; stable up to 2")
    return Finding(
        code=RULE.code,
        name="learning rate beyond stability",
        severity=Severity.WARNING,
        summary=f"The learning rate {trace.lr:g} times the sharpness {sharpness:.3g} is {product:.3g}: "
        "beyond 2 a step "
        "of plain gradient descent overshoots and the loss rises",
        cause="curvature at the start that is too large for this learning rate",
        fix=f"A learning rate below {_STABLE / sharpness:.3g} at the start, with a warm-up to the one "
        "that is meant; or "
        "smaller weights in the head",
        where=("the loss",),
        evidence=(("sharpness", sharpness), ("learning rate x sharpness", product)),
    )


RULE = Rule(
    code="FAN502",
    name="sharpness",
    definition="largest eigenvalue of the loss's Hessian, by at most 20 power iterations",
    threshold="learning rate times sharpness above 2, where gradient descent on a parabola diverges",
    advice="A smaller learning rate at the start, or a warm-up",
    symptom_of=("FAN101", "FAN102", "FAN106", "FAN301", "FAN401"),
    references=(
        "J. Gilmer et al., A Loss Curvature Perspective on Training Instability in Deep Learning, 2021",
    ),
    check=_check,
)
