"""FAN305: a gradient that is the batch's luck."""

from __future__ import annotations

from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_NOISE = 0.95


def _check(_graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    noise = None if trace.deep is None else trace.deep.noise
    if noise is None:
        return Skipped(reason="measured in the deep tier, with a loss and four samples or more")
    if noise < _NOISE:
        return Passed(reason=f"two half batches' gradients differ by {noise:.2f} of their sum")
    return Finding(
        code=RULE.code,
        name="noisy gradient",
        severity=Severity.INFO,
        summary="The gradients of two halves of the batch have little in common: their difference is "
        f"{noise:.2f} of "
        "their sum, where unrelated ones have 1",
        cause=f"a batch of {trace.batch}, targets that do not follow from the inputs, or inputs that look "
        "alike to the "
        "network",
        fix="A larger batch; and check that the targets belong to these inputs",
        where=("the batch",),
        evidence=(("noise", noise), ("samples", float(trace.batch))),
    )


RULE = Rule(
    code="FAN305",
    name="gradient noise",
    definition="|g1 - g2| / |g1 + g2| of the loss's gradients on two halves of the batch",
    threshold="remarked from 0.95: 0 for equal gradients, 1 for unrelated ones. Made-up targets give 1",
    advice="A larger batch",
    symptom_of=("FAN101", "FAN102", "FAN103", "FAN106", "FAN402"),
    references=("S. McCandlish et al., An Empirical Model of Large-Batch Training, 2018, section 2.2",),
    check=_check,
)
