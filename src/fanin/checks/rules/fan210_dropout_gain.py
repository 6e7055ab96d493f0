"""FAN210: weights behind dropout, whose input has more power than without."""

from __future__ import annotations

import math

from fanin.checks.causes import named
from fanin.checks.figures import percent
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_FACTOR = 1.05
_LAYERS = 4
_TOTAL = math.log(10.0)
_WARNING = 2.0 * math.log(10.0)
_MOST = 0.9
"""Share taken away from which on a unit's power is ten times what it has in use."""


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    nearly_all = [
        (node.setting("p")[0], node.module or node.op)
        for node in graph.nodes
        if node.kind == OpKind.DROPOUT and node.setting("p") and _MOST <= node.setting("p")[0] < 1.0
    ]
    if nearly_all and trace.mode == "train":
        return _noise(nearly_all)
    powers = {m.node: m.power for m in trace.measurements if m.finite and m.power > 0.0}
    nodes = {node.id: node for node in graph.nodes}
    path = set(graph.path)
    weights = {u.node: p.name for p in graph.parameters for u in p.uses if u.kind == UseKind.WEIGHT}
    cuts: list[tuple[float, str]] = []
    fresh = {node.id for node in graph.nodes if node.kind == OpKind.NORM}
    joins = {b.join for b in graph.branches}
    for node in graph.nodes:
        before = nodes.get(node.inputs[0]) if node.inputs else None
        if node.id not in weights or before is None or before.kind != OpKind.DROPOUT or node.id not in path:
            continue
        behind = before.inputs[0] if before.inputs else None
        if behind in powers and before.id in powers:
            cuts.append((powers[before.id] / powers[behind], weights[node.id]))
    cuts = [cut for cut in cuts if cut[0] > _FACTOR]
    if not cuts:
        return Skipped(reason="no weight of the path reads what dropout has thinned out")
    total = sum(math.log(ratio) for ratio, _ in cuts)
    mean = math.exp(total / len(cuts))
    if fresh & path or joins & path or len(cuts) < _LAYERS or total < _TOTAL:
        return Passed(
            reason=f"{len(cuts)} weights behind dropout, {math.exp(total):.3g} times the power in all"
        )
    names = [name for _, name in cuts]
    return Finding(
        code=RULE.code,
        name="dropout adds power",
        severity=Severity.WARNING if total >= _WARNING else Severity.INFO,
        summary=f"Dropout before {len(cuts)} weights multiplies the power by {mean:.3g} each in training "
        f"(1 / (1 - p)), {math.exp(total):.3g} in all, and not in use",
        cause="what dropout keeps is divided by 1 - p: that holds the mean and not the power",
        fix=f"Multiply the std of {named(names)} by {1.0 / math.sqrt(mean):.3g} = sqrt(1 - p): He's law "
        "becomes "
        "sqrt(2 (1 - p) / fan_in)",
        where=tuple(names),
        evidence=(("factor a layer", mean), ("weights", float(len(names)))),
    )


def _noise(dropped: list[tuple[float, str]]) -> Finding:
    """Dropout that leaves next to nothing, which is more noise than signal."""
    worst = max(p for p, _ in dropped)
    where = tuple(dict.fromkeys(place for _, place in dropped))
    return Finding(
        code=RULE.code,
        name="dropout takes nearly all",
        severity=Severity.WARNING,
        summary=f"Dropout takes {percent(worst)} of the units away at {len(dropped)} places "
        f"({named(where)}): the noise that it adds has {worst / (1.0 - worst):.3g} times the power of the "
        "signal, p / (1 - p)",
        cause="a p that was meant as the share to keep, or a mistake by a digit: p is the share that goes",
        fix=f"Give dropout the share to take away: {1.0 - worst:.2g} if {worst:.2g} was to be kept, 0.1 to "
        "0.5 otherwise",
        where=where,
        evidence=(("p", worst), ("places", float(len(dropped)))),
    )


RULE = Rule(
    code="FAN210",
    name="dropout gain",
    definition="power behind dropout over power before it, for dropout right before a weight of the path",
    threshold="remarked from 4 layers without norm or skip connection that together make a decade, a "
    "warning from two: E (m h "
    "/ (1 - p))^2 "
    "= E h^2 / (1 - p). A warning from p = 0.9 anywhere in train mode, where the noise has nine times the "
    "signal's power",
    advice="Take sqrt(1 - p) into the gain",
    symptom_of=("FAN101",),
    references=(
        "A. Pretorius et al., Critical initialisation in noisy rectifier networks, 2018",
        "tensorflow/tensorflow issue 28004",
    ),
    check=_check,
)
