"""FAN206: single weights far outside the law of the others."""

from __future__ import annotations

import math

from fanin.checks.causes import init_verb, named
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.weights import Weighed, weighed
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_MARGIN = 3.0
_NORMAL = 3.0
_SMALL = 1000
_SHARE = 0.05
_FAILURE = 30.0


def _limit(w: Weighed) -> float:
    """Largest value in standard deviations that its law may have brought about."""
    heavy = max(1.0, (w.measure.kurtosis or _NORMAL) / _NORMAL)
    return (math.sqrt(2.0 * math.log(w.measure.numel)) + _MARGIN) * math.sqrt(heavy)


def _size(w: Weighed) -> float:
    # About its mean: weights that all lie around one value are another fault.
    return max(0.0, w.measure.largest - abs(w.measure.mean)) / w.measure.std


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    loaded = {p.name for p in graph.parameters if p.loaded}
    weights = [
        w for w in weighed(graph, plan, trace)
        if w.measure.numel >= _SMALL and w.measure.std > 0.0 and w.name not in loaded
    ]  # fmt: skip
    if not weights:
        return Skipped(reason=f"no random weight of {_SMALL} numbers or more")
    # One number that holds a part of the whole power hides in the std that it makes.
    out = [w for w in weights if _size(w) > _limit(w) or _size(w) ** 2 > _SHARE * w.measure.numel]
    if not out:
        worst = max(weights, key=lambda w: _size(w) / _limit(w))
        return Passed(
            reason=f"{len(weights)} weights, none farther out than {_size(worst):.3g} std ({worst.name})"
        )
    worst = max(out, key=_size)
    return Finding(
        code=RULE.code,
        name="outliers among the weights",
        severity=Severity.FAILURE if _size(worst) > _FAILURE else Severity.WARNING,
        summary=f"{worst.name} holds a value of {worst.measure.largest:.4g}, {_size(worst):.3g} standard "
        "deviations "
        f"out, where {worst.measure.numel} draws reach {_limit(worst) - _MARGIN:.2g}"
        + (f"; {len(out)} weights have such values ({named([w.name for w in out])})" if len(out) > 1 else ""),
        cause="a sampler that fails at the end of its range (an inverse error function in float32, torch "
        "issue "
        "155588), or a number that something else wrote",
        fix=f"Draw it again: {init_verb(graph)}, whose normal draws end where their law ends",
        where=tuple(w.name for w in out),
        evidence=(("largest / std", _size(worst)), ("limit", _limit(worst))),
    )


RULE = Rule(
    code="FAN206",
    name="outliers",
    definition="largest weight of a tensor over its std",
    threshold="sqrt(2 ln N) + 3 standard deviations, which N normal draws pass once in 1e5 tensors, times "
    "the root of "
    "kurtosis / 3 for heavier laws; or one number with 5 % of the power. A failure from 30",
    advice="Draw the tensor again with a sampler whose tails are right",
    symptom_of=(),
    references=("pytorch/pytorch issues 155588 and 145498",),
    check=_check,
)
