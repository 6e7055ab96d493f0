"""One sentence on a diagnosis."""

from __future__ import annotations

from fanin.records.finding import Diagnosis, Severity
from fanin.reports.figures import plural
from fanin.reports.view import ranked

__all__ = ["WORDS", "verdict", "worst"]

WORDS = {
    Severity.FAILURE: "will not train as it is",
    Severity.WARNING: "will train worse than it could",
    Severity.INFO: "is healthy at step zero",
}
"""What each severity means for training, in words that need no colour."""


def worst(diagnosis: Diagnosis) -> Severity | None:
    """Severity of the gravest finding; None without findings."""
    findings = ranked(diagnosis.findings)
    return findings[0].severity if findings else None


def verdict(diagnosis: Diagnosis) -> str:
    """One sentence: how the model is, and the first reason.

    A healthy verdict states how much was checked, so that silence is never taken for health.
    """
    findings = ranked(diagnosis.findings)
    model = diagnosis.graph.model or "The model"
    made = plural(len(diagnosis.passed), "check") + " passed"
    skipped = f", {len(diagnosis.skipped)} not made" if diagnosis.skipped else ""
    if not findings:
        if not diagnosis.passed:
            return f"{model}: nothing was checked{skipped}."
        return f"{model} is healthy at step zero: {made}{skipped}."
    first = findings[0]
    if first.severity == Severity.INFO:
        return f"{model} {WORDS[first.severity]}, with {plural(len(findings), 'remark')}: {made}{skipped}."
    rest = len(findings) - 1
    more = f" (and {plural(rest, 'further finding')})" if rest else ""
    return f"{model} {WORDS[first.severity]}: {first.name}{more}."
