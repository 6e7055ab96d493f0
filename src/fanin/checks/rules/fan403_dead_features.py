"""FAN403: features that say nothing, or say it twice."""

from __future__ import annotations

from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_SAMPLES = 16
_SHARE = 0.5


def _check(_graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    seen = [i for i in trace.inputs if i.features > 1 and i.finite and i.samples >= _SAMPLES]
    if not seen:
        return Skipped(reason=f"no input with several features and {_SAMPLES} observations of each")
    worst = max(seen, key=lambda i: (i.constant + i.duplicate) / i.features)
    told = f"{worst.constant} of {worst.features} features are constant, {worst.duplicate} repeat another"
    if worst.constant == worst.features:
        return Skipped(reason="every feature is constant: the samples are equal")
    if worst.constant + worst.duplicate <= _SHARE * worst.features:
        return Passed(reason=told)
    return Finding(
        code=RULE.code,
        name="idle features",
        severity=Severity.INFO,
        summary=f"{worst.name[0].upper()}{worst.name[1:]}: {told} over {worst.samples} observations"
        "; the rest carry a power that the law of the weights takes for that of all",
        cause="padding, one-hot columns of rare values, or columns that were joined twice",
        fix="Leave them out, or check with a batch that has every value",
        where=(worst.name,),
        evidence=(("constant", float(worst.constant)), ("repeated", float(worst.duplicate))),
    )


RULE = Rule(
    code="FAN403",
    name="idle features",
    definition="features that have one value in the batch, and standardised features that equal an "
    "earlier one up to their sign",
    threshold="more than half of the features, with 16 observations or more: less is usual (the border of "
    "images, pixels that one image of a batch has) and costs less than a factor of sqrt 2 in the std. "
    "A remark: a batch is a part of the data",
    advice="Leave out what says nothing",
    symptom_of=("FAN402",),
    check=_check,
)
