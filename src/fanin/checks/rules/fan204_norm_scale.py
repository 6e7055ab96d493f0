"""FAN204: norms that do not start as 1."""

from __future__ import annotations

from fanin.checks.causes import init_verb, named
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_RANDOM = 0.01
_SMALL = 0.5


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    measures = {p.name: p for p in trace.parameters}
    seen = 0
    drawn: list[str] = []
    zero: list[str] = []
    bypassed = {i for b in graph.branches for i in range(b.start, b.join)}
    still = {m.node for m in trace.measurements if m.power == 0.0 or m.unit_spread == 0.0}
    on_path = set(graph.path) & still
    for parameter in graph.parameters:
        scales = [use for use in parameter.uses if use.kind == UseKind.NORM_SCALE]
        m = measures.get(parameter.name)
        if not scales or m is None or not m.finite:
            continue
        seen += 1
        factor = m.mean + scales[0].offset
        # Zeros end a residual branch on purpose, and have left zero a little after some steps; a trained norm
        # varies around a mean of order 1. Where nothing goes around the norm, no size is small enough.
        bare = any(u.node in set(graph.path) - bypassed for u in scales)
        if (m.std > _RANDOM or bare) and m.std > abs(factor) * _SMALL:
            drawn.append(parameter.name)
        if factor == 0.0 and m.std == 0.0 and any(u.node in on_path - bypassed for u in scales):
            zero.append(parameter.name)
    if not seen:
        return Skipped(reason="no norm has a scale")
    if zero:
        return Finding(
            code=RULE.code,
            name="norm scale of zero",
            severity=Severity.FAILURE,
            summary=f"{len(zero)} of {seen} norms multiply by zero ({named(zero)}), and no skip connection "
            "goes around them: nothing of the input passes",
            cause="norm scales set to zero, as for the end of a residual branch, where there is no branch",
            fix=f"Set them to one: {init_verb(graph)}",
            where=tuple(zero),
            evidence=(("norms", float(len(zero))),),
        )
    if not drawn:
        return Passed(reason=f"{seen} norms, none drawn at random")
    return Finding(
        code=RULE.code,
        name="random norm scale",
        severity=Severity.WARNING,
        summary=f"{len(drawn)} of {seen} norms have scales that look drawn at random around zero "
        f"({named(drawn)}), so they shrink units and flip their signs",
        cause="an initialiser for weights was applied to norms as well",
        fix=f"Set them to one: {init_verb(graph)}",
        where=tuple(drawn),
        evidence=(("norms", float(len(drawn))),),
    )


RULE = Rule(
    code="FAN204",
    name="norm scale",
    definition="mean (plus what the layer adds) and std of every norm's scale",
    threshold="std above half of the mean, and above 0.01 where a skip connection goes around the norm; "
    "zeros are taken as meant there, and are a failure elsewhere: the output is then one constant",
    advice="Norm scales start as one, or as zero at the end of a residual branch",
    references=("huggingface/transformers issue 143",),
    check=_check,
)
