"""FAN501: a network that stretches few directions and forgets the rest."""

from __future__ import annotations

from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_RATIO = 3.5


def _check(_graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    deep = trace.deep
    if deep is None or deep.stretch is None or not deep.mean_stretch:
        return Skipped(reason="measured in the deep tier")
    ratio = deep.stretch / deep.mean_stretch
    told = f"the largest singular value is {deep.stretch:.3g}, {ratio:.3g} times their root mean square"
    if ratio < _RATIO:
        return Passed(reason=told)
    return Finding(
        code=RULE.code,
        name="far from isometry",
        severity=Severity.INFO,
        summary=f"Of the Jacobian of one sample {told}: nearly all that passes is one direction",
        cause="a product of many random matrices: its singular values spread with depth",
        fix="Orthogonal weights (fanin.orthogonal), skip connections with scaled branches, or fewer layers",
        where=("the main path",),
        evidence=(("largest singular value", deep.stretch), ("root mean square", deep.mean_stretch)),
    )


RULE = Rule(
    code="FAN501",
    name="isometry",
    definition="largest singular value over their root mean square, of the Jacobian from the first "
    "layer's output to at "
    "most 16 outputs",
    threshold="3.5, of at most 4 for 16 outputs, where one direction holds three quarters of the power",
    advice="Orthogonal weights, skip connections, fewer layers",
    symptom_of=("FAN101", "FAN102", "FAN103", "FAN106", "FAN201"),
    references=(
        "J. Pennington et al., Resurrecting the sigmoid in deep learning through dynamical isometry, 2017",
    ),
    check=_check,
)
