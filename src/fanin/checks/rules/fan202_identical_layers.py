"""FAN202: layers that hold the same numbers but are not tied."""

from __future__ import annotations

from fanin.checks.causes import init_verb, named
from fanin.checks.rule import Outcome, Passed, Rule
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_ENOUGH = 16
"""Numbers below which two random float32 tensors may agree by design (a mask, a small table)."""


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    # What the plan keeps or sets to a constant (Mamba's decay rates) may be the same everywhere by design.
    random = {e.name for e in plan.entries if e.draw is not None and e.draw.std > 0}
    measures = {p.name: p for p in trace.parameters}
    groups: dict[tuple[tuple[int, ...], str], list[str]] = {}
    for parameter in graph.parameters:
        m = measures.get(parameter.name)
        if m is None or not m.digest or not parameter.trainable or m.numel < _ENOUGH or m.std == 0.0:
            continue
        if parameter.name not in random:
            continue
        groups.setdefault((parameter.shape, m.digest), []).append(parameter.name)
    copies = [names for names in groups.values() if len(names) > 1]
    if not copies:
        return Passed(reason=f"{len(groups)} trainable random tensors, no two alike")
    names = [name for group in copies for name in group]
    return Finding(
        code=RULE.code,
        name="identical layers",
        severity=Severity.WARNING,
        summary=f"{len(names)} tensors hold the same numbers in {len(copies)} groups ({named(names)}), "
        "and are not tied",
        cause=_SHARED
        if graph.framework.startswith("keras")
        else "one layer was drawn and copied (copy.deepcopy, as nn.TransformerEncoder does), so all copies "
        "start as one layer",
        fix=f"Draw every copy by itself: {init_verb(graph)}",
        where=tuple(names),
        evidence=(("tensors", float(len(names))), ("groups", float(len(copies)))),
    )


_SHARED = (
    "one initializer was given to several layers, and draws the same numbers each time it is called (Keras "
    "warns of that), so all start as one layer"
)


RULE = Rule(
    code="FAN202",
    name="identical layers",
    definition="trainable tensors of one shape with equal bytes in different memory, where the plan draws at "
    "random",
    threshold="any of at least 16 numbers: two random draws never agree",
    advice="Build every layer anew, or initialise after copying; tie weights that are meant to be one",
    references=("pytorch/pytorch issues 72253 and 86274",),
    check=_check,
)
