"""Findings as SARIF 2.1.0, which code hosts and editors read."""

from __future__ import annotations

import json
from typing import Any

from fanin._version import __version__
from fanin.records.finding import Diagnosis, Finding, Severity
from fanin.reports.verdict import verdict

__all__ = ["sarif"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.FAILURE: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def sarif(diagnosis: Diagnosis) -> str:
    """Write the findings as one run of a SARIF log.

    A finding is about a module or a tensor, not about a line of a file: its places are logical locations.
    Findings that a baseline accepts are there too, as suppressed ones.

    Parameters
    ----------
    diagnosis
        As the checks made it.
    """
    found = (*diagnosis.findings, *diagnosis.accepted)
    codes = {f.code: f for f in found}
    rules = [
        {
            "id": code,
            "name": "".join(word.capitalize() for word in finding.name.split()),
            "shortDescription": {"text": finding.name},
            "help": {"text": f"fanin explain {code}"},
        }
        for code, finding in sorted(codes.items())
    ]
    order = {rule["id"]: place for place, rule in enumerate(rules)}
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "fanin", "semanticVersion": __version__, "rules": rules}},
                "results": [
                    _result(f, order[f.code], diagnosis.graph.model, known=f in diagnosis.accepted)
                    for f in found
                ],
                "invocations": [{"executionSuccessful": True}],
                "properties": {
                    "verdict": verdict(diagnosis),
                    "environment": dict(diagnosis.environment),
                },
            }
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _result(finding: Finding, place: int, model: str, *, known: bool) -> dict[str, Any]:
    places = finding.where or (model or "model",)
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": place,
        "level": _LEVELS[finding.severity],
        "message": {
            "text": f"{finding.summary}. Cause: {finding.cause.strip()}. Fix: {finding.fix.strip()}."
        },
        "locations": [
            {"logicalLocations": [{"name": name, "fullyQualifiedName": f"{model}.{name}", "kind": "module"}]}
            for name in places
        ],
        # Which finding it is, whatever its figures are today.
        "partialFingerprints": {"fanin/v1": f"{finding.code}:{'|'.join(places)}"},
        "properties": {name: _number(value) for name, value in finding.evidence},
    }
    if known:
        result["suppressions"] = [{"kind": "external", "justification": "accepted by the baseline"}]
    return result


def _number(value: float) -> float | str:
    """JSON has no infinity."""
    return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124 - NaN
