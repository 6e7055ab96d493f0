"""FAN401: inputs that are far from mean 0 and standard deviation 1."""

from __future__ import annotations

import math

from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import InputMeasurement, Trace

__all__ = ["RULE"]

_ADDED = {UseKind.BIAS, UseKind.SHIFT, UseKind.NORM_SHIFT, UseKind.RECURRENT_BIAS}
_SUMS = {OpKind.ADD, OpKind.CONCAT}
_OFFSET = 1.0
_BAND = (0.3, 3.0)
_FAR = 10.0
_APART = 100.0


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    weighted = _weighted(graph)
    told = [i for i in trace.inputs if i.features and i.finite and i.samples > 1 and i.std > 0.0]
    seen = [i for i in told if i.node is None or i.node in weighted]
    if not seen:
        return Skipped(reason="no floating input that a weight reads, with more than one observation")
    worst = max(seen, key=_badness)
    grave, why = _said(worst)
    if not why:
        return Passed(reason=f"{worst.name} has mean {worst.mean:.2g} and standard deviation {worst.std:.2g}")
    if grave and _normalised_at_once(graph):
        grave = False
        why += "; the first layer's norm takes care of it"
    return Finding(
        code=RULE.code,
        name="inputs not standardised",
        severity=Severity.WARNING if grave else Severity.INFO,
        summary=f"{worst.name[0].upper()}{worst.name[1:]} has {why}",
        cause="data that goes in as it was measured: the law of the weights holds for mean 0 and standard "
        "deviation 1, "
        "and a common mean makes all samples alike from the first layer on",
        fix="Subtract each feature's mean and divide by its standard deviation"
        + (f" (here {worst.mean:.4g} and {worst.std:.4g})" if worst.features == 1 else ""),
        where=(worst.name,),
        evidence=(
            ("mean", worst.mean),
            ("std", worst.std),
            ("smallest std of a feature", worst.least_std),
            ("largest std of a feature", worst.largest_std),
        ),
    )


def _weighted(graph: Graph) -> frozenset[int]:
    """Inputs that a weight reads.

    What is only multiplied with what layers made (the neighbours of a graph, a mask, a gate) or decides
    where attention looks has no law to follow.
    """
    kinds: dict[str, set[UseKind]] = {p.name: {use.kind for use in p.uses} for p in graph.parameters}
    made: set[int] = set()
    raw: dict[int, frozenset[int]] = {}
    found: set[int] = set()
    for node in graph.nodes:
        if node.kind == OpKind.INPUT:
            raw[node.id] = frozenset({node.id})
            continue
        given = frozenset().union(*(raw.get(i, frozenset()) for i in node.inputs))
        if any(kinds.get(name, set()) - _ADDED for name in node.parameters):
            found |= given
            made.add(node.id)
        elif any(i in made for i in node.inputs):
            made.add(node.id)
            # A sum has the power of both, so a weight behind it reads the data still.
            raw[node.id] = given if node.kind in _SUMS else frozenset()
        else:
            raw[node.id] = given
    return frozenset(found)


def _badness(i: InputMeasurement) -> float:
    rms = math.sqrt(i.std**2 + i.mean**2)
    return max(abs(math.log(rms)), math.log1p(abs(i.mean) / i.std))


def _said(i: InputMeasurement) -> tuple[bool, str]:
    """Whether it is grave, and what is wrong; "" for nothing."""
    rms = math.sqrt(i.std**2 + i.mean**2)
    if not 1.0 / _FAR <= rms <= _FAR:
        return True, f"a root mean square of {rms:.3g} (mean {i.mean:.3g}, standard deviation {i.std:.3g})"
    if i.largest_std > _BAND[1] and i.least_std > 0.0 and i.largest_std > _APART * i.least_std:
        return True, f"features with standard deviations from {i.least_std:.3g} to {i.largest_std:.3g}"
    if abs(i.mean) > _OFFSET * i.std:
        return abs(
            i.mean
        ) > _APART * i.std, f"a mean of {i.mean:.3g}, {abs(i.mean) / i.std:.2g} of its standard deviation"
    if not _BAND[0] <= i.std <= _BAND[1]:
        return False, f"a standard deviation of {i.std:.3g}"
    return False, ""


def _normalised_at_once(graph: Graph) -> bool:
    """Whether a norm follows before any activation."""
    for id in graph.path:
        kind = next((n.kind for n in graph.nodes if n.id == id), None)
        if kind in (OpKind.NORM, OpKind.ACTIVATION):
            return kind == OpKind.NORM
    return False


RULE = Rule(
    code="FAN401",
    name="input statistics",
    definition="mean and standard deviation of every floating input that a weight reads, as a whole and by "
    "feature",
    threshold="a warning when the root mean square is outside 0.1 to 10, when standard deviations of "
    "features differ a "
    "hundredfold, or when the mean is a hundred times the standard deviation (samples then differ by 1e-4 "
    "of the power); a remark when the mean exceeds the standard deviation, or that is outside 0.3 to 3",
    advice="Standardise the inputs",
    symptom_of=("FAN402",),
    references=("Y. LeCun et al., Efficient BackProp, 1998, section 4.3",),
    check=_check,
)
