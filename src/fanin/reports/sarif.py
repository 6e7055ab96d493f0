"""Findings as SARIF 2.1.0, which code hosts and editors read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Sequence
from typing import Any

from fanin._version import __version__
from fanin.records.finding import Diagnosis, Finding, Origin, Severity
from fanin.reports.verdict import verdict

__all__ = ["sarif"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.FAILURE: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def sarif(diagnosis: Diagnosis) -> str:
    """Write the findings as one run of a SARIF log.

    A finding is about modules or tensors: these are its logical locations. Its place in a file is where the
    model's code stands (`Diagnosis.origin`); GitHub refuses a log without one. Findings that a baseline
    accepts are there too, as suppressed ones.

    Parameters
    ----------
    diagnosis
        As the checks made it.

    References
    ----------
    OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0 Plus Errata 01, 2023;
    GitHub, SARIF support for code scanning: ``primaryLocationLineHash`` is the fingerprint that it reads.
    """
    found = (*diagnosis.findings, *diagnosis.accepted)
    codes = {f.code: f for f in found}
    rules = [_rule(code, finding.name) for code, finding in sorted(codes.items())]
    order = {rule["id"]: place for place, rule in enumerate(rules)}
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "fanin", "semanticVersion": __version__, "rules": rules}},
                "results": [
                    _result(f, order[f.code], diagnosis, known=f in diagnosis.accepted) for f in found
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


def _rule(code: str, name: str) -> dict[str, Any]:
    # What a finding is called may differ from run to run; the rule's own page has its law and thresholds.
    return {
        "id": code,
        "name": "".join(word.capitalize() for word in name.split()),
        "shortDescription": {"text": name},
        "fullDescription": {"text": f"{name}: found by check {code} at step zero, before any training"},
        "help": {"text": f"What is measured, where the line is, and what to do: fanin explain {code}"},
    }


def _result(finding: Finding, place: int, diagnosis: Diagnosis, *, known: bool) -> dict[str, Any]:
    model = diagnosis.graph.model or "model"
    places = finding.where or (model,)
    tensors = {parameter.name for parameter in diagnosis.graph.parameters}
    # Which finding it is, whatever its figures are today, and wherever the code has moved to.
    identity = f"{finding.code}:{model}:{'|'.join(places)}"
    hashed = hashlib.sha256(identity.encode()).hexdigest()[:16]
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": place,
        "level": _LEVELS[finding.severity],
        "message": {
            "text": _literal(
                f"{finding.summary}. Cause: {finding.cause.strip()}. Fix: {finding.fix.strip()}."
            )
        },
        "locations": [_location(places, tensors, model, diagnosis.origin)],
        "partialFingerprints": {"fanin/v1": identity, "primaryLocationLineHash": f"{hashed}:1"},
        "properties": {name: _number(value) for name, value in finding.evidence},
    }
    if known:
        result["suppressions"] = [{"kind": "external", "justification": "accepted by the baseline"}]
    return result


def _location(
    places: Sequence[str], tensors: Container[str], model: str, origin: Origin | None
) -> dict[str, Any]:
    """One location: a finding is cured where the model is built, however many layers it names."""
    logical = [
        {
            "name": name.rpartition(".")[2] or name,
            "fullyQualifiedName": name if name == model else f"{model}.{name}",
            "kind": "member" if name in tensors else "module",
        }
        for name in dict.fromkeys(places)
    ]
    if origin is None:
        return {"logicalLocations": logical}
    where = {"artifactLocation": {"uri": origin.uri}, "region": {"startLine": origin.line}}
    return {"physicalLocation": where, "logicalLocations": logical}


def _literal(text: str) -> str:
    """A message as it stands: braces mark places for arguments (section 3.11.5), unless they are doubled."""
    return text.replace("{", "{{").replace("}", "}}")


def _number(value: float) -> float | str:
    """JSON has no infinity."""
    return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124 - NaN
