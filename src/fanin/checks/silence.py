"""A loss of the user's own, against what it says of outputs that say nothing."""

from __future__ import annotations

import math

from fanin.checks.causes import init_verb, loud_biases, named, weights_cause
from fanin.checks.weights import weighed
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import LossMeasurement, Trace

__all__ = ["MULTIPLE", "louder"]

MULTIPLE = 6.0
"""The loss over that of silence from which on it is told. A head with He's law makes outputs of power 2 to 4,
and squares of 3 to 5 times the targets' power."""

_LARGE = 1e4
"""Loss, and gradient over weights, from which on a loss is in a unit of its own: a sum over a batch of images
comes to some hundreds, and here a step with a rate of 1e-4 replaces the weights."""


def louder(graph: Graph, plan: Plan, trace: Trace, loss: LossMeasurement, code: str) -> Finding | None:
    """Find outputs that a loss likes much less than zeros.

    Whatever a loss is, outputs of zeros are one guess; a model that starts at several times its loss has to
    unlearn first. Outputs of power 1 or less are as healthy weights make them, and are left in peace.

    Parameters
    ----------
    graph, plan, trace
        As rules take them.
    loss
        Of the trace, with `silent`.
    code
        Of the rule that tells it.
    """
    if loss.silent is None or not loss.silent > 0.0:
        return None
    ends = {*graph.outputs, *(() if trace.output is None else (trace.output,))}
    power = max((m.power for m in trace.measurements if m.node in ends and m.finite), default=0.0)
    if not loss.value > MULTIPLE * loss.silent or power <= 1.0:
        return _unit(trace, loss, loss.silent, code)
    every = weighed(graph, plan, trace)
    last = {name for node in graph.nodes if node.id in ends for name in node.parameters}
    loud = {name: size for name, size in loud_biases(graph, plan, trace) if name in last}
    own = {} if loud else _own(graph, trace, ends, power)
    log = math.log(4.0)
    cause = weights_cause(graph, [w for w in every if w.head], log) or weights_cause(graph, every, log)
    if loud:
        where = tuple(loud)
        text = (
            f"{named(where)} has numbers of size {max(loud.values()):.3g}: a prior with the wrong sign, say"
        )
        fix = f"Start {named(where)} at zero ({init_verb(graph)}), or at the logarithm of the true odds"
    elif own:
        where = tuple(own)
        text = (
            f"{named(where)} has numbers of size {max(own.values()):.3g} and is a part of the output itself"
        )
        fix = f"Start {named(where)} at zero"
    elif cause is not None:
        text, fix, where = cause.cause, cause.fix, cause.where
    else:
        where = tuple(w.name for w in every if w.head)
        text = "outputs far from zero before anything was learned"
        fix = f"Make what the last weights put out smaller, of a power below 1; {init_verb(graph)} does so"
        tables = tuple(p.name for p in graph.parameters for u in p.uses if u.kind == UseKind.EMBEDDING)
        if not where and tables:
            where = tuple(dict.fromkeys(tables))
            fix = f"Start {named(where)} smaller, until outputs have a power below 1"
        where = where or ("the output",)
    return Finding(
        code=code,
        name="high first loss",
        severity=Severity.WARNING,
        summary=f"The first loss is {loss.value:.4g}, and {loss.silent:.4g} for outputs of zeros: the "
        f"model starts out with outputs of size {math.sqrt(power):.3g}, sure of wrong answers, and unlearns "
        "them first",
        cause=text,
        fix=fix,
        where=where,
        evidence=(("loss", loss.value), ("loss of zeros", loss.silent), ("output power", power)),
    )


def _own(graph: Graph, trace: Trace, ends: set[int], power: float) -> dict[str, float]:
    """Parameters that are part of what is returned (the log of a policy's deviation), and most of it."""
    added = {p.name for p in graph.parameters for u in p.uses if u.kind == UseKind.SHIFT and u.node in ends}
    sizes = {p.name: math.hypot(p.std, p.mean) for p in trace.parameters if p.name in added and p.finite}
    return {name: size for name, size in sizes.items() if size > 1.0 and size * size > 0.5 * power}


def _unit(trace: Trace, loss: LossMeasurement, silent: float, code: str) -> Finding | None:
    """A loss that is large for any outputs, with gradients to match."""
    gradient = math.hypot(*(p.gradient_norm or 0.0 for p in trace.parameters))
    weights = math.sqrt(sum(p.numel * (p.std**2 + p.mean**2) for p in trace.parameters if p.finite))
    if silent <= _LARGE or not math.isfinite(gradient) or gradient <= _LARGE * weights:
        return None
    return Finding(
        code=code,
        name="high first loss",
        severity=Severity.WARNING,
        summary=f"The first loss is {loss.value:.4g}, and {silent:.4g} for outputs of zeros; its "
        f"gradient is {gradient / weights:.3g} times as long as all weights together",
        cause="a loss in a unit of its own: a factor before it, a sum where a mean was meant, targets that "
        "are not scaled; plain gradient descent leaps, half precision overflows",
        fix=f"Divide the loss by {silent:.1g} (take the mean, scale the targets), so that it starts near 1",
        where=("the loss",),
        evidence=(("loss", loss.value), ("gradient over weights", gradient / weights)),
    )
