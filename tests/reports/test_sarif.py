"""The SARIF log: the structure that version 2.1.0 asks for, and what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fanin.records.finding import Diagnosis
from fanin.reports import Report
from fanin.reports.sarif import sarif

LEVELS = {"none", "note", "warning", "error"}


def conform(document: Any) -> None:
    """Raise unless a log has what sections 3.13 to 3.52 of the standard require, of the parts used here."""
    assert set(document) == {"$schema", "version", "runs"}
    assert document["version"] == "2.1.0"
    for run in document["runs"]:
        driver = run["tool"]["driver"]
        assert isinstance(driver["name"], str)
        ids = [rule["id"] for rule in driver["rules"]]
        assert len(ids) == len(set(ids))
        for rule in driver["rules"]:
            assert rule["shortDescription"]["text"]
            assert rule["help"]["text"]
        for result in run["results"]:
            assert ids[result["ruleIndex"]] == result["ruleId"]
            assert result["level"] in LEVELS
            assert result["message"]["text"]
            assert all(isinstance(v, str) for v in result["partialFingerprints"].values())
            for location in result["locations"]:
                for place in location["logicalLocations"]:
                    assert place["name"]
            for suppression in result.get("suppressions", []):
                assert suppression["kind"] in {"inSource", "external"}
        for invocation in run["invocations"]:
            assert isinstance(invocation["executionSuccessful"], bool)


def test_every_finding_is_a_result(sick: Diagnosis) -> None:
    document = json.loads(sarif(sick))
    conform(document)
    (run,) = document["runs"]
    assert [r["ruleId"] for r in run["results"]] == [f.code for f in sick.findings]
    assert run["results"][0]["level"] == "error"
    assert sick.findings[0].cause in run["results"][0]["message"]["text"]


def test_accepted_findings_are_suppressed(sick: Diagnosis) -> None:
    known = replace(sick, findings=(), accepted=sick.findings)
    document = json.loads(sarif(known))
    conform(document)
    assert all(r["suppressions"] for r in document["runs"][0]["results"])


def test_infinity_is_no_number_of_json(sick: Diagnosis) -> None:
    first = replace(sick.findings[0], evidence=(("z", float("inf")), ("share", float("nan"))))
    document = json.loads(sarif(replace(sick, findings=(first,))))
    assert document["runs"][0]["results"][0]["properties"] == {"z": "inf", "share": "nan"}


def test_a_healthy_log_is_empty_and_saved_by_its_suffix(healthy: Diagnosis, tmp_path: Path) -> None:
    document = json.loads(Report(healthy).save(tmp_path / "x.sarif").read_text(encoding="utf-8"))
    conform(document)
    assert document["runs"][0]["results"] == []


def test_a_log_that_lacks_a_part_would_be_noticed(sick: Diagnosis) -> None:
    document = json.loads(sarif(sick))
    document["runs"][0]["results"][0]["level"] = "grave"
    with pytest.raises(AssertionError):
        conform(document)
