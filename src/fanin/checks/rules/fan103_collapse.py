"""FAN103: all inputs look alike to the last layers."""

from __future__ import annotations

import math

from fanin.checks.figures import log_ratio
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.rules.fan307_output_and_loss import misfit, still
from fanin.checks.stations import stations
from fanin.predictions.forecast import Forecast
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind
from fanin.records.plan import Plan
from fanin.records.prediction import Certainty
from fanin.records.trace import Trace

__all__ = ["RULE"]

_ALIKE = 0.95
_ONE_POINT = 1e-6
_SIGMAS = 6.0
"""What tells samples apart shrinks by the same chances as the power does, so it has about its spread."""


def _beyond(left: float, foreseen: float, spread: float) -> bool:
    """Whether likeness has another cause than depth: a decade more than chance takes away is gone."""
    return log_ratio(max(left, 1e-15), max(foreseen, 1e-15)) < -math.log(10.0) - _SIGMAS * spread


def _check(graph: Graph, _plan: Plan, trace: Trace, forecast: Forecast | None = None) -> Outcome:
    chain = [s for s in stations(graph, trace, forecast) if s.measure.cosine is not None]
    if len(chain) < 2:
        return Skipped(reason="likeness of samples was measured at fewer than two layers of the path")
    if still(trace) and misfit(graph, trace) is not None:
        return Skipped(reason="the output stands still at a bound that its loss does not want")
    first, last = chain[0], chain[-1]
    start, end = first.measure.cosine or 0.0, last.measure.cosine or 0.0
    given = [m.cosine for m in trace.measurements if m.kind == OpKind.INPUT and m.cosine is not None]
    if any(c > 1.0 - _ONE_POINT for c in given):
        return Skipped(reason="the samples of the batch are equal already")
    known = last.law is not None and last.law.certainty != Certainty.UNKNOWN
    expected = last.law.cosine if known and last.law is not None else None
    if end <= _ALIKE:
        law = "" if expected is None else f"; the laws say {expected:.3f}"
        return Passed(reason=f"mean cosine between samples {end:.3f} at {last.called}{law}")
    evidence: tuple[tuple[str, float], ...] = (
        ("cosine at the first layer", start),
        ("cosine at the last layer", end),
    )
    evidence += tuple(("cosine of the inputs", c) for c in given[:1])
    if expected is not None:
        evidence += (("cosine by law at the last layer", expected),)
    collapsed = 1.0 - end < _ONE_POINT
    strange = expected is not None and _beyond(
        1.0 - end, 1.0 - expected, last.law.spread if last.law else 0.0
    )
    left = math.sqrt(max(0.0, 1.0 - end))
    return Finding(
        code=RULE.code,
        name="collapsed inputs" if collapsed else "inputs grow alike",
        severity=Severity.WARNING if collapsed or strange else Severity.INFO,
        summary=f"The mean cosine between samples rises from {start:.3f} at {first.called} to {end:.4g} at "
        f"{last.called}: what tells inputs apart is {100 * left:.2g} % of the signal",
        cause=f"depth: every activation that is no odd function, and every bias, makes two inputs more "
        f"alike, here over {len(chain)} layers"
        + (
            f"; but the laws foresee no more than {expected:.4g} for these weights: look for a bias or a "
            "constant that all samples share"
            if strange
            else ""
            if collapsed
            else "; ReLU layers with He's law do the same"
        ),
        fix="Skip connections, a leaky or odd activation, a norm over the batch, or fewer layers; no scale "
        "of the weights changes it for ReLU",
        where=(first.label, last.label),
        evidence=evidence,
    )


RULE = Rule(
    code="FAN103",
    name="correlation collapse",
    definition="mean pairwise cosine between at most 64 samples at the last layer before the head",
    threshold="remarked from 0.95, as in any deep ReLU network (1 - c = 44 / L^2); a warning when "
    "1 - c < 1e-6, where less than 0.1 % of the signal tells inputs apart, or when 1 - c lies a decade and "
    "6 standard deviations of chance below what is predicted for these weights",
    advice="Skip connections, leaky or odd activations, batch normalisation, fewer layers",
    symptom_of=(
        "FAN110",
        "FAN104",
        "FAN105",
        "FAN101",
        "FAN102",
        "FAN106",
        "FAN201",
        "FAN204",
        "FAN205",
        "FAN402",
        "FAN401",
    ),
    references=(
        "B. Poole et al., Exponential expressivity in deep neural networks through transient chaos, 2016",
    ),
    check=_check,
    against=_check,
)
