"""FAN205: weights that do not follow the law they should."""

from __future__ import annotations

import math

from fanin.checks.causes import apply_verb, init_verb, named
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.weights import Weighed, weighed
from fanin.records.draw import Normal, TruncatedNormal, Uniform
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_ERRORS = 6.0
_SMALL = 64
_COMMON = 1.0 + 1e-6
"""Times the second moment. Exactly one at the identity: ``W 1`` is as long as 1 for an orthogonal W, so that
its mean is at most 1 / fan_in."""
_ONE_SIDED = 0.2
_LOOKED_AT = 16_384
_KURTOSIS = {"uniform": 1.8, "normal": 3.0}


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    # What is frozen was trained, or is meant as it is: nobody draws it anew.
    loaded = {p.name for p in graph.parameters if p.loaded or not p.trainable}
    weights = [
        w for w in weighed(graph, plan, trace)
        if w.measure.numel >= _SMALL and w.measure.std > 0.0 and w.name not in loaded
    ]  # fmt: skip
    if not weights:
        return Skipped(reason=f"no random weight of {_SMALL} numbers or more")
    shifted = [w for w in weights if w.kind != UseKind.EMBEDDING and _shifted(w)]
    if shifted:
        return _shift(graph, shifted, weights)
    if trace.declared:
        wrong = [(w, why) for w in weights if (why := _against(w))]
        if wrong:
            return _departs(graph, wrong, weights)
        return Passed(reason=f"{len(weights)} weights follow the given plan's laws (family-wise 1e-6)")
    return Passed(reason=f"{len(weights)} weights have mean 0")


def _shifted(w: Weighed) -> bool:
    """Whether the mean sends the same thing to every unit with a power like that of all random parts."""
    mean, std = abs(w.measure.mean), w.measure.std
    if mean * math.sqrt(w.measure.numel) < _ERRORS * std or not w.entry.fan_in:
        return False
    return w.entry.fan_in * mean * mean > _COMMON * (std * std + mean * mean)


def _shift(graph: Graph, shifted: list[Weighed], weights: list[Weighed]) -> Finding:
    worst = max(shifted, key=lambda w: abs(w.measure.mean) / w.measure.std)
    ratio = worst.measure.mean / worst.measure.std
    # Numbers of one sign only: a uniform law on (0, b) has mean / std = sqrt 3.
    one_sign = abs(ratio) > math.sqrt(3.0) * (1.0 - _ONE_SIDED)
    return Finding(
        code=RULE.code,
        name="weights with a common mean",
        severity=Severity.WARNING,
        summary=f"{len(shifted)} of {len(weights)} weights have a mean of up to {abs(ratio):.2g} standard "
        "deviations "
        f"({named([w.name for w in shifted])}): every unit of such a layer answers with the same sum of "
        "its inputs",
        cause=("weights of one sign, such as U(0, b) where U(-b, b) was meant" if one_sign else
               "a law that is not centred at 0"),
        fix=f"Draw them with mean 0: {init_verb(graph)}",
        where=tuple(w.name for w in shifted),
        evidence=(("mean / std", ratio), ("weights", float(len(shifted)))),
    )  # fmt: skip


def _against(w: Weighed) -> str:
    """How a weight departs from the draw that its plan lists; "" if it does not."""
    draw, m = w.entry.draw, w.measure
    std = w.entry.std
    if draw is None or std is None or not std > 0.0 or w.entry.zeroed is not None:
        return ""
    if abs(m.std / std - 1.0) > w.tolerance + 0.002:
        return f"std {m.std:.4g} where {std:.4g} is planned"
    if any(block.draw != draw for block in w.entry.blocks):
        # A mixture of laws has none of their ends and shapes; an audit asks each block by itself.
        return ""
    if isinstance(draw, Uniform) and m.largest > max(abs(draw.low), abs(draw.high)) * 1.001:
        return f"values up to {m.largest:.4g} outside the bounds"
    if isinstance(draw, TruncatedNormal):
        bound = draw.parent_std * max(-draw.lower, draw.upper) + abs(draw.parent_mean)
        if m.largest > bound * 1.001:
            return f"values up to {m.largest:.4g} outside the bounds"
    family = "uniform" if isinstance(draw, Uniform) else "normal" if isinstance(draw, Normal) else ""
    if family and m.kurtosis is not None:
        # The error of a sample's kurtosis is sqrt(24 / N) for the normal law, less for the uniform one.
        error = _ERRORS * math.sqrt(24.0 / min(m.numel, _LOOKED_AT))
        if abs(m.kurtosis - _KURTOSIS[family]) > error + 0.02:
            return f"kurtosis {m.kurtosis:.3g} where a {family} law has {_KURTOSIS[family]:g}"
    return ""


def _departs(graph: Graph, wrong: list[tuple[Weighed, str]], weights: list[Weighed]) -> Finding:
    first, why = wrong[0]
    return Finding(
        code=RULE.code,
        name="weights that are not as planned",
        severity=Severity.WARNING,
        summary=f"{len(wrong)} of {len(weights)} weights do not follow the plan that was given: "
        f"{first.name} has {why}" + (f", as {first.law}" if first.law else ""),
        cause="the plan was not carried out on these tensors, or something wrote to them afterwards",
        fix=f"Carry it out: {apply_verb(graph)}",
        where=tuple(w.name for w, _ in wrong),
        evidence=(("weights", float(len(wrong))),),
    )


RULE = Rule(
    code="FAN205",
    name="weight law",
    definition="mean of a weight over its std; with a plan that is said to have been carried out, also "
    "std, bounds and "
    "kurtosis against the plan's draw",
    threshold="6 standard errors, and fan_in mean^2 > std^2 + mean^2, where what all units have in "
    "common outweighs what tells them apart, more than in any orthogonal matrix. Against a given plan: 6 "
    "standard errors of a std, and of a kurtosis",
    advice="Draw weights with mean 0; carry out the plan you compare with",
    symptom_of=("FAN201",),
    references=("LBANN, pull request 316 (a law that was not the one named)",),
    check=_check,
)
