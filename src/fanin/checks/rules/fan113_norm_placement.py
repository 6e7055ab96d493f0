"""FAN113: many blocks with the norm behind the add."""

from __future__ import annotations

from fanin.checks.causes import named
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_BLOCKS = 24


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    if not graph.branches:
        return Skipped(reason="no residual branch")
    norms = {n.id for n in graph.nodes if n.kind == OpKind.NORM}
    readers: dict[int, set[int]] = {}
    for node in graph.nodes:
        for i in node.inputs:
            readers.setdefault(i, set()).add(node.id)
    behind = [b for b in graph.branches if readers.get(b.join) and readers[b.join] <= norms]
    if len(behind) < _BLOCKS or 2 * len(behind) < len(graph.branches):
        return Passed(
            reason=f"{len(behind)} of {len(graph.branches)} residual adds have the norm behind them"
        )
    measures = {m.node: m for m in trace.measurements}
    first, last = (measures.get(behind[i].join) for i in (0, -1))
    known = first is not None and last is not None and first.gradient_power and last.gradient_power
    ratio = first.gradient_power / last.gradient_power if known and first and last else None  # type: ignore[operator]
    finals = [name for b in behind for name in b.final]
    scale = (4.0 * len(behind)) ** -0.25
    return Finding(
        code=RULE.code,
        name="norms behind the add",
        severity=Severity.INFO,
        summary=f"{len(behind)} residual adds have the norm behind them (post-norm)"
        + (f"; the gradient's power at the first is {ratio:.3g} times that at the last" if ratio else "")
        + ": such a stack trains only with a warm-up, or not at all",
        cause="each norm divides the stream, and with it what the skip connection carries back, by the "
        "sum's size",
        fix="Put the norms at the start of the branches (pre-norm), take a warm-up, or multiply the std "
        "of the "
        f"last weight of every branch ({named(finals)}) by {scale:.3g}, with the stream weighted up in "
        "turn (DeepNorm)",
        where=tuple(dict.fromkeys(finals)),
        evidence=(("adds", float(len(behind))), *((("gradient ratio", ratio),) if ratio else ())),
    )


RULE = Rule(
    code="FAN113",
    name="norm placement",
    definition="residual adds whose sum is read by a norm only",
    threshold="remarked from 24 adds (12 transformer layers); fewer train with any warm-up. Never more: "
    "BERT is "
    "built so, and what does harm shows in the gradient (FAN102)",
    advice="Norms at the start of branches, a warm-up, or DeepNorm's scales",
    symptom_of=("FAN102",),
    references=(
        "R. Xiong et al., On Layer Normalization in the Transformer Architecture, 2020, theorem 1",
        "H. Wang et al., DeepNet: Scaling Transformers to 1,000 Layers, 2022, table 1",
        "pytorch/pytorch issue 55270",
    ),
    check=_check,
)
