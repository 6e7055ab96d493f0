"""FAN108: a residual stream whose power multiplies from block to block."""

from __future__ import annotations

import itertools
import math

from fanin.checks.causes import init_verb, named
from fanin.checks.figures import decades, log_ratio, times
from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.stations import Station, stations
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Branch, Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_RATE = 0.1
_BLOCKS = 4
_WARNING = 1.5 * math.log(10.0)


def _streams(graph: Graph, trace: Trace) -> list[list[tuple[Station, Branch]]]:
    """Runs of joins along the path without a norm on the stream in between."""
    joins = {b.join: b for b in graph.branches}
    norms = {n.id for n in graph.nodes if n.kind == "norm"} & set(graph.path)
    runs: list[list[tuple[Station, Branch]]] = [[]]
    last = None
    for station in stations(graph, trace):
        id = station.node.id
        if last is not None and any(last < n < id for n in norms):
            runs.append([])
        if id in joins:
            runs[-1].append((station, joins[id]))
        last = id
    return [run for run in runs if len(run) >= _BLOCKS]


def _straightness(values: list[float]) -> float:
    """Share of the variance that a straight line over the blocks explains."""
    n = len(values)
    mean, middle = sum(values) / n, (n - 1) / 2
    sxx = sum((i - middle) ** 2 for i in range(n))
    sxy = sum((i - middle) * (v - mean) for i, v in enumerate(values))
    syy = sum((v - mean) ** 2 for v in values)
    return sxy * sxy / (sxx * syy) if syy > 0.0 else 0.0


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    runs = _streams(graph, trace)
    if not runs:
        return Skipped(reason=f"no residual stream of {_BLOCKS} blocks without a norm on it")
    run = max(runs, key=lambda r: abs(log_ratio(r[-1][0].measure.power, r[0][0].measure.power)))
    powers = [station.measure.power for station, _ in run]
    log = log_ratio(powers[-1], powers[0])
    rate = log / (len(run) - 1)
    ends = f"from {called(run[0][0].node.module, run[0][0].node.op)} to " + called(
        run[-1][0].node.module, run[-1][0].node.op
    )
    if min(powers) <= 0.0 or not math.isfinite(log):
        return Passed(reason="a stream of zeros does not grow")
    exponential = _straightness([math.log(p) for p in powers]) > _straightness(powers)
    grown = f"the stream's power grows by a factor of {times(math.exp(log))} over {len(run)} blocks"
    if rate <= _RATE or not exponential or log < _WARNING:
        return Passed(reason=f"{grown}, {'a factor' if exponential else 'as a sum'} a block")
    steps = [math.exp(log_ratio(b, a)) for a, b in itertools.pairwise(powers)]
    finals = [name for _, branch in run for name in branch.final]
    factor = math.sqrt(1.0 / len(run))
    return Finding(
        code=RULE.code,
        name="residual stream multiplies",
        severity=Severity.WARNING,
        summary=f"The residual stream's power grows by a factor of {times(math.exp(rate))} a block {ends}: "
        f"{decades(log)}, exponentially and not as a sum",
        cause=f"{len(run)} branches without a norm each add a power in proportion to the stream's",
        fix=f"Multiply the std of the last weight of every branch ({named(finals)}) by {factor:.3g} "
        f"(1 / sqrt of {len(run)} branches), or {init_verb(graph)}",
        where=tuple(finals),
        evidence=(
            ("factor a block", math.exp(rate)),
            ("blocks", float(len(run))),
            ("largest step", max(steps)),
        ),
    )


RULE = Rule(
    code="FAN108",
    name="residual growth",
    definition="power v_b of a residual stream after block b, between norms on the stream itself",
    threshold="a warning when ln v is straighter over the blocks than v, grows by more than 0.1 a block, "
    "and by "
    "1.5 decades in all; a sum of branches of one size grows as 1 + b and is as it should be",
    advice="Scale the end of every branch by 1 / sqrt(branches), start it at zero, or put a norm on it",
    symptom_of=("FAN110", "FAN101", "FAN102", "FAN106", "FAN202"),
    references=(
        "H. Zhang et al., Fixup Initialization, 2019, section 2",
        "B. Hanin, D. Rolnick, How to Start Training, 2018, theorem 6",
    ),
    check=_check,
)
