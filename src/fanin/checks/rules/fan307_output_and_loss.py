"""FAN307: an output that its loss does not want: squashed or cut before a loss that takes logits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.laws.quadrature import NODES
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, Node, OpKind
from fanin.records.plan import Plan
from fanin.records.trace import LossMeasurement, Trace

__all__ = ["RULE", "misfit", "still"]

_LOGITS = ("cross entropy", "crossentropyloss", "bcewithlogitsloss", "binary_cross_entropy_with_logits")
_LOG_PROBABILITIES = ("nllloss", "nll_loss")
_ASSUMED = "binary cross entropy"
"""What a target of zeros and ones is given where no loss was named: it may be meant for probabilities."""
_SLOPE = 1e-3
_MARGIN = 0.1
"""Share of the targets' range by which they may lie outside: rounding, noise, a smooth bound."""
_THROUGH = {OpKind.POINTWISE, OpKind.DROPOUT, OpKind.CONCAT}


def _takes_logits(name: str) -> bool:
    plain = name.lower()
    return any(text in plain for text in _LOGITS)


def _last(graph: Graph, trace: Trace) -> Node | None:
    """What makes the output that the loss reads."""
    nodes = {node.id: node for node in graph.nodes}
    ends = [trace.output] if trace.output is not None else [*graph.path[-1:], *graph.outputs[:1]]
    node = next((nodes[i] for i in ends if i in nodes), None)
    while node is not None and node.kind in _THROUGH and len(set(node.inputs)) == 1 and node.factor == 1.0:
        node = nodes.get(node.inputs[0])
    return node


def _flat(values: Sequence[float], one: int, other: int) -> bool:
    return abs(values[one] - values[other]) < _SLOPE * float(abs(NODES[one] - NODES[other]))


def _check(graph: Graph, _plan: Plan | None, trace: Trace) -> Outcome:
    if trace.loss is None:
        return Skipped(reason="no target was given")
    if trace.loss.unpaired:
        return _broadcast(trace.loss.name)
    if trace.loss.takes == "probabilities":
        return _probabilities(graph, trace, trace.loss)
    if trace.loss.name.lower() in _LOG_PROBABILITIES:
        return _negative(graph, trace, trace.loss.name)
    if trace.loss.low is not None and trace.loss.high is not None:
        return _reach(graph, trace, trace.loss.low, trace.loss.high)
    if trace.loss.takes != "logits" and not _takes_logits(trace.loss.name):
        return Skipped(reason=f"what '{trace.loss.name}' takes is not known")
    node = _last(graph, trace)
    if node is None:
        return Skipped(reason="the node that makes the output was not found")
    if node.kind == OpKind.SOFTMAX and "log" not in node.op:
        return _finding(
            node,
            trace.loss.name,
            "a softmax before a loss that takes logits: it is applied twice, no probability can come near 1 "
            "and the gradient is a fraction of what it should be",
            "Return what goes into the softmax, and apply it where probabilities are wanted",
        )
    values = () if node.activation is None else graph.activations[node.activation].values
    if not values or not (_flat(values, 0, 1) or _flat(values, -1, -2)):
        return Passed(reason=f"{called(node.module, node.op)} makes the logits, with no bound on them")
    name = graph.activations[node.activation or 0].name
    low, high = min(values), max(values)
    if _flat(values, 0, 1) and _flat(values, -1, -2):
        cause = (
            f"{name} before a loss that takes logits: they stay between {low:.3g} and {high:.3g}, so that no "
            "probability can come near 0 or 1"
        )
    elif low == 0.0:
        cause = (
            f"{name} before a loss that takes logits: half of them start at 0 with no gradient, and none can "
            "be negative"
        )
    else:
        return Passed(reason=f"{name} makes the logits, with no bound on one side")
    return _finding(node, trace.loss.name, cause, f"Return what goes into {name}")


def _broadcast(loss: str) -> Finding:
    return Finding(
        code=RULE.code,
        name="output and target of different shapes",
        severity=Severity.FAILURE,
        summary=f"'{loss}' is the same whichever sample a target belongs to: output and target have shapes "
        "that broadcast, so that each output is compared with every target",
        cause="an output of shape (N, 1) beside a target of shape (N,), or the other way round: their "
        "difference is N x N, and the best that can be learned is the targets' mean",
        fix="Give both one shape: output.squeeze(-1), or target.unsqueeze(-1)",
        where=("the loss",),
    )


def _probabilities(graph: Graph, trace: Trace, loss: LossMeasurement) -> Outcome:
    """Outputs that no probability can have, before a loss that was not told of logits."""
    if loss.strays is None:
        return Skipped(reason="whether the outputs are probabilities was not measured")
    if loss.strays <= 0.0:
        return Passed(reason=f"the outputs lie between 0 and 1, as {loss.name} takes them")
    node = _last(graph, trace)
    place = "the last layer" if node is None else called(node.module, node.op)
    return Finding(
        code=RULE.code,
        name="output and loss do not fit",
        severity=Severity.WARNING,
        summary=f"The output comes from {place}, and {100.0 * loss.strays:.3g} % of it lie outside of 0 to "
        f"1, where {loss.name} cuts it off",
        cause="a loss that takes probabilities after a model that returns logits: what is cut off has no "
        "gradient, and the rest has a wrong one",
        fix="Tell the loss that it is given logits (from_logits=True), or end in a softmax, or in a sigmoid "
        "where classes do not exclude each other",
        where=("the output" if node is None else node.module or node.op,),
        evidence=(("share outside", loss.strays),),
    )


def _negative(graph: Graph, trace: Trace, loss: str) -> Outcome:
    """The negative log-likelihood is the mean of what it is given: a log has to be taken before."""
    node = _last(graph, trace)
    if node is None or (node.kind == OpKind.SOFTMAX and "log" in node.op):
        return Passed(reason=f"no output without a logarithm ends in {loss}")
    values = () if node.activation is None else graph.activations[node.activation].values
    if node.kind == OpKind.SOFTMAX:
        what = "it is minus the mean probability then, and no likelihood"
        cause = (
            "a softmax where a log-softmax is meant: the gradient is nearly 0 where the model is most wrong"
        )
    elif values and max(values) > 0.0:
        name = graph.activations[node.activation or 0].name
        what = "it only asks for large outputs then, whatever those of the other classes are"
        cause = f"{name} where a log-softmax is meant: nothing makes the outputs of a sample compete"
    elif node.kind in (OpKind.CONTRACTION, OpKind.CONVOLUTION):
        what = "it has no lower bound then, and falls for as long as outputs grow"
        cause = "logits where a log-softmax is meant"
    else:
        return Passed(reason=f"what {called(node.module, node.op)} puts out may be log-probabilities")
    return Finding(
        code=RULE.code,
        name="output and loss do not fit",
        severity=Severity.WARNING,
        summary=f"The output comes from {called(node.module, node.op)}, and {loss} takes log-probabilities: "
        f"{what}",
        cause=cause,
        fix="End in log_softmax, or return the logits and take cross entropy",
        where=(node.module or node.op,),
    )


def still(trace: Trace) -> bool:
    """Whether no parameter gets any gradient, though one was measured."""
    norms = [p.gradient_norm for p in trace.parameters if p.gradient_norm is not None]
    return bool(norms) and all(norm == 0.0 for norm in norms)


def misfit(graph: Graph, trace: Trace) -> int | None:
    """The node that makes an output which its loss does not want; None where they fit.

    What such an activation does to its units is no fault beside that one.
    """
    found = _check(graph, None, trace)
    if (
        not isinstance(found, Finding)
        or found.severity == Severity.INFO
        or (trace.loss and trace.loss.unpaired)
    ):
        return None
    node = _last(graph, trace)
    return None if node is None else node.id


def _reach(graph: Graph, trace: Trace, low: float, high: float) -> Outcome:
    """Targets of a regression that an activation at the end cannot put out."""
    node = _last(graph, trace)
    values = () if node is None or node.activation is None else graph.activations[node.activation].values
    if node is None or not values:
        return Passed(reason="no activation bounds what the model puts out")
    least = min(values) if _flat(values, 0, 1) else -math.inf
    most = max(values) if _flat(values, -1, -2) else math.inf
    margin = _MARGIN * (high - low)
    name = graph.activations[node.activation or 0].name
    if low >= least - margin and high <= most + margin:
        return Passed(reason=f"the targets lie between {low:.3g} and {high:.3g}, where {name} reaches")
    place = called(node.module, node.op)
    bounds = f"below {least:.3g}" if low < least - margin else f"above {most:.3g}"
    stuck = still(trace)
    return Finding(
        code=RULE.code,
        name="output and loss do not fit",
        severity=Severity.FAILURE if stuck else Severity.WARNING,
        summary=f"The output comes from {name} at {place} and is never {bounds}; nine in ten of the targets "
        f"lie between {low:.3g} and {high:.3g}" + ("; no parameter gets a gradient" if stuck else ""),
        cause=f"{name} at the end of a regression whose targets lie elsewhere too: these are never reached, "
        "and where the output sits at its bound no gradient comes back",
        fix=f"Return what goes into {name}, or bring the targets to where it reaches",
        where=(node.module or node.op,),
        evidence=(("lower target", low), ("upper target", high)),
    )


def _finding(node: Node, loss: str, cause: str, fix: str) -> Finding:
    place = called(node.module, node.op)
    return Finding(
        code=RULE.code,
        name="output and loss do not fit",
        severity=Severity.INFO if loss == _ASSUMED else Severity.WARNING,
        summary=f"The output comes from {place}, and {loss} makes probabilities of it once more",
        cause=cause,
        fix=fix,
        where=(node.module or node.op,),
    )


RULE = Rule(
    code="FAN307",
    name="output and loss",
    definition="the operation that makes the output, for losses that take logits (cross entropy, binary "
    "cross entropy with logits) or log-probabilities (nll_loss); whether outputs lie between 0 and 1, for "
    "losses that were told to take probabilities (Keras' without from_logits); "
    "where the targets of a regression lie, and the loss of targets in another order, where shapes broadcast",
    threshold="a softmax, an activation that is bounded on both sides, or one that cuts at zero; any output "
    "before nll_loss that no logarithm was taken of; a loss that is the same for any order of its targets; "
    "any output below 0 or above 1 for a probability. "
    "With a softmax of 10 classes before cross entropy the loss cannot fall below 1.46: -ln(e / (e + 9)). "
    "A remark where no loss was given and one output is to tell two classes apart",
    advice="Return logits",
    symptom_of=("FAN106",),
    references=("pytorch.org, CrossEntropyLoss: the input is expected to contain the unnormalized logits",),
    check=_check,
)
