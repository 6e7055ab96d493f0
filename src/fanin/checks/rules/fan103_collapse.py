"""FAN103: all inputs look alike to the last layers."""

from __future__ import annotations

import math

from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.stations import stations
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_ALIKE = 0.95
_ONE_POINT = 1e-6


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    chain = [s for s in stations(graph, trace) if s.measure.cosine is not None]
    if len(chain) < 2:
        return Skipped(reason="likeness of samples was measured at fewer than two layers of the path")
    first, last = chain[0], chain[-1]
    start, end = first.measure.cosine or 0.0, last.measure.cosine or 0.0
    given = [m.cosine for m in trace.measurements if m.kind == OpKind.INPUT and m.cosine is not None]
    if any(c > 1.0 - _ONE_POINT for c in given):
        return Skipped(reason="the samples of the batch are equal already")
    if end <= _ALIKE:
        return Passed(reason=f"mean cosine between samples {end:.3f} at {last.label}")
    evidence: tuple[tuple[str, float], ...] = (
        ("cosine at the first layer", start),
        ("cosine at the last layer", end),
    )
    evidence += tuple(("cosine of the inputs", c) for c in given[:1])
    collapsed = 1.0 - end < _ONE_POINT
    left = math.sqrt(max(0.0, 1.0 - end))
    return Finding(
        code=RULE.code,
        name="collapsed inputs" if collapsed else "inputs grow alike",
        severity=Severity.WARNING if collapsed else Severity.INFO,
        summary=f"The mean cosine between samples rises from {start:.3f} at {first.label} to {end:.6g} at "
        f"{last.label}: what tells inputs apart is {100 * left:.2g} % of the signal",
        cause=f"depth: every activation that is no odd function, and every bias, makes two inputs more "
        f"alike, here over {len(chain)} layers"
        + ("" if collapsed else "; ReLU layers with He's law do the same"),
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
    "1 - c < 1e-6, where less than 0.1 % of the signal tells inputs apart",
    advice="Skip connections, leaky or odd activations, batch normalisation, fewer layers",
    symptom_of=("FAN104", "FAN105", "FAN101", "FAN102", "FAN106", "FAN201"),
    references=(
        "B. Poole et al., Exponential expressivity in deep neural networks through transient chaos, 2016",
    ),
    check=_check,
)
