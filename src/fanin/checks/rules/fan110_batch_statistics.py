"""FAN110: norms that have no statistics to go by."""

from __future__ import annotations

import math

from fanin.checks.causes import named
from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, Node, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Measurement, Trace

__all__ = ["RULE"]

_FEW = 16
_TWO = 2
"""Of two values ``(x - mean) / std`` is 1 and -1, whatever they are."""
_SAME = 1e-3
_OFF = math.log(2.0)
_SEEN, _ERASED = 1e-3, 1e-6
"""Variance over samples that a norm sees well above its epsilon of 1e-5, and what is left of it: rounding."""
_STRANGE = math.log(100.0)
"""Ten times the std that a norm is there to make: no drift of the data between two batches does that."""


def _batch_norms(graph: Graph) -> list[Node]:
    norms = [node for node in graph.nodes if node.kind == OpKind.NORM]
    return [node for node in norms if "batch_norm" in node.op or node.setting("over the batch")]


def _factor(graph: Graph, node: Node, trace: Trace) -> float:
    """Mean square of what a norm multiplies by; 1 where it has no scale."""
    scales = {
        p.name: use.offset
        for p in graph.parameters
        for use in p.uses
        if use.node == node.id and use.kind == UseKind.NORM_SCALE
    }
    found = [p.std**2 + (p.mean + scales[p.name]) ** 2 for p in trace.parameters if p.name in scales]
    return found[0] if found else 1.0


def _erased(graph: Graph, trace: Trace, measures: dict[int, Measurement]) -> Finding | None:
    """Norms that make a constant of what differs from sample to sample."""
    found: list[Node] = []
    for node in graph.nodes:
        before = measures.get(node.inputs[0]) if node.kind == OpKind.NORM and node.inputs else None
        after = measures.get(node.id)
        if before is None or after is None or not (before.finite and after.finite):
            continue
        # (What is smaller than a norm's epsilon before it has been lost before.)
        varied, left = (m.power * (m.unit_spread or 0.0) ** 2 for m in (before, after))
        if varied > _SEEN and left < _ERASED * _factor(graph, node, trace):
            found.append(node)
    if not found:
        return None
    bypassed = {i for b in graph.branches for i in range(b.start, b.join)}
    places = [called(node.module, node.op) for node in found]
    return Finding(
        code=RULE.code,
        name="norm over one value",
        severity=Severity.WARNING if all(node.id in bypassed for node in found) else Severity.FAILURE,
        summary=f"{named(places)}: what goes in differs from sample to sample, what comes out is the same "
        "for all: nothing of the input passes",
        cause="a norm over one value, or over values that are all equal: x - mean is 0, whatever x is (a "
        "LayerNorm over a dimension of size 1, a group for each channel behind a global pooling)",
        fix="Normalise over a dimension that holds several values (the features, a group of channels), or "
        "leave the norm out; no initialisation cures it",
        where=tuple(node.module or node.op for node in found),
        evidence=(("norms", float(len(found))),),
    )


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    measures = {m.node: m for m in trace.measurements}
    erased = _erased(graph, trace, measures)
    if erased is not None:
        return erased
    norms = _batch_norms(graph)
    if not norms:
        return Skipped(reason="no norm over the batch")
    if trace.mode == "eval":
        return _foreign(graph, norms, trace, measures) or _stored(norms, measures)
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


def _foreign(
    graph: Graph, norms: list[Node], trace: Trace, measures: dict[int, Measurement]
) -> Finding | None:
    """Statistics of something else than what comes in: the power behind them is not the scale's."""
    off: list[tuple[str, float]] = []
    for node in norms:
        before, after = (measures.get(i) for i in (node.inputs[0] if node.inputs else -1, node.id))
        wanted = _factor(graph, node, trace)
        if before is None or after is None or not (before.power > 0.0 and after.power > 0.0 and wanted > 0.0):
            continue
        # Fresh statistics (0, 1) change nothing, and are told of by themselves.
        gained, log = after.power / before.power / wanted, math.log(after.power / wanted)
        if abs(gained - 1.0) > _SAME and math.isfinite(log) and abs(log) > _STRANGE:
            off.append((node.module, log))
    if not off:
        return None
    first, log = off[0]
    return Finding(
        code=RULE.code,
        name="foreign running statistics",
        severity=Severity.WARNING,
        summary=f"{len(off)} of {len(norms)} norms over the batch, in eval mode, put out a power that is not "
        f"their scale's: {first} first, {math.exp(min(abs(log), 700.0)):.3g} times too "
        + ("large" if log > 0.0 else "small"),
        cause="running statistics that were taken of other data, or of other weights, than go in now: a "
        "momentum of 1, a checkpoint that holds statistics and not the weights, weights drawn anew",
        fix="Check, and start training, in train mode: model.train(); or take the statistics anew "
        "(reset_running_stats(), then some batches)",
        where=tuple(name for name, _ in off),
        evidence=(("norms", float(len(off))), ("decades, the first", log / math.log(10.0))),
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
    "before it in eval mode; what is left of the samples' differences behind any norm",
    threshold="fewer than 16 values; a ratio of 1 where the power before it is more than a factor 2 from 1. "
    "Both are remarks: they say how much the other figures mean. A warning for two values, which every norm "
    "makes 1 and -1, so that no gradient passes, and in eval mode where the power behind a norm is a "
    "factor 100 from its scale's. A failure where a norm of any kind puts out the same for all samples",
    advice="Check in train mode with a batch of the size that training has",
    symptom_of=("FAN201",),
    references=("S. Ioffe, Batch Renormalization, 2017, section 1 (small batches)",),
    check=_check,
)
