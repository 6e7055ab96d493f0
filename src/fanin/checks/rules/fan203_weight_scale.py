"""FAN203: weights whose spread is not the plan's."""

from __future__ import annotations

from fanin.checks.causes import init_verb, named
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.weights import Weighed, weighed
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_FACTOR = 2.0


def _off(w: Weighed) -> bool:
    ratio = w.ratio
    # A law that is a factor 2 from the plan's lies on the line itself: chance must not decide.
    slack = 1.0 + w.tolerance
    return ratio is not None and not 1.0 / (_FACTOR * slack) <= ratio <= _FACTOR * slack


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    weights = [w for w in weighed(graph, plan, trace) if w.ratio is not None and not w.head]
    if not weights:
        return Skipped(reason="the plan draws no weight that was measured")
    off = [w for w in weights if _off(w)]
    if not off:
        return Passed(reason=f"{len(weights)} weights have the plan's std within a factor {_FACTOR}")
    groups: dict[str, list[str]] = {}
    for w in off:
        groups.setdefault(w.law or "no usual law", []).append(w.name)
    texts = [f"{law}: {named(names)}" for law, names in sorted(groups.items(), key=lambda g: -len(g[1]))]
    ratios = [w.ratio or 0.0 for w in off]
    span = f"{min(ratios):.3g}" if len(off) == 1 else f"{min(ratios):.3g} to {max(ratios):.3g}"
    return Finding(
        code=RULE.code,
        name="another scale than planned",
        severity=Severity.INFO,
        summary=f"{len(off)} of {len(weights)} weights: {span} times the plan's std",
        cause="; ".join(texts[:3]),
        fix=f"Nothing, if that is meant; else {init_verb(graph)}",
        where=tuple(w.name for w in off),
        evidence=(
            ("weights", float(len(off))),
            ("smallest ratio", min(ratios)),
            ("largest ratio", max(ratios)),
        ),
    )


RULE = Rule(
    code="FAN203",
    name="weight scale",
    definition="measured std over planned std of every weight",
    threshold="a factor 2, beyond 6 standard errors of a std; heads apart. Never more than a remark: a scale "
    "that does harm shows in the signal, the gradient or the loss, and is named there as the cause",
    advice="Compare with the plan (`plan` of fanin.torch, fanin.jax or fanin.keras)",
    symptom_of=("FAN101", "FAN102", "FAN104", "FAN105", "FAN201", "FAN301"),
    check=_check,
)
