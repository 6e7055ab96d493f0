"""FAN109: norms over the batch without skip connections, whose gradient grows from layer to layer."""

from __future__ import annotations

import itertools
import math

from fanin.checks.figures import decades, log_ratio, times
from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.stations import Station, stations
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_RATIO = math.log(1.2)
_BLOCKS = 10
_WARNING = 5.0 * math.log(10.0)
"""30 layers, 4.7 decades, get 92 % of digits right after 800 steps; 40, 6.5 decades, 72 to 75 %."""


def _longest(graph: Graph, chain: tuple[Station, ...]) -> list[Station]:
    """Longest run of layers each followed by a norm, without a residual join."""
    norms = {n.id for n in graph.nodes if n.kind == OpKind.NORM} & set(graph.path)
    joins = {b.join for b in graph.branches}
    best: list[Station] = []
    run: list[Station] = []
    for station, later in itertools.zip_longest(chain, chain[1:]):
        end = later.node.id if later is not None else math.inf
        plain = station.node.id not in joins and any(station.node.id < n < end for n in norms)
        run = [*run, station] if plain and station.measure.gradient_power else []
        best = max(best, run, key=len)
    return best


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    if trace.mode != "train":
        return Skipped(reason="norms use stored statistics in eval mode")
    run = _longest(graph, stations(graph, trace))
    if len(run) <= _BLOCKS:
        return Skipped(reason=f"no chain of more than {_BLOCKS} layers with norms and no skip connection")
    log = log_ratio(run[0].measure.gradient_power or 0.0, run[-1].measure.gradient_power or 0.0)
    rate = log / (len(run) - 1)
    if rate <= _RATIO:
        return Passed(
            reason=f"the gradient grows by a factor of {times(math.exp(rate))} a layer over {len(run)} layers"
        )
    return Finding(
        code=RULE.code,
        name="gradient grows through norms",
        severity=Severity.WARNING if log >= _WARNING else Severity.INFO,
        summary=f"The gradient's power grows by a factor of {times(math.exp(rate))} a layer over {len(run)} "
        "normalised layers "
        f"without skip connection, {decades(log)} from {called(run[-1].node.module, run[-1].node.op)} "
        "back to "
        f"{called(run[0].node.module, run[0].node.op)}",
        cause="a norm rescales what comes back by more than its layer loses, whatever the scale of the "
        "weights",
        fix="No initialisation cures this: put skip connections around the blocks, or leave out the norms",
        where=tuple(s.label for s in run),
        evidence=(("factor a layer", math.exp(rate)), ("layers", float(len(run)))),
    )


RULE = Rule(
    code="FAN109",
    name="norms without skip",
    definition="growth of the gradient's power over a chain of layers that are each followed by a norm, "
    "without a "
    "residual join",
    threshold="a factor 1.2 a layer over more than 10 layers is remarked (VGG-16 with norms has it, and "
    "trains); a warning from 5 decades (30 layers have 4.7 and get 92 % of digits right after 800 steps, 40 "
    "have 6.5 and get 75 %). For ReLU and large batches the law is pi / (pi - 1) = 1.47 a layer",
    advice="Skip connections, fewer layers, or no norm and the plan's weights",
    symptom_of=("FAN102", "FAN101", "FAN106", "FAN201"),
    references=("G. Yang et al., A Mean Field Theory of Batch Normalization, 2019, theorem 3.9",),
    check=_check,
)
