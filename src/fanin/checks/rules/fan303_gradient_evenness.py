"""FAN303: layers whose gradients are of very different size for their weights."""

from __future__ import annotations

import math

from fanin.checks.figures import times
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.stations import drift, stations
from fanin.checks.weights import Weighed, weighed
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_REMARK = math.log(1e3)
_WARNING = math.log(1e5)
_LUCK = 4.0


def _rate(w: Weighed) -> float:
    """``|gradient| / |weight|``."""
    m = w.measure
    return (m.gradient_norm or 0.0) / math.sqrt(m.numel * (m.std**2 + m.mean**2))


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    seen = [
        w for w in weighed(graph, plan, trace)
        if w.kind == UseKind.WEIGHT and not w.head and w.measure.std > 0.0 and w.measure.gradient_norm
        and math.isfinite(w.measure.gradient_norm)
    ]  # fmt: skip
    if len(seen) < 2:
        return Skipped(reason="fewer than two weights before the head get a gradient")
    low, high = min(seen, key=_rate), max(seen, key=_rate)
    log = math.log(_rate(high)) - math.log(_rate(low))
    chain = stations(graph, trace)
    # A gradient's norm is the root of a power, whose logarithm strays with a draw's luck.
    luck = _LUCK * 0.5 * drift(chain, 0.0).sd if len(chain) > 1 else 0.0
    if log < _REMARK + luck:
        return Passed(
            reason=f"|gradient| / |weight| of {len(seen)} weights within a factor {times(math.exp(log))}"
        )
    return Finding(
        code=RULE.code,
        name="uneven gradients",
        severity=Severity.WARNING if log >= _WARNING + luck else Severity.INFO,
        summary=f"|gradient| / |weight| is {times(math.exp(log))} times as large at {high.name} as at "
        f"{low.name}: with "
        "one learning rate one of them stands still, or the other is thrown about",
        cause="gains along the path that differ much, or weights of very different size",
        fix="A learning rate for each (Adam has one in effect), or weights with the gain of their "
        "activation: "
        f"fanin.{graph.framework.split()[0]}.init_(model, batch)",
        where=(high.name, low.name),
        evidence=(("largest", _rate(high)), ("smallest", _rate(low))),
    )


RULE = Rule(
    code="FAN303",
    name="gradient evenness",
    definition="largest over smallest |gradient| / |weight| of the weights before the head",
    threshold="remarked from 1,000 times, a warning from 100,000, beyond 4 standard deviations of what "
    "finite width "
    "explains; for plain gradient descent, since Adam rescales",
    advice="Even gains, or one learning rate a layer",
    symptom_of=(
        "FAN101",
        "FAN102",
        "FAN105",
        "FAN106",
        "FAN109",
        "FAN111",
        "FAN201",
        "FAN205",
        "FAN206",
        "FAN112",
    ),
    check=_check,
)
