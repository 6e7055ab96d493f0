"""FAN306: a first step that is large for the weights, or none at all."""

from __future__ import annotations

import math

from fanin.checks.figures import percent
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.weights import Weighed, weighed
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_LARGE = 0.1
_SMALL = 1e-6
_TARGET = 1e-3


def _ratio(w: Weighed, lr: float) -> float:
    m = w.measure
    return lr * (m.gradient_norm or 0.0) / math.sqrt(m.numel * (m.std**2 + m.mean**2))


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    lr = trace.lr
    if lr is None:
        return Skipped(reason="no learning rate was given")
    if trace.loss is None or trace.tier == "fast":
        return Skipped(reason="the loss's gradient was not measured")
    seen = [
        w for w in weighed(graph, plan, trace)
        if w.kind == UseKind.WEIGHT and w.measure.std > 0.0 and w.measure.gradient_norm is not None
    ]  # fmt: skip
    if not seen:
        return Skipped(reason="no weight gets a gradient")
    ratios = sorted((_ratio(w, lr), w.name) for w in seen)
    middle = ratios[len(ratios) // 2][0]
    large = [name for ratio, name in ratios if ratio > _LARGE]
    told = (
        f"a step with learning rate {lr:g} changes the middle one of {len(seen)} weights by {percent(middle)}"
    )
    if not large and middle > _SMALL:
        return Passed(reason=told)
    top, bottom = ratios[-1], ratios[0]
    return Finding(
        code=RULE.code,
        name="first step too large" if large else "first step too small",
        severity=Severity.WARNING if large else Severity.INFO,
        summary=f"{told[0].upper()}{told[1:]}; the most at {top[1]} ({percent(top[0])}), the least at "
        f"{bottom[1]} "
        f"({bottom[0]:.2g})",
        cause="a learning rate that does not suit these gradients",
        fix="For plain gradient descent start from a learning rate of "
        f"{lr * _TARGET / max(middle, 1e-30):.2g}, which "
        f"changes the middle weight by {percent(_TARGET)}, or warm up",
        where=tuple(reversed(large)) if large else (bottom[1],),
        evidence=(("largest", top[0]), ("middle", middle), ("smallest", bottom[0])),
    )


RULE = Rule(
    code="FAN306",
    name="update ratio",
    definition="lr |gradient| / |weight| of every weight for one step of plain gradient descent",
    threshold="a warning above 0.1 anywhere, where a step replaces a tenth of a weight; a remark when the "
    "middle one is "
    "below 1e-6, near float32's last digit",
    advice="About 1e-3",
    symptom_of=("FAN101", "FAN102", "FAN106", "FAN201", "FAN301", "FAN303", "FAN401", "FAN502"),
    references=("Stanford CS231n, Neural Networks 3, ratio of weights to updates",),
    check=_check,
)
