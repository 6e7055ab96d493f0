"""All rules on one trace, and one finding a cause."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fanin._version import __version__
from fanin.checks.registry import rules
from fanin.checks.rule import Passed, Rule, Skipped
from fanin.errors import FaninError, nearest
from fanin.predictions.forecast import Forecast, forecast
from fanin.predictions.trial import Trial
from fanin.records.finding import Diagnosis, Finding, Severity, SkippedCheck
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["chosen", "run"]

_POWERS = {"FAN101", "FAN102", "FAN105", "FAN111", "FAN209", "FAN301"}
"""Faults that the scale of weights brings about."""
_RANK = {Severity.FAILURE: 0, Severity.WARNING: 1, Severity.INFO: 2}


def run(
    graph: Graph,
    plan: Plan,
    trace: Trace,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    trial: Trial | None = None,
) -> Diagnosis:
    """Apply every rule and fold symptoms into what brings them about.

    Parameters
    ----------
    graph, plan
        The model's computation, and the plan that serves as the yardstick for its weights.
    trace
        What one pass measured.
    select, ignore
        Codes, or beginnings of codes (``"FAN2"``): only findings of the selected ones are reported, and
        none of the ignored. Every rule runs all the same, so that a symptom whose cause is ignored does
        not turn up in its place.
    trial
        Runs an operation that no law is known for; see `fanin.predictions.trial`.

    Returns
    -------
    Diagnosis
        Findings with the gravest first; rules that passed or could not be applied, each with its
        reason.

    Raises
    ------
    UnknownNameError
        No code begins like one of `select` or `ignore`.
    """
    wanted = chosen(select, ignore)
    found: dict[str, Finding] = {}
    passed: list[tuple[str, str]] = []
    skipped: list[SkippedCheck] = []
    predicted, trace = _predicted(graph, plan, trace, trial)
    for rule in rules():
        if rule.against is not None and predicted is not None:
            outcome = rule.against(graph, plan, trace, predicted)
        else:
            outcome = rule.check(graph, plan, trace)
        if isinstance(outcome, Passed):
            passed.append((rule.code, outcome.reason))
        elif isinstance(outcome, Skipped):
            skipped.append(SkippedCheck(code=rule.code, name=rule.name, reason=outcome.reason))
        else:
            found[rule.code] = outcome
    folded = _folded(found)
    names = {rule.code: rule.name for rule in rules()}
    skipped += [
        SkippedCheck(code=code, name=names[code], reason="left out as asked; it found something")
        for code in folded
        if code not in wanted
    ]
    kept = [f for f in folded.values() if f.code in wanted]
    findings = sorted(kept, key=lambda f: (_RANK[f.severity], f.code))
    return Diagnosis(
        graph=graph,
        plan=plan,
        trace=trace,
        findings=tuple(findings),
        skipped=tuple(skipped),
        passed=tuple(passed),
        environment=(
            ("fanin", __version__),
            ("python", platform.python_version()),
            ("numpy", np.__version__),
            ("platform", platform.platform()),
            ("seed", str(plan.seed)),
        ),
        prediction=None if predicted is None else predicted.now,
        planned=None if predicted is None else predicted.planned,
    )


def _predicted(graph: Graph, plan: Plan, trace: Trace, trial: Trial | None) -> tuple[Forecast | None, Trace]:
    """What the laws say of this pass; where they break down, a note why, and rules without them."""
    try:
        return forecast(graph, plan, trace, trial), trace
    except (FaninError, ArithmeticError, ValueError) as error:
        note = f"nothing was predicted: {type(error).__name__}: {error}"
        return None, replace(trace, notes=(*trace.notes, note))


def chosen(select: Sequence[str], ignore: Sequence[str]) -> set[str]:
    """Codes that are asked for: those selected, or all, without those ignored.

    Raises
    ------
    UnknownNameError
        No code begins like one of them.

    Examples
    --------
    >>> sorted(chosen(["FAN30"], ["FAN302", "FAN305"]))[:3]
    ['FAN301', 'FAN303', 'FAN304']
    """
    every = _begun(select) if select else {rule.code for rule in rules()}
    return every - _begun(ignore)


def _begun(beginnings: Sequence[str]) -> set[str]:
    codes = {rule.code for rule in rules()}
    found: set[str] = set()
    for text in beginnings:
        some = {code for code in codes if text.strip() and code.startswith(text.strip().upper())}
        if not some:
            raise nearest(text, sorted(codes), kind="finding code")
        found |= some
    return found


def _folded(found: dict[str, Finding]) -> dict[str, Finding]:
    """Leave one finding a cause; each names the symptoms that follow from it."""
    by_code = {rule.code: rule for rule in rules()}
    roots = {code: _root(code, found, by_code) for code in found}
    result: dict[str, Finding] = {}
    for code, finding in found.items():
        if roots[code] != code:
            continue
        symptoms = [found[c] for c, root in roots.items() if root == code and c != code]
        result[code] = _with_symptoms(finding, symptoms)
    return result


def _root(code: str, found: dict[str, Finding], by_code: dict[str, Rule]) -> str:
    """Follow a symptom to the fault behind it; a remark explains nothing but remarks."""
    way = [code]
    while True:
        rule = by_code[code]
        remark = found[code].severity == Severity.INFO
        explained = [
            other
            for other in (*rule.symptom_of, *(rule.remark_of if remark else ()))
            if other in found and _RANK[found[other].severity] < _RANK[Severity.INFO]
        ]
        explained = explained or _blamed(code, found)
        if not explained:
            return code
        code = explained[0]
        if code in way:
            # Faults that bring each other about are one: the one with the lowest code.
            return min(way[way.index(code) :])
        way.append(code)


def _blamed(code: str, found: dict[str, Finding]) -> list[str]:
    """Findings of a power that blame the same weights, and more of them: one scale is one fault."""
    names = set(found[code].where)
    if code not in _POWERS:
        return []
    wider = [c for c in found if c in _POWERS and len(found[c].where) > len(names)]
    loud = [c for c in wider if _RANK[found[c].severity] < _RANK[Severity.INFO]]
    same = [c for c in loud if 2 * len(names & set(found[c].where)) >= len(names) > 0]
    return sorted(same, key=lambda c: (-len(found[c].where), c))


def _with_symptoms(finding: Finding, symptoms: list[Finding]) -> Finding:
    # The weights' scale is named as the cause already; it is no symptom to be listed.
    listed = [s for s in symptoms if s.code != "FAN203"]
    if not listed:
        return finding
    names = ", ".join(f"{s.name} ({s.code})" for s in listed)
    figures = [(f"{s.code} {s.evidence[0][0]}", s.evidence[0][1]) for s in listed if s.evidence]
    worst = min([finding, *listed], key=lambda f: _RANK[f.severity]).severity
    return replace(
        finding,
        severity=worst,
        summary=f"{finding.summary.rstrip('.')}. It brings about: {names}",
        evidence=(*finding.evidence, *figures),
    )
