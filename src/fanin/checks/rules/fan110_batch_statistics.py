"""FAN110: batch norms that have no statistics to go by."""

from __future__ import annotations

import math

from fanin.checks.causes import named
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, Node, OpKind
from fanin.records.plan import Plan
from fanin.records.trace import Measurement, Trace

__all__ = ["RULE"]

_FEW = 16
_TWO = 2
"""Of two values ``(x - mean) / std`` is 1 and -1, whatever they are."""
_SAME = 1e-3
_OFF = math.log(2.0)


def _batch_norms(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.kind == OpKind.NORM and "batch_norm" in node.op]


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    norms = _batch_norms(graph)
    if not norms:
        return Skipped(reason="no norm over the batch")
    measures = {m.node: m for m in trace.measurements}
    if trace.mode == "eval":
        return _stored(norms, measures)
    few = [n for n in norms if n.id in measures and measures[n.id].samples < _FEW]
    if not few:
        return Passed(reason=f"{len(norms)} norms over the batch, each over {_FEW} values or more")
    least = min(measures[n.id].samples for n in few)
    return Finding(
        code=RULE.code,
        name="statistics of few values",
        severity=Severity.WARNING if least <= _TWO else Severity.INFO,
        summary=f"{len(few)} norms over the batch see {least} values a channel: "
        + (
            "they make plus and minus one of any two, and pass no gradient back"
            if least <= _TWO
            else "their statistics, and all that is measured behind them, are noise in good part"
        ),
        cause=f"a batch of {trace.batch}",
        fix=f"Check with a batch that leaves {_FEW} values a channel or more, as training should have",
        where=tuple(n.module for n in few),
        evidence=(("values a channel", float(least)),),
    )


def _stored(norms: list[Node], measures: dict[int, Measurement]) -> Outcome:
    """In eval mode a norm with statistics (0, 1) passes its input on as it is."""
    idle: list[str] = []
    worst = 0.0
    for node in norms:
        before = measures.get(node.inputs[0]) if node.inputs else None
        after = measures.get(node.id)
        if before is None or after is None or not before.power > 0.0:
            continue
        same = abs(after.power / before.power - 1.0) < _SAME
        log = abs(math.log(before.power))
        if same and log > _OFF:
            idle.append(node.module)
            worst = max(worst, log)
    if not idle:
        return Passed(reason=f"{len(norms)} norms over the batch in eval mode normalise what they get")
    return Finding(
        code=RULE.code,
        name="norms that do not normalise",
        severity=Severity.INFO,
        summary=f"{len(idle)} norms over the batch are in eval mode with fresh statistics "
        f"({named(idle)}): they "
        f"pass on their input as it is, up to {worst / math.log(10.0):.1f} decades from unit power",
        cause="running statistics start as mean 0 and variance 1, and are used in eval mode before any "
        "were taken",
        fix="Check in train mode, in which training starts: model.train()",
        where=tuple(idle),
        evidence=(("norms", float(len(idle))), ("decades from unit power", worst / math.log(10.0))),
    )


RULE = Rule(
    code="FAN110",
    name="batch statistics",
    definition="values that a norm over the batch has for each channel in train mode; power behind it "
    "over power "
    "before it in eval mode",
    threshold="fewer than 16 values; a ratio of 1 where the power before it is more than a factor 2 from 1. "
    "Both are remarks: they say how much the other figures mean. A warning for two values, which every norm "
    "makes 1 and -1, so that no gradient passes",
    advice="Check in train mode with a batch of the size that training has",
    references=("S. Ioffe, Batch Renormalization, 2017, section 1 (small batches)",),
    check=_check,
)
