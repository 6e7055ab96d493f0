"""FAN211: a few weights that an initialisation forgot."""

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

_OFF = math.log(1.2)
_NUMBERS = 64


def _drawn(w: Weighed) -> bool:
    return w.ratio is not None and w.ratio > 0.0 and w.measure.numel >= _NUMBERS


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    weights = [w for w in weighed(graph, plan, trace) if _drawn(w) and not w.head]
    default = [w for w in weights if w.default and abs(math.log(w.ratio or 1.0)) > _OFF]
    others = [w for w in weights if not w.default]
    if len(weights) < 2:
        return Skipped(reason="fewer than two random weights before the head")
    if not default or not others:
        which = "all" if default else "none"
        return Passed(reason=f"{which} of {len(weights)} weights have the framework's default law")
    return Finding(
        code=RULE.code,
        name="left at the framework's default",
        severity=Severity.INFO,
        summary=f"{len(default)} of {len(weights)} weights still have {default[0].law} "
        f"({named([w.name for w in default])}), "
        f"while {len(others)} were initialised with another",
        cause="an initialisation that reached some layers and not these: a list of classes without "
        "theirs, or one "
        "layer initialised twice and another never",
        fix=f"Initialise them too: {init_verb(graph)}",
        where=tuple(w.name for w in default),
        evidence=(("left", float(len(default))), ("initialised", float(len(others)))),
    )


RULE = Rule(
    code="FAN211",
    name="left at default",
    definition="weights with the framework's default law beside weights with another",
    threshold="any whose std is more than a factor 1.2 from the plan's, the head apart. A remark: it says "
    "where to look",
    advice="Let the initialisation reach every layer",
    symptom_of=("FAN101", "FAN102"),
    references=("rasbt/deeplearning-models pull request 82", "fla-org/flash-linear-attention issue 367"),
    check=_check,
)
