"""FAN303: layers whose gradients are of very different size for their weights."""

from __future__ import annotations

import math

from fanin.checks.causes import init_verb
from fanin.checks.figures import times
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.stations import drift, stations
from fanin.checks.weights import Weighed, weighed
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_REMARK = math.log(1e3)
_WARNING = math.log(1e5)
_LUCK = 4.0
_SOFT = {OpKind.SOFTMAX, OpKind.ATTENTION}
_SHARE = 0.5
"""Part of the unevenness that the std of one weight has to account for, to be called its cause."""


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
    own = _own_part(low, high)
    grave = log >= _WARNING + luck and own >= _SHARE * log
    if grave:
        name = high.name if _off(high) >= _off(low) else low.name
        cause = (
            f"the size of {name}: the larger a weight is than it should be, the smaller is its gradient for "
        )
        cause += "its size, and the other way round"
    else:
        cause = f"the network's build, not its weights' scale: {_built(graph, low)}"
    return Finding(
        code=RULE.code,
        name="uneven gradients",
        severity=Severity.WARNING if grave else Severity.INFO,
        summary=f"|gradient| / |weight| is {times(math.exp(log))} times as large at {high.name} as at "
        f"{low.name}: with one learning rate one of them stands still, or the other is thrown about",
        cause=cause,
        fix=f"Weights with the gain of their activation: {init_verb(graph)}"
        if grave
        else "Nothing with Adam, which has a learning rate for each in effect; else one for each group",
        where=(high.name, low.name),
        evidence=(
            ("largest", _rate(high)),
            ("smallest", _rate(low)),
            ("decades by a weight's scale", own / math.log(10.0)),
        ),
    )


def _off(w: Weighed) -> float:
    return abs(math.log(w.ratio)) if w.ratio else 0.0


def _own_part(low: Weighed, high: Weighed) -> float:
    """What the std of one of the two weights, against the plan's, does to the ratio of their rates: its ln.

    Behind a norm the rate of a weight goes as 1 / std^2, and without one as 1 / std at least.
    """
    found = 0.0
    for w, side in ((low, 1.0), (high, -1.0)):
        if w.ratio:
            found = max(found, side * 2.0 * math.log(w.ratio))
    return found


def _built(graph: Graph, low: Weighed) -> str:
    """Why a weight has a small gradient, as far as the graph says so."""
    uses = [use for p in graph.parameters if p.name == low.name for use in p.uses]
    branches = {use.branch for use in uses if use.branch is not None}
    inside = {
        place for place, b in enumerate(graph.branches) if any(b.start < node < b.join for node in low.nodes)
    }
    gates = [
        p.name
        for p in graph.parameters
        for use in p.uses
        if use.kind == UseKind.SCALE and use.branch is not None and use.branch in inside | branches
    ]
    if gates:
        return f"a learned scale ({gates[0]}) lets little of its branch through at the start, and grows"
    if any(node.kind in _SOFT for node in graph.nodes if set(node.inputs) & set(low.nodes)):
        return "scores that start nearly equal pass back little, since a softmax gives them equal weight"
    return (
        "what lies between it and the output passes back little at the start (queries and keys of attention, "
        "gates, parts that few samples use)"
    )


RULE = Rule(
    code="FAN303",
    name="gradient evenness",
    definition="largest over smallest |gradient| / |weight| of the weights before the head",
    threshold="remarked from 1,000 times, beyond 4 standard deviations of what finite width explains; a "
    "warning from 100,000 where the scale of one of the two weights, against the plan's, accounts for half. "
    "What gates that start small, queries, keys and depth bring about is a remark: Adam rescales every "
    "weight, and what vanishes along the path is found there",
    advice="Even gains, or one learning rate a layer",
    symptom_of=(
        "FAN110",
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
