"""FAN112: values at the ends of their number format."""

from __future__ import annotations

import numpy as np

from fanin.checks.causes import init_verb
from fanin.checks.figures import percent
from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind
from fanin.records.plan import Plan
from fanin.records.trace import Measurement, Trace

__all__ = ["RULE"]

_TINY = 0.1
_HUGE = 0.0
_FAILURE = 0.5
_SHARES = {OpKind.SOFTMAX}
_QUERY_KEY_VALUE = 3
"""The first inputs of a fused attention; what comes after is added to its scores."""
_SUMMING = {OpKind.ADD, OpKind.POINTWISE, OpKind.CONCAT}
_SELECTING = (
    *("where", "fill", "clamp", "index", "scatter", "gather", "select", "copy", "pad"),
    *("max", "min", "topk", "sort", "log_softmax"),
)
"""Words in the names of operators that put given numbers, or those of an input, in place of others."""
_MARGIN = 100.0
_LARGEST = {
    **{name: float(np.finfo(name).max) for name in ("float16", "float32", "float64")},
    "bfloat16": float(np.finfo("float32").max),  # the same exponents
}
_MASKING = {OpKind.ADD, OpKind.POINTWISE, OpKind.CONCAT, OpKind.DROPOUT, OpKind.OTHER}


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    masks = _masked(graph) | _placed(graph, trace)
    seen = [m for m in trace.measurements if m.finite and m.kind not in _SHARES and m.node not in masks]
    if not seen:
        return Skipped(reason="nothing finite was measured")
    formats = {node.id: node.dtype.removeprefix("torch.") for node in graph.nodes}
    known = ", ".join(sorted({f for m in seen if (f := formats.get(m.node))})) or "the number format"
    low, high = max(seen, key=lambda m: m.tiny), max(seen, key=lambda m: m.huge)
    if high.huge > _HUGE:
        return _finding(graph, high, formats.get(high.node, known), high.huge, small=False)
    if low.tiny > _TINY:
        return _finding(graph, low, formats.get(low.node, known), low.tiny, small=True)
    return Passed(
        reason=f"{len(seen)} outputs in {known}, at most {percent(low.tiny)} below its normal numbers"
    )


def _masked(graph: Graph) -> frozenset[int]:
    """Nodes that only reach a softmax: there the lowest number of a format hides a place on purpose."""
    nodes = {node.id: node for node in graph.nodes}
    ahead: list[int] = []
    for node in graph.nodes:
        if node.kind == OpKind.SOFTMAX:
            ahead.extend(node.inputs)
        elif node.kind == OpKind.ATTENTION:
            ahead.extend(node.inputs[_QUERY_KEY_VALUE:])
    found: set[int] = set()
    while ahead:
        id = ahead.pop()
        if id not in found and id in nodes and nodes[id].kind in _MASKING:
            found.add(id)
            ahead.extend(nodes[id].inputs)
    return frozenset(found)


def _placed(graph: Graph, trace: Trace) -> frozenset[int]:
    """Nodes whose large numbers are constants of the forward pass, and those that hand them on.

    What selects, adds or pads makes no number that is a hundred times as large as what it reads: a mask,
    or a state that stands for nothing yet, was put there.
    """
    measures = {m.node: m for m in trace.measurements}
    nodes = {node.id: node for node in graph.nodes}
    found: set[int] = set()
    for node in graph.nodes:
        m = measures.get(node.id)
        selects = node.kind in _SUMMING or any(word in node.op for word in _SELECTING)
        if m is None or not m.huge or not selects or abs(node.factor or 1.0) > 1.0:
            continue
        limit = _LARGEST.get(node.dtype.removeprefix("torch."), _LARGEST["float32"]) / 4.0 / _MARGIN
        floats = [i for i in node.inputs if i in nodes and "float" in nodes[i].dtype]
        if all(
            i in found or (i in measures and measures[i].finite and measures[i].power < limit**2)
            for i in floats
        ):
            found.add(node.id)
    return frozenset(found)


def _finding(graph: Graph, m: Measurement, dtype: str, share: float, *, small: bool) -> Finding:
    where = called(m.module, m.op)
    what = (
        "lie below the smallest normal number, where digits are lost and then zero follows"
        if small
        else "lie above a quarter of the largest number: the next sum may overflow"
    )
    return Finding(
        code=RULE.code,
        name="underflow" if small else "near overflow",
        severity=Severity.FAILURE if small and share > _FAILURE else Severity.WARNING,
        summary=f"At {where} {percent(share)} of the values {what} ({dtype}; power {m.power:.3g})",
        cause=f"a signal whose size does not fit {dtype}",
        fix=f"Hold the signal at unit power ({init_verb(graph)}), or compute this part in a wider format "
        "(bfloat16 has float32's range)",
        where=(m.module or m.op,),
        evidence=(("share", share), ("power", m.power)),
    )


RULE = Rule(
    code="FAN112",
    name="headroom",
    definition="share of values that are not 0 and below the smallest normal number of their format, and "
    "share above "
    "a quarter of its largest (float16: 6.1e-5 and 16,376)",
    threshold="a warning from 10 % below, a failure from 50 %; a warning for any above. Weights of a "
    "softmax are "
    "small by design and left out",
    advice="Hold the signal at unit power, or take a format with a wider range",
    symptom_of=("FAN101", "FAN102", "FAN106", "FAN401"),
    check=_check,
)
