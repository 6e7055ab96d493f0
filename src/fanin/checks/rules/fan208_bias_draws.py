"""FAN208: biases drawn at random, or far from 0, where the plan has a constant."""

from __future__ import annotations

from fanin.checks.causes import init_verb, named
from fanin.checks.figures import percent
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_SHARE = 0.5


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    entries = {e.name: e for e in plan.entries}
    measures = {p.name: p for p in trace.parameters}
    powers = {m.node: m.power for m in trace.measurements}
    seen, drawn = 0, []
    worst = (0.0, "")
    for parameter in graph.parameters:
        uses = [u for u in parameter.uses if u.kind == UseKind.BIAS and not u.head]
        m, entry = measures.get(parameter.name), entries.get(parameter.name)
        if not uses or m is None or not m.finite or entry is None or parameter.loaded:
            continue
        seen += 1
        if entry.draw is None or entry.draw.std > 0.0 or m.std == 0.0:
            continue
        power = powers.get(uses[0].node, 0.0)
        share = min(1.0, (m.std**2 + m.mean**2) / power) if power > 0.0 else 0.0
        if share > _SHARE:
            drawn.append(parameter.name)
            worst = max(worst, (share, parameter.name))
    if not seen:
        return Skipped(reason="no bias that was measured")
    if not drawn:
        return Passed(reason=f"{seen} biases, none of them most of what its layer puts out")
    where = "In the one layer with a bias" if seen == 1 else f"In {len(drawn)} of {seen} layers"
    return Finding(
        code=RULE.code,
        name="biases outweigh the signal",
        severity=Severity.INFO,
        summary=f"{where} most of the output is the bias ({named(drawn)}), up to {percent(worst[0])}: what "
        "is the same for every input",
        cause="biases that were drawn at random, beside weights that pass on less and less",
        fix=f"Start biases at zero: {init_verb(graph)}",
        where=tuple(drawn),
        evidence=(("largest share", worst[0]), ("layers", float(len(drawn)))),
    )


RULE = Rule(
    code="FAN208",
    name="bias draws",
    definition="mean square of a random bias over the power of its layer's output",
    threshold="one half. A remark: what it does harm to is found as likeness of the samples or lost "
    "gradients",
    advice="Zero biases keep no harm away and do none",
    symptom_of=("FAN102", "FAN101", "FAN103", "FAN104"),
    references=("S. S. Schoenholz et al., Deep Information Propagation, 2017, figure 1 (the ordered phase)",),
    check=_check,
)
