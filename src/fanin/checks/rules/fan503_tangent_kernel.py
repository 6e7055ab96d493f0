"""FAN503: samples that gradient descent cannot tell apart."""

from __future__ import annotations

import math

from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_CONDITION = 1e5


def _check(_graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    deep = trace.deep
    if deep is None or deep.kernel_condition is None:
        return Skipped(reason="measured in the deep tier, with two samples or more")
    told = f"the tangent kernel of {deep.kernel_samples} samples has condition {deep.kernel_condition:.3g}"
    if deep.kernel_condition < _CONDITION:
        return Passed(reason=told)
    singular = not math.isfinite(deep.kernel_condition)
    return Finding(
        code=RULE.code,
        name="ill-conditioned tangent kernel",
        severity=Severity.INFO,
        summary=told[0].upper() + told[1:] + (": it is singular" if singular else "")
        + "; what tells samples apart is learned that much slower than what they have in common",
        cause="samples that look alike to the network, by depth or by a common mean, or that are equal",
        fix="Centre the inputs; skip connections, a norm over the batch, or fewer layers",
        where=("the main path",),
        evidence=(("condition", deep.kernel_condition), ("samples", float(deep.kernel_samples))),
    )  # fmt: skip


RULE = Rule(
    code="FAN503",
    name="tangent kernel",
    definition="condition number of K = J J^T of at most 16 samples, J the derivatives of a random "
    "direction of the "
    "output by the parameters",
    threshold="remarked from 1e5: with learning rate 1 / largest eigenvalue the slowest direction takes "
    "1e5 steps",
    advice="Centre the inputs, skip connections, fewer layers",
    symptom_of=("FAN101", "FAN102", "FAN103", "FAN106", "FAN201", "FAN402"),
    references=(
        "L. Xiao et al., Disentangling Trainability and Generalization in Deep Neural Networks, 2020",
    ),
    check=_check,
)
