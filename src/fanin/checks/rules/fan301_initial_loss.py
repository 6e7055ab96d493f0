"""FAN301: the first loss is not that of an unprejudiced guess."""

from __future__ import annotations

import math

from fanin.checks.causes import init_verb, weights_cause
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.weights import weighed
from fanin.laws.recursion import initial_loss
from fanin.predictions.forecast import Forecast
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind
from fanin.records.plan import Plan
from fanin.records.prediction import LossPrediction
from fanin.records.trace import LossMeasurement, Trace

__all__ = ["RULE"]

_REMARK = 1.0
_WARNING = 3.0
_LOW = 0.9
_MULTIPLE = 4.0
_LUCK = 4.0


def _check(graph: Graph, plan: Plan, trace: Trace, forecast: Forecast | None = None) -> Outcome:
    loss = trace.loss
    law = None if forecast is None else forecast.now.loss
    if loss is None:
        return Skipped(reason="no target was given")
    if not math.isfinite(loss.value):
        return Skipped(reason="the loss is not finite")
    if loss.expected is None:
        return Skipped(reason=f"what '{loss.name}' should start at is not known")
    if loss.classes is not None:
        return _classes(graph, plan, trace, loss, loss.classes, loss.expected, law)
    if loss.expected > 0 and loss.value > _MULTIPLE * loss.expected:
        severity = Severity.INFO if _lucky(loss, loss.expected, law) else Severity.WARNING
        return _finding(graph, plan, trace, loss, loss.expected, severity, law)
    return Passed(reason=f"{loss.name} {loss.value:.4g}; the best constant guess has {loss.expected:.4g}")


def _lucky(loss: LossMeasurement, expected: float, law: LossPrediction | None) -> bool:
    """Whether the weights' variances give a loss that is no fault, and this draw is within its luck."""
    if law is None or not law.spread > 0.0 or law.value - expected > _WARNING:
        return False
    return loss.value - law.value < _LUCK * law.spread


def _classes(
    graph: Graph,
    plan: Plan,
    trace: Trace,
    loss: LossMeasurement,
    classes: int,
    expected: float,
    law: LossPrediction | None,
) -> Outcome:
    excess = loss.value - expected
    spread = f", logits with std {loss.logit_std:.3g}" if loss.logit_std is not None else ""
    foreseen = "" if law is None else f"; the laws say {law.value:.4g}, logits with std {law.logit_std:.3g}"
    if excess > _REMARK:
        grave = excess > _WARNING and not _lucky(loss, expected, law)
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
    cause = weights_cause(graph, head, log)
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
        text = other.cause if other else "outputs far from zero before anything was learned"
        fix = f"Give the head a smaller std, so that logits have std 0.5 or less; {init_verb(graph)} does so"
        where = tuple(w.name for w in head)
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
    "3 (s = 2.5); for squares a warning from 4 times, beyond 4 standard deviations of the luck that "
    "finite width leaves. Never a failure: it costs steps, seldom the run",
    advice="Scale the inputs; give the head a std that leaves logits with s <= 0.5, or zeros",
    symptom_of=(
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
