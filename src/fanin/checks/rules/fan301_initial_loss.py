"""FAN301: the first loss is not that of an unprejudiced guess."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fanin.checks.causes import Cause, init_verb, loud_biases, named, weights_cause
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.silence import louder
from fanin.checks.stations import heads
from fanin.checks.weights import weighed
from fanin.laws.recursion import initial_loss
from fanin.laws.softmax import random_cross_entropy
from fanin.predictions.forecast import Forecast
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.prediction import LossPrediction, NodePrediction
from fanin.records.trace import LossMeasurement, Trace

__all__ = ["RULE"]

_REMARK = 1.0
_WARNING = 3.0
_LOW = 0.9
_MULTIPLE = 4.0
_LUCK = 4.0
_SMALL_UNIT = 100.0
"""Outputs of power 1 at most are what healthy weights give. For squares they are too large only where the
targets have a standard deviation below a tenth: one of a quarter (grey values) costs some dozen steps."""
_HALF, _CLEAR = 0.5, 4.0 * math.log(3.0)
"""Std of the logits that a plan's head makes: a head is to blame where it brings about half of what is above,
or is three times too large itself."""
_SHARPENED = 3.0
"""A constant factor of the output worth naming where the logits are too large."""
_STEPS, _GROWN = 8, 100.0
"""Steps that make a loop, and the growth of a power over them that is worth blaming."""
_MULTIPLIERS = {UseKind.WEIGHT, UseKind.RECURRENT_STATE}
_UNIT = 10.0
"""Standard deviation of a target from which on its unit is told: Adam with a rate of 1e-3 moves an output of
unit features by about 1e-3 times their number a step."""


def _check(graph: Graph, plan: Plan, trace: Trace, forecast: Forecast | None = None) -> Outcome:
    loss = trace.loss
    law = None if forecast is None else forecast.now.loss
    if loss is None:
        return Skipped(reason="no target was given")
    if not math.isfinite(loss.value):
        return Skipped(reason="the loss is not finite")
    if loss.strays:
        return Skipped(reason="the outputs are no probabilities, which the loss takes")
    if loss.expected is None:
        found = louder(graph, plan, trace, loss, RULE.code)
        if found is not None:
            return found
        if loss.silent is not None and loss.silent > 0.0:
            return Passed(reason=f"'{loss.name}' {loss.value:.4g}, {loss.silent:.4g} for outputs of zeros")
        return Skipped(reason=f"what '{loss.name}' should start at is not known")
    if loss.classes is not None:
        return _classes(graph, plan, trace, loss, loss.classes, loss.expected, forecast)
    if _foreign(loss):
        return _unit(loss, loss.expected)
    if loss.expected > 0 and loss.value > _MULTIPLE * loss.expected:
        power = _power(graph, trace)
        luck = _lucky(loss, loss.expected, forecast, _end(graph, trace))
        mild = power is not None and power <= min(
            max(1.0, _MULTIPLE * loss.expected), _SMALL_UNIT * loss.expected
        )
        severity = Severity.INFO if luck or mild else Severity.WARNING
        if power is not None and power < 0.5 * (loss.value - loss.expected):
            return _apart(graph, loss, loss.expected, severity)
        return _finding(graph, plan, trace, loss, loss.expected, severity, law)
    return Passed(reason=f"{loss.name} {loss.value:.4g}; the best constant guess has {loss.expected:.4g}")


def _end(graph: Graph, trace: Trace) -> int | None:
    return trace.output if trace.output is not None else next(iter(graph.path[-1:]), None)


def _power(graph: Graph, trace: Trace) -> float | None:
    """Mean square of what the model returns."""
    end = _end(graph, trace)
    return next((m.power for m in trace.measurements if m.node == end), None)


def _apart(graph: Graph, loss: LossMeasurement, expected: float, severity: Severity) -> Finding:
    """The outputs are no larger than they should be; the targets have another mean."""
    ends = heads(graph)
    biases = tuple(
        p.name for p in graph.parameters for u in p.uses if u.kind == UseKind.BIAS and u.node in ends
    )
    return Finding(
        code=RULE.code,
        name="high first loss",
        severity=severity,
        summary=f"The first loss is {loss.value:.4g}, a constant guess has {expected:.4g}: outputs and "
        "targets have different means, and the first steps go into that alone",
        cause="the targets' mean, not a weight's scale: a network of random weights answers with about 0",
        fix=f"Set the output's bias ({named(biases)}) to the mean of the targets, or centre them"
        if biases
        else "Centre the targets, or give the output a bias of their mean",
        where=biases or ("the target",),
        evidence=(("loss", loss.value), ("expected", expected)),
    )


def _again(graph: Graph, trace: Trace) -> Cause | None:
    """A weight that multiplies again and again, as in a loop over time, and makes more of it each time.

    Its std may be the plan's: what counts is its largest eigenvalue, to the power of the steps.
    """
    measures = {m.node: m for m in trace.measurements if m.finite and m.power > 0.0}
    found: Cause | None = None
    most = math.log(_GROWN)
    for parameter in graph.parameters:
        steps = [u.node for u in parameter.uses if u.kind in _MULTIPLIERS and u.node in measures]
        if len(steps) < _STEPS:
            continue
        first, last = (measures[i].power for i in (min(steps), max(steps)))
        grown = math.log(last / first)
        if grown <= most:
            continue
        most, factor = grown, math.exp(grown / (len(steps) - 1))
        found = Cause(
            cause=f"{parameter.name} multiplies {len(steps)} times, one step after the other, and makes the "
            f"power {factor:.3g} times as large each time: {grown / math.log(10.0):.1f} powers of ten",
            fix=f"Multiply {parameter.name} by {factor**-0.5:.3g} (start it orthogonal, with no eigenvalue "
            f"above 1), or initialise the model with {init_verb(graph)}",
            where=(parameter.name,),
        )
    return found


def _factor(graph: Graph, trace: Trace) -> float:
    """Product of the constants that the output was multiplied by, last of all."""
    nodes = {node.id: node for node in graph.nodes}
    end, product = _end(graph, trace), 1.0
    while end in nodes and nodes[end].factor is not None and len(nodes[end].inputs) == 1:
        product *= abs(nodes[end].factor or 0.0)
        end = nodes[end].inputs[0]
    return product


def _foreign(loss: LossMeasurement) -> bool:
    """Whether the target is what makes the loss large: its unit, or a mean that the output does not have."""
    std = math.sqrt(max(loss.expected or 0.0, 0.0))
    far = loss.offset is not None and loss.offset > math.sqrt(_MULTIPLE)
    return loss.name == "mean squared error" and (
        std >= _UNIT or (far and std * (loss.offset or 0.0) >= _UNIT)
    )


def _unit(loss: LossMeasurement, expected: float) -> Finding:
    std = math.sqrt(expected)
    mean = f", and the mean output lies {loss.offset:.3g} of these away from theirs" if loss.offset else ""
    return Finding(
        code=RULE.code,
        name="high first loss",
        severity=Severity.WARNING,
        summary=f"The first loss is {loss.value:.4g}: the targets have a std of {std:.4g}{mean}",
        cause="targets in a unit of their own, which outputs of order 1 reach only after many steps, and "
        "gradients as many times too large for a usual learning rate",
        fix="Scale the targets to mean 0 and standard deviation 1, and undo it where the outputs are used",
        where=("the target",),
        evidence=(("loss", loss.value), ("target std", std)),
    )


def _lucky(loss: LossMeasurement, expected: float, forecast: Forecast | None, end: int | None) -> bool:
    """Whether healthy weights start within 3 nats, and a healthy draw's luck reaches as far as this loss.

    What the weights have by law counts if it is no fault itself; else what the plan's would have.
    """
    if forecast is None or loss.classes is None:
        return False
    return any(
        law is not None and law.value - expected <= _WARNING and loss.value <= _highest(loss, law, nodes, end)
        for law, nodes in ((forecast.now.loss, forecast.nodes), (forecast.planned.loss, forecast.healthy))
    )


def _highest(
    loss: LossMeasurement, law: LossPrediction, nodes: Mapping[int, NodePrediction], end: int | None
) -> float:
    """The loss at 4 standard deviations: of labels, and of the logarithm of the logits' power."""
    straight = law.value + _LUCK * law.spread
    node = None if end is None else nodes.get(end)
    if node is None or loss.classes is None or not math.isfinite(node.spread):
        return straight
    factor = math.exp(min(0.5 * (node.shift + _LUCK * node.spread), 50.0))
    classes, std = (2, law.logit_std / math.sqrt(2.0)) if loss.name.startswith("binary") else (
        loss.classes, law.logit_std
    )  # fmt: skip
    return max(straight, random_cross_entropy(classes, std * factor))


def _classes(
    graph: Graph,
    plan: Plan,
    trace: Trace,
    loss: LossMeasurement,
    classes: int,
    expected: float,
    forecast: Forecast | None,
) -> Outcome:
    law = None if forecast is None else forecast.now.loss
    excess = loss.value - expected
    spread = f", logits with std {loss.logit_std:.3g}" if loss.logit_std is not None else ""
    foreseen = "" if law is None else f"; the laws say {law.value:.4g}, logits with std {law.logit_std:.3g}"
    if excess > _REMARK:
        grave = excess > _WARNING and not _lucky(loss, expected, forecast, _end(graph, trace))
        severity = Severity.WARNING if grave else Severity.INFO
        return _finding(graph, plan, trace, loss, expected, severity, law)
    if loss.value < _LOW * expected and expected - loss.value > 0.2:
        return Finding(
            code=RULE.code,
            name="low first loss",
            severity=Severity.INFO,
            summary=f"The first loss is {loss.value:.4g}, below the {expected:.4g} of a guess among "
            f"{classes} classes",
            cause="a model that has been trained already, one class that prevails in the batch, or a target "
            "that leaks into the input",
            fix="Nothing, if the model is trained",
            where=(loss.name,),
            evidence=(("loss", loss.value), ("expected", expected)),
        )
    return Passed(reason=f"loss {loss.value:.4g}, ln {classes} = {expected:.4g}{spread}{foreseen}")


def _finding(
    graph: Graph,
    plan: Plan,
    trace: Trace,
    loss: LossMeasurement,
    expected: float,
    severity: Severity,
    law: LossPrediction | None,
) -> Finding:
    every = weighed(graph, plan, trace)
    head = [w for w in every if w.head]
    given = next((m for m in trace.measurements if m.kind == OpKind.INPUT), None)
    s = loss.logit_std
    log = math.log(4.0)
    # What the head's own scale brings about is the head's; what comes in too large is not.
    cause = weights_cause(graph, head, min(max(log, 2.0 * math.log(s / _HALF)), _CLEAR) if s else log)
    raw = None if given is None or given.power <= 4.0 else math.sqrt(given.power)
    guess = "ln C" if loss.classes is not None else "the best constant guess"
    spread = f" (logits with std {s:.3g})" if s is not None else ""
    if raw is not None:
        text = f"inputs with a root mean square of {raw:.3g}, which every layer passes on"
        fix = "Scale the inputs to mean 0 and standard deviation 1"
        where: tuple[str, ...] = (given.op,) if given is not None else ()
        if cause is not None:
            text, fix = f"{text}; and {cause.cause}", f"{fix}. {cause.fix}"
            where = (*where, *cause.where)
    elif cause is not None:
        text, fix, where = cause.cause, cause.fix, cause.where
    else:
        other = weights_cause(graph, [w for w in every if not w.head], log)
        loud = loud_biases(graph, plan, trace)
        again = _again(graph, trace)
        text = other.cause if other else "outputs far from zero before anything was learned"
        fix = f"Give the head a smaller std, so that logits have std 0.5 or less; {init_verb(graph)} does so"
        where = tuple(w.name for w in head)
        factor = _factor(graph, trace)
        if not head and factor > _SHARPENED and s is not None:
            text = f"what is compared is multiplied by {factor:.4g} (a temperature of {1.0 / factor:.2g})"
            fix = f"Multiply by {factor / max(s, 1.0):.2g} instead, so that logits have a std near 1"
            where = ("the output",)
        elif not head and other is not None:
            fix, where = other.fix, other.where
        elif other is None and again is not None:
            text, fix, where = again.cause, again.fix, again.where
        elif other is None and loud:
            text = (
                f"biases with a std of up to {max(std for _, std in loud):.3g}, which every layer passes on"
            )
            where = tuple(name for name, _ in loud)
            fix = f"Start the biases of {named(where)} at zero: {init_verb(graph)}"
    predicted = (
        ""
        if s is None or loss.classes is None or not math.isfinite(s)
        else f"; ln C + s²/2 predicts {initial_loss(loss.classes, s):.4g}"
    )
    return Finding(
        code=RULE.code,
        name="high first loss",
        severity=severity,
        summary=f"The first loss is {loss.value:.4g} where {guess} is {expected:.4g}{spread}{predicted}: the "
        "model starts out sure of wrong answers, and unlearns them first",
        cause=text,
        fix=fix,
        where=where,
        evidence=(
            ("loss", loss.value),
            ("expected", expected),
            *((("logit std", s),) if s is not None else ()),
            *((("loss by law", law.value), ("logit std by law", law.logit_std)) if law is not None else ()),
        ),
    )


RULE = Rule(
    code="FAN301",
    name="first loss",
    definition="loss of the batch against that of the best constant guess: ln C for C classes, the target's "
    "variance for squares; random logits of std s add s^2/2 (1 - 1/C)",
    threshold="for classes a remark from 1 nat above (s = 1.4: a head with the gain of ReLU), a warning from "
    "3 where 4 standard deviations of a healthy draw's luck do not reach as far (the spread of ln q at the "
    "output, for the weights' own variances or the plan's); for squares a remark from 4 times, a "
    "warning where outputs then have a power above 1 or targets a std below a tenth of theirs, or where the "
    "target's std is above 10. Never a failure: it costs steps. On digits 200 steps of Adam make up for 8 "
    "nats but for a point, and 36 cost 7 points",
    advice="Scale the inputs; give the head a std that leaves logits with s <= 0.5, or zeros",
    symptom_of=(
        "FAN307",
        "FAN110",
        "FAN101",
        "FAN104",
        "FAN105",
        "FAN106",
        "FAN201",
        "FAN205",
        "FAN206",
        "FAN209",
        "FAN210",
        "FAN401",
        "FAN103",
        "FAN402",
    ),
    references=("A. Karpathy, A Recipe for Training Neural Networks, 2019",),
    check=_check,
    against=_check,
)
