"""FAN106: NaN or infinity, and the first place where it appears."""

from __future__ import annotations

import math

from fanin.checks.causes import init_verb, named
from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]


_ABSURD = 1e12
"""Numbers that no law for weights draws, and whose squares leave single precision within two layers."""


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    if not trace.measurements:
        return Skipped(reason="nothing was measured")
    read = {name for node in graph.nodes for name in node.parameters}
    bad = [p.name for p in trace.parameters if not p.finite and p.name in read]
    learned = {p.name for p in graph.parameters if p.trainable and not p.buffer}
    absurd = [
        p.name for p in trace.parameters if p.finite and p.largest > _ABSURD and p.name in learned & read
    ]
    first = next((m for m in trace.measurements if not m.finite), None)
    if first is not None and first.kind == OpKind.INPUT:
        return _found(
            "The batch holds NaN or infinite values",
            "the data, not the model: an input is not finite before any layer has run",
            "Clean the batch and check again",
            (first.op,),
        )
    if bad:
        return _found(
            f"{len(bad)} parameter{'s hold' if len(bad) > 1 else ' holds'} NaN or infinite values",
            "memory that was never initialised, or a bad checkpoint: they are wrong before any layer runs",
            f"Initialise them: {init_verb(graph)}",
            tuple(bad),
            f" ({named(bad)})",
        )
    if absurd:
        largest = max(p.largest for p in trace.parameters if p.name in absurd)
        hold = "s hold" if len(absurd) > 1 else " holds"
        return _found(
            f"{len(absurd)} parameter{hold} numbers of up to {largest:.2g}",
            "memory that was never initialised, or a bad checkpoint: no law for weights draws such numbers",
            f"Initialise them: {init_verb(graph)}",
            tuple(absurd),
            f" ({named(absurd)})",
        )
    if first is not None and _masked(graph, trace):
        return Passed(
            reason=f"{called(first.module, first.op)} makes values that are not finite, as masks do, and the "
            "outputs, the loss and every gradient are finite"
        )
    if first is not None:
        place = first.module or first.op
        largest = max(
            (m.power for m in trace.measurements if m.finite and m.node < first.node and m.power > 0),
            default=0.0,
        )
        grown = f"; the largest root mean square before it is {math.sqrt(largest):.3g}" if largest else ""
        return _found(
            f"The output of {called(place)} ({first.op}) is the first that is not finite{grown}",
            "an overflow of the number format, if the values before it are large; else the operation itself "
            "(a division by zero, a logarithm of zero, a row that is masked as a whole)",
            f"Look at {called(place)}; every input of it is finite",
            (place,),
        )
    if trace.loss is not None and not math.isfinite(trace.loss.value):
        return _found(
            f"The loss is {trace.loss.value} although the model's output is finite",
            "the loss function or the target (labels outside the classes, a logarithm of zero)",
            "Look at the target and the loss function",
            (trace.loss.name,),
        )
    spoiled = [p.name for p in trace.parameters if not math.isfinite(p.gradient_norm or 0.0)]
    if spoiled:
        return _found(
            f"The gradient of {len(spoiled)} of {len(trace.parameters)} parameters is not finite, although "
            "outputs and loss are",
            "a derivative that is not finite on the way back (a root or a norm of zero, a division that "
            "where() hides, a backward() written by hand), or gradients that overflow the number format",
            f"Look at what follows {spoiled[-1]}: torch.autograd.detect_anomaly() names the operation",
            tuple(spoiled),
        )
    return Passed(
        reason=f"{len(trace.measurements)} outputs and {len(trace.parameters)} parameters are finite"
    )


def _masked(graph: Graph, trace: Trace) -> bool:
    """Whether what is not finite stays inside: scores of masked places, which a softmax makes zeros of."""
    ends = [m for m in trace.measurements if m.node in graph.outputs or m.node == trace.output]
    gradients = [p.gradient_norm for p in trace.parameters if p.gradient_norm is not None]
    sound = trace.loss is None or math.isfinite(trace.loss.value)
    return (
        sound
        and bool(ends)
        and all(m.finite for m in ends)
        and bool(gradients)
        and all(map(math.isfinite, gradients))
    )


def _found(summary: str, cause: str, fix: str, where: tuple[str, ...], more: str = "") -> Finding:
    return Finding(
        code=RULE.code,
        name="values that are not finite",
        severity=Severity.FAILURE,
        summary=summary + more,
        cause=cause,
        fix=fix,
        where=where,
    )


RULE = Rule(
    code="FAN106",
    name="finite values",
    definition="NaN or infinity in the batch, a parameter (or numbers above 1e12 in one that is learned), an "
    "operation's output, the loss or a gradient, in this order",
    threshold="any in the batch, or in a parameter that is read; in an output of an operation any that the "
    "outputs, the loss or a gradient show for it: masks are minus infinity by design, and stay inside",
    advice="The first place is the cause; everything after it follows",
    symptom_of=("FAN101",),
    check=_check,
)
