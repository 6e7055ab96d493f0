"""FAN101: the signal vanishes or explodes on its way forward."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from fanin.checks.causes import Cause, scale_cause
from fanin.checks.figures import decades, log_ratio, ratio, times
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.stations import LUCK_OF_LAWS, Drift, Station, forward_drift, stations
from fanin.predictions.forecast import Forecast
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = [
    "FAILURE", "LUCK", "REMARK", "RULE", "STRANGE", "WARNING", "judged", "lucky", "predicted", "said",
    "slight",
]  # fmt: skip

REMARK = 2.0 * math.log(10.0)
"""Two decades cost gradient descent 15 points of 96 in 200 steps on digits, and Adam nothing."""
WARNING = 3.0 * math.log(10.0)
"""Four decades leave gradient descent 24 % of digits right instead of 96 %, two 80 % (check_harm.py)."""
FAILURE = 6.0 * math.log(10.0)
"""Seven decades take 20 points from Adam too."""
LUCK = 4.0
"""Standard deviations that one healthy draw in 16,000 passes."""
STRANGE = math.log(10.0)
"""A decade more than chance allows, and the laws are not what the code does."""


def judged(drift: Drift, warning: float = WARNING, failure: float = FAILURE) -> Severity | None:
    """Severity of a drift: by its harm, and by its distance from what a healthy draw here would give.

    A drift that does harm is remarked only where it is chance; a smaller one where it is none.
    """
    size = abs(drift.log)
    if size < REMARK:
        return None
    if size < warning:
        strange = abs(drift.from_healthy) >= LUCK and abs(drift.away) >= REMARK and drift.planned is not None
        return Severity.INFO if strange else None
    if lucky(drift, warning):
        return Severity.INFO
    return Severity.FAILURE if size >= failure else Severity.WARNING


def lucky(drift: Drift, warning: float = WARNING) -> bool:
    """Whether chance alone brings a drift about, as often as once in 16,000 draws."""
    # Where the weights' own variances bring it about it is no chance, however wide chance's band is.
    return abs(drift.z) < LUCK if drift.law is None else drift.lucky(warning, LUCK)


def slight(drift: Drift) -> Cause:
    """What is said of a remark: chance, or weights whose scale is off and does little harm."""
    if lucky(drift):
        return Cause(
            cause=f"finite width: the logarithm of the power has a spread of {drift.sd:.2g} over "
            f"{drift.layers} layers of about {drift.last.width:.0f} units",
            fix="Wider or fewer layers, an orthogonal draw, or skip connections",
            where=(drift.first.label, drift.last.label),
        )
    return Cause(
        cause=f"not chance: with the plan's weights it would be {decades(drift.planned or 0.0)}, within "
        f"{drift.sd / math.log(10.0):.2g} decades; it costs gradient descent steps, and Adam next to none",
        fix="Nothing, if training is with Adam; else the plan's weights",
        where=(drift.first.label, drift.last.label),
    )


def predicted(drift: Drift) -> tuple[tuple[str, float], ...]:
    """Evidence: what the laws say of a drift, for these weights and for the plan's."""
    found = (("decades by law", drift.law), ("decades by law with the plan", drift.planned))
    return tuple((name, round(log / math.log(10.0), 6)) for name, log in found if log is not None)


def said(drift: Drift) -> str:
    """What the laws say of a drift, as the end of a sentence."""
    if drift.law is None:
        return ""
    return f"; the laws say {times(math.exp(drift.law))}" if abs(drift.law) < STRANGE * 100 else ""


def _runs(chain: tuple[Station, ...]) -> Iterator[tuple[Station, ...]]:
    """Parts of the path that no norm cuts, of at least two stations."""
    starts = [i for i, station in enumerate(chain) if station.fresh]
    for start, end in zip(starts, [*starts[1:], len(chain)], strict=True):
        if end - start >= 2:
            yield chain[start:end]


def _check(graph: Graph, plan: Plan, trace: Trace, forecast: Forecast | None = None) -> Outcome:
    chain = stations(graph, trace, forecast)
    if len(chain) < 2:
        return Skipped(
            reason=f"the path has {len(chain)} measured layers before the head, and two are needed"
        )
    runs = list(_runs(chain))
    if not runs:
        return Passed(reason="every layer of the path is normalised, so its power is set anew")
    drifts = [(forward_drift(run), run) for run in runs]
    order = [None, Severity.INFO, Severity.WARNING, Severity.FAILURE]
    drift, run = max(drifts, key=lambda pair: (order.index(judged(pair[0])), abs(pair[0].log)))
    severity = judged(drift)
    if severity is None or (severity == Severity.INFO and not lucky(drift)):
        strangest = max((d for d, _ in drifts), key=lambda d: abs(d.unexplained))
        if abs(strangest.unexplained) > STRANGE:
            return _off_the_law(strangest, next(run for d, run in drifts if d is strangest))
    if severity is None:
        return Passed(
            reason=f"power changes by {decades(drift.log)} over {drift.layers} layers "
            f"({times(math.exp(drift.log))} in all){said(drift)}"
        )
    steps = [log_ratio(b.measure.power, a.measure.power) for a, b in itertools.pairwise(run)]
    falls = drift.log < 0
    ends = f"from {drift.first.called} to {drift.last.called}"
    rate = (
        f"by a factor of {ratio(drift.factor)} a layer over {drift.layers} layers: " if drift.factor else ""
    )
    summary = (
        f"The signal's power {'falls' if falls else 'grows'} {rate}{decades(drift.log)} {ends}"
        f" ({drift.first.measure.power:.3g} to {drift.last.measure.power:.3g})"
    )
    name = "vanishing signal" if falls else "exploding signal"
    evidence = (
        ("factor a layer", drift.factor),
        ("layers", float(drift.layers)),
        ("decades", drift.log / math.log(10.0)),
        ("z against the finite-width band", drift.z),
        ("z against a healthy draw", drift.from_healthy),
        *predicted(drift),
    )
    if severity == Severity.INFO and lucky(drift):
        summary += "; within the luck of a draw at this width"
    remark = severity == Severity.INFO
    cause = slight(drift) if remark else scale_cause(graph, plan, trace, drift, run, steps)
    return Finding(
        code=RULE.code,
        name=name,
        severity=severity,
        summary=summary,
        cause=cause.cause,
        fix=cause.fix,
        where=cause.where,
        evidence=(*evidence, *cause.evidence),
    )


def _off_the_law(drift: Drift, run: tuple[Station, ...]) -> Finding:
    """A drift that is no harm by itself, but that the weights' variances do not explain."""
    steps = [
        forward_drift((a, b)).log - (forward_drift((a, b)).law or 0.0) for a, b in itertools.pairwise(run)
    ]
    place = max(range(len(steps)), key=lambda i: abs(steps[i]))
    between = f"{run[place].called} and {run[place + 1].called}"
    return Finding(
        code=RULE.code,
        name="signal off its law",
        severity=Severity.INFO,
        summary=f"From {drift.first.called} to {drift.last.called} the signal's power changes by the factor "
        f"{times(math.exp(drift.log))}, where its weights' variances and finite width give "
        f"{times(math.exp((drift.law or 0.0) + drift.expected))} within a factor "
        f"{times(math.exp(LUCK_OF_LAWS * drift.sd))}",
        cause=f"most of it arises between {between}: weights that are not independent of each other (equal "
        "rows, low rank, a shared draw), or an operation that does something else than it seems to",
        fix=f"Look at what the model computes between {between}, and at how its weights are drawn",
        where=(run[place].label, run[place + 1].label),
        evidence=(("decades", drift.log / math.log(10.0)), *predicted(drift)),
    )


RULE = Rule(
    code="FAN101",
    name="signal power",
    definition="ln(q_L / q_1), q the mean square of a layer's output before its activation, from the first "
    "layer of the path to the last before the head; a norm on the way starts anew",
    threshold="distance from what the plan's weights give here, beyond 4 standard deviations (one healthy "
    "draw in 16,000), and harm: a warning from 3 decades (in 200 steps on digits gradient descent gets 80 % "
    "right at 2.3 decades, 24 % at 4.3, 96 % without), a failure from 6 (Adam 75 % at 6.8, 95 % without), a "
    "remark from 2. The spread is predicted for these widths, activations, norms and skip connections (for "
    "a chain of layers sd = sqrt(sum c/n), c = E f^4 / (E f^2)^2 - 1, mean = -sd^2 / 2). What harms nothing "
    "is remarked besides when it lies a decade beyond 6 standard deviations of what the weights' own "
    "variances give",
    advice="Give every weight the std gain / sqrt(fan_in), with the gain of its activation",
    remark_of=("FAN102",),
    symptom_of=("FAN110", "FAN104", "FAN105", "FAN201", "FAN204", "FAN205", "FAN206", "FAN401"),
    references=(
        "K. He et al., Delving Deep into Rectifiers, 2015, equation 10",
        "B. Hanin, D. Rolnick, How to Start Training, 2018, theorem 5",
    ),
    check=_check,
    against=_check,
)
