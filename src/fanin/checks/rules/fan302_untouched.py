"""FAN302: trainable parameters that take no part."""

from __future__ import annotations

import itertools

from fanin.checks.causes import named
from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, Node, OpKind
from fanin.records.plan import Plan
from fanin.records.trace import Measurement, Trace

__all__ = ["RULE"]


_NO_HISTORY = "the output has no history"
"""What a probe notes when gradients were on and the output depends on no parameter."""


def _cut_off(count: int) -> Finding:
    return Finding(
        code=RULE.code,
        name="output without gradient",
        severity=Severity.FAILURE,
        summary=f"The output depends on none of {count} trainable parameters as far as gradients go: "
        "nothing can be "
        "learned",
        cause="a detach(), no_grad() or conversion on the way to the output, or an output that was not "
        "computed from "
        "the weights",
        fix="Return what the weights computed, with its history",
        where=("the output",),
        evidence=(("parameters", float(count)),),
    )


_STEPS = 8
"""Jumps that a function may have over the nodes of the quadrature and still be one of steps."""


def _stopped(graph: Graph, trace: Trace) -> Finding | None:
    """A function without slope (sign, round, a threshold) that all of a gradient would have to pass."""
    measures = {m.node: m for m in trace.measurements}
    for node in reversed(graph.nodes):
        if node.activation is None or not node.inputs or node.inputs[0] not in measures:
            continue
        after, before = measures.get(node.id), measures[node.inputs[0]]
        if after is None or before.gradient_power != 0.0 or not after.gradient_power:
            continue
        jumps = sum(a != b for a, b in itertools.pairwise(graph.activations[node.activation].values))
        if not 0 < jumps <= _STEPS:
            continue
        upstream = {i for i in measures if i < node.id and measures[i].gradient_power == 0.0}
        names = [
            p.name
            for p in graph.parameters
            if p.trainable and p.uses and all(use.node in upstream for use in p.uses)
        ]
        place = called(node.module, node.op)
        return Finding(
            code=RULE.code,
            name="gradient stops",
            severity=Severity.FAILURE,
            summary=f"No gradient passes {place}: {len(names)} parameters before it get exactly 0"
            + (f" ({named(names)})" if names else ""),
            cause="a function of steps: its slope is 0 everywhere but at the jumps, where there is none",
            fix="Let the gradient pass by it (x + (f(x) - x).detach()), or take a smooth function for "
            f"{place}, such as tanh; no initialisation cures it",
            where=(node.module or node.op,),
            evidence=(("parameters", float(len(names))), ("jumps", float(jumps))),
        )
    return None


_ONE = 1e-6
_NOTHING = 1e-9
"""Squares of rounding errors of single precision, 1e-14, with room for sums of them."""


def _alone(graph: Graph, trace: Trace) -> Finding | None:
    """What is divided by a sum over itself alone: 1, whatever it was, and no gradient goes back."""
    measures = {m.node: m for m in trace.measurements}
    # Attention over a single place is a matter of the batch: longer sequences have a gradient.
    looked = {i for node in graph.nodes if node.kind == OpKind.ATTENTION for i in node.inputs}
    node = next((n for n in graph.nodes if n.id not in looked and _ones(n, measures)), None)
    if node is None:
        return None
    behind: set[int] = set()
    ahead = [node.inputs[0]]
    inputs = {n.id: n.inputs for n in graph.nodes}
    while ahead:
        id = ahead.pop()
        if id not in behind:
            behind.add(id)
            ahead += inputs.get(id, ())
    most = max((m.gradient_power or 0.0 for m in trace.measurements), default=0.0)
    quiet = {i for i in behind if i in measures and (measures[i].gradient_power or 0.0) <= _NOTHING * most}
    names = [
        p.name
        for p in graph.parameters
        if p.trainable and p.uses and all(use.node in quiet for use in p.uses)
    ]
    place = called(node.module, node.op)
    soft = node.kind == OpKind.SOFTMAX
    return Finding(
        code=RULE.code,
        name="gradient stops",
        severity=Severity.FAILURE if node.id in {trace.output, *graph.outputs} else Severity.WARNING,
        summary=f"{place} puts out 1 for every sample, whatever goes in, and passes no gradient back"
        + (f" to {len(names)} parameters ({named(names)})" if names else ""),
        cause="a softmax over one number: e^x / e^x is 1"
        if soft
        else "a number that is divided by itself: a sum over one entry (the weight of a single chosen "
        "expert, say) is that entry",
        fix="Take a sigmoid for one output, or as many outputs as classes; no initialisation cures it"
        if soft
        else "Leave the division out where one entry is left, or divide by a sum over all entries; no "
        "initialisation cures it",
        where=(*names, node.module or node.op),
        evidence=(("parameters", float(len(names))),),
    )


def _ones(node: Node, measures: dict[int, Measurement]) -> bool:
    """Whether a quotient is 1 everywhere, of numbers that vary and get no gradient from it."""
    quotient = (node.kind == OpKind.SOFTMAX and "log" not in node.op) or "div" in node.op
    after = measures.get(node.id)
    before = measures.get(node.inputs[0]) if node.inputs else None
    if not quotient or before is None or after is None or not after.gradient_power:
        return False
    same = abs(after.mean - 1.0) < _ONE and abs(after.power - 1.0) < _ONE
    varied = before.finite and before.power > 0.0 and (before.unit_spread or 0.0) > 0.0
    # A slope of 1 in logarithms would leave gradient x signal as it is: x / x.detach() does, and is meant to.
    passed = (before.gradient_power or 0.0) * before.power
    return same and varied and passed <= _NOTHING * after.gradient_power * after.power


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    measures = {p.name: p for p in trace.parameters}
    trainable = [p for p in graph.parameters if p.trainable and not p.buffer and p.name in measures]
    if not trainable:
        return Skipped(reason="no parameter is trainable")
    if all(measures[p.name].gradient_norm is None for p in trainable):
        if not any(_NO_HISTORY in note for note in trace.notes):
            return Skipped(reason="no gradient was measured")
        return _cut_off(len(trainable))
    read = {name for node in graph.nodes for name in node.parameters}
    untouched = [p.name for p in trainable if measures[p.name].gradient_norm is None]
    stopped = _stopped(graph, trace) or _alone(graph, trace)
    if stopped is not None:
        return stopped
    if not untouched:
        return Passed(reason=f"all {len(trainable)} trainable parameters take part")
    unread = [name for name in untouched if name not in read]
    cut = [name for name in untouched if name in read]
    spoiled = [name for name in unread if not measures[name].finite]
    shapes = {p.name: p.shape for p in trainable}
    # A mask token, a type's embedding: one vector that this batch has no use for is no layer left out.
    vectors = not cut and not spoiled and all(sum(n > 1 for n in shapes[name]) <= 1 for name in unread)
    parts = [f"{len(unread)} never read ({named(unread)})"] if unread else []
    parts += [f"{len(cut)} read, but without effect on the output ({named(cut)})"] if cut else []
    return Finding(
        code=RULE.code,
        name="untouched parameters",
        severity=Severity.INFO if vectors else Severity.WARNING,
        summary=f"{len(untouched)} of {len(trainable)} trainable parameters get no gradient: "
        + "; ".join(parts)
        + (f"; {named(spoiled)} hold NaN or infinite values" if spoiled else ""),
        cause="layers that are built but not called on this batch"
        if not cut
        else "a result that is not used, a detach() or no_grad() on the way, or layers that are not called",
        fix="Remove them, use them, or freeze them with requires_grad_(False)",
        where=tuple(untouched),
        evidence=(("parameters", float(len(untouched))), ("never read", float(len(unread)))),
    )


RULE = Rule(
    code="FAN302",
    name="untouched parameters",
    definition="trainable parameters through which no gradient arrives",
    threshold="any: they never learn, and they make data-parallel training stop or slow down. A remark where "
    "they are single vectors that are not read (a mask token). A failure where a function of steps has the "
    "gradient of all that is before it, or where the output is a number divided by itself (a softmax over "
    "one); a warning where that happens within",
    advice="Remove them, use them, or freeze them",
    check=_check,
)
