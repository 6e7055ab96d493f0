"""FAN201: units that start equal and stay equal."""

from __future__ import annotations

from fanin.checks.causes import init_verb, named
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.waking import awake
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, Parameter, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import ParameterMeasurement, Trace

__all__ = ["RULE"]

_WEIGHTS = {UseKind.WEIGHT, UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE}


def _weight(parameter: Parameter) -> bool:
    """Whether its rows are units of one layer with the same inputs."""
    uses = [use for use in parameter.uses if use.kind in _WEIGHTS]
    # In depthwise and grouped layers, equal rows read different inputs.
    return bool(uses) and parameter.trainable and all(u.axes is None or u.axes.groups == 1 for u in uses)


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    measures = {p.name: p for p in trace.parameters}
    weights = [(p, measures[p.name]) for p in graph.parameters if p.name in measures and _weight(p)]
    if not weights:
        return Skipped(reason="no trainable weight was measured")
    waking = awake(graph, trace).parameters
    blocked = [
        p.name for p, m in weights if m.largest == 0.0 and m.gradient_norm == 0.0 and p.name not in waking
    ]
    equal = [(p, m) for p, m in weights if m.identical_units > 0 and m.largest > 0.0 and not _repeated(p)]
    if blocked:
        return Finding(
            code=RULE.code,
            name="units that cannot learn",
            severity=Severity.FAILURE,
            summary=f"{_many(len(blocked), 'weight')} zero and get no gradient ({named(blocked)})",
            cause="zeros on both sides: a layer of zeros passes no gradient to the layer before it, and gets "
            "none where the layer after it, or its own input, is zero too",
            fix=f"Draw them at random: {init_verb(graph)}",
            where=tuple(blocked),
            evidence=(("weights", float(len(blocked))),),
        )
    if not equal:
        return Passed(reason=f"{len(weights)} weights, no two units of a layer equal")
    return _equal_units(graph, weights, equal)


def _equal_units(
    graph: Graph,
    weights: list[tuple[Parameter, ParameterMeasurement]],
    equal: list[tuple[Parameter, ParameterMeasurement]],
) -> Finding:
    names = [p.name for p, _ in equal]
    units = sum(m.identical_units for _, m in equal)
    # Units stay equal for ever only if what reads them treats them equally as well.
    lasting = [p.name for p, _ in equal if _read_equally(p.name, weights)]
    severity = Severity.FAILURE if lasting else Severity.WARNING
    after = (
        "what reads them weighs them equally too, so their gradients are equal and they stay equal for ever"
        if lasting
        else "only the layer after them tells them apart"
    )
    constant = all(m.std == 0.0 for _, m in equal)
    return Finding(
        code=RULE.code,
        name="identical units",
        severity=severity,
        summary=f"{units} units in {_many(len(names), 'weight', verb=False)} equal another unit of their "
        f"layer ({named(names)}); {after}",
        cause="a constant initialisation" if constant else "rows that were copied",
        fix=f"Draw the weights at random: {init_verb(graph)}",
        where=tuple(names),
        evidence=(("identical units", float(units)), ("weights", float(len(names)))),
    )


def _repeated(parameter: Parameter) -> bool:
    return parameter.shape[0] < 2


def _read_equally(name: str, weights: list[tuple[Parameter, ParameterMeasurement]]) -> bool:
    """Whether the next weight in execution order that fits has equal columns, or there is none."""
    place = next(i for i, (p, _) in enumerate(weights) if p.name == name)
    later = weights[place + 1 :]
    return not later or later[0][1].identical_inputs > 0


def _many(count: int, noun: str, *, verb: bool = True) -> str:
    if count == 1:
        return f"One {noun} is" if verb else f"one {noun}"
    return f"{count} {noun}s are" if verb else f"{count} {noun}s"


RULE = Rule(
    code="FAN201",
    name="identical units",
    definition="rows of a weight (with their bias) that equal an earlier row; weights of zeros that get no "
    "gradient",
    threshold="any. A failure when the layer after them has equal columns too: equal in and out, units keep "
    "equal gradients. Zeros that get a gradient (heads, ends of branches, adapters) are meant, and "
    "zeros that get one at the second step because only such ones lie before them",
    advice="Draw weights at random; zeros only where a random layer feeds them",
    references=("I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, 2016, section 8.4",),
    check=_check,
)
