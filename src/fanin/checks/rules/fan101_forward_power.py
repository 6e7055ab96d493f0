"""FAN101: the signal vanishes or explodes on its way forward."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from fanin.checks.causes import scale_cause
from fanin.checks.figures import decades, log_ratio, times
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.stations import Drift, Station, forward_drift, stations
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["FAILURE", "LUCK", "RULE", "WARNING", "judged"]

WARNING = 3.0 * math.log(10.0)
FAILURE = 6.0 * math.log(10.0)
LUCK = 4.0


def judged(drift: Drift) -> Severity | None:
    """Severity of a drift: by its size, unless finite width alone may bring it about."""
    size = abs(drift.log)
    if size < WARNING:
        return None
    if abs(drift.z) < LUCK:
        return Severity.INFO
    return Severity.FAILURE if size >= FAILURE else Severity.WARNING


def _runs(chain: tuple[Station, ...]) -> Iterator[tuple[Station, ...]]:
    """Parts of the path that no norm cuts, of at least two stations."""
    starts = [i for i, station in enumerate(chain) if station.fresh]
    for start, end in zip(starts, [*starts[1:], len(chain)], strict=True):
        if end - start >= 2:
            yield chain[start:end]


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    chain = stations(graph, trace)
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
    if severity is None:
        return Passed(
            reason=f"power changes by {decades(drift.log)} over {drift.layers} layers "
            f"({times(math.exp(drift.log))} in all)"
        )
    steps = [log_ratio(b.measure.power, a.measure.power) for a, b in itertools.pairwise(run)]
    falls = drift.log < 0
    ends = f"from {drift.first.label} to {drift.last.label}"
    rate = f"by {times(drift.factor)} a layer over {drift.layers} layers: " if drift.factor else ""
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
    )
    if severity == Severity.INFO:
        return Finding(
            code=RULE.code,
            name=name,
            severity=severity,
            summary=f"{summary}; within the luck of a draw at this width",
            cause=f"finite width: the logarithm of the power has a spread of {drift.sd:.2g} over "
            f"{drift.layers} layers of about {drift.last.width:.0f} units",
            fix="Wider or fewer layers, an orthogonal draw, or skip connections",
            where=(drift.first.label, drift.last.label),
            evidence=evidence,
        )
    cause = scale_cause(graph, plan, trace, drift, run, steps)
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


RULE = Rule(
    code="FAN101",
    name="signal power",
    definition="ln(q_L / q_1), q the mean square of a layer's output before its activation, from the first "
    "layer of the path to the last before the head; a norm on the way starts anew",
    threshold="a warning from 3 decades, a failure from 6, and only beyond 4 standard deviations of what "
    "finite width explains: "
    "sd = sqrt(sum c/n), c = E f^4 / (E f^2)^2 - 1, mean = -sd^2 / 2",
    advice="Give every weight the std gain / sqrt(fan_in), with the gain of its activation",
    symptom_of=("FAN104", "FAN105", "FAN201"),
    references=(
        "K. He et al., Delving Deep into Rectifiers, 2015, equation 10",
        "B. Hanin, D. Rolnick, How to Start Training, 2018, theorem 5",
    ),
    check=_check,
)
