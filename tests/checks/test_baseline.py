"""Findings that are accepted: by code and place, until they spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fanin.checks import baseline
from fanin.checks.runner import run
from fanin.errors import InputError, UnknownNameError

Build = Callable[..., Any]


def test_what_is_known_is_accepted_and_what_spreads_is_new(
    network: Build, default_init: dict[str, Any], tmp_path: Path
) -> None:
    found = run(*network(depth=30, width=128, **default_init).case().records)
    file = baseline.write(tmp_path / "known.json", found)
    known = baseline.read(file)
    clean = baseline.accept(found, known)
    assert clean.findings == ()
    assert clean.accepted == found.findings
    wider = replace(found.findings[0], where=(*found.findings[0].where, "another.weight"))
    assert baseline.accept(replace(found, findings=(wider,)), known).findings == (wider,)
    other = replace(found.findings[0], code="FAN101")
    assert baseline.accept(replace(found, findings=(other,)), known).findings == (other,)
    # Written anew, what was accepted stays in the file.
    assert baseline.read(baseline.write(tmp_path / "again.json", clean)) == known


def test_what_is_not_found_any_more_is_told(network: Build, default_init: dict[str, Any]) -> None:
    found = run(*network(depth=30, width=128, **default_init).case().records)
    (code,) = {f.code for f in found.findings}
    known = baseline._pairs(found.findings)
    # What was found is not stale, accepted or not.
    assert baseline.stale(found, frozenset(known)) == ()
    assert baseline.stale(baseline.accept(found, frozenset(known)), frozenset(known)) == ()
    passed = next(c for c, _ in found.passed)
    unmade = next(s.code for s in found.skipped)
    known |= {(code, "gone.weight"), (passed, "x"), (unmade, "x"), ("FAN103", "x"), ("FAN999", "")}
    gone = baseline.stale(found, frozenset(known))
    # FAN103 is a symptom here, which its cause may hide; what was not looked for may be there.
    assert "FAN103" in found.findings[0].summary
    assert gone == tuple(sorted([(code, "gone.weight"), (passed, "x"), ("FAN999", "")]))
    clean = baseline.accept(found, frozenset(known))
    assert clean.findings == ()
    (note,) = [n for n in clean.trace.notes if "baseline" in n]
    assert note.startswith("3 entries of the baseline are not found any more: ")
    assert "FAN999" in note
    assert "FAN103" not in note
    many = [("FAN101", f"layers.{k}") for k in range(9)]
    assert baseline.stale_said(many).endswith("FAN101 at layers.5, and 3 more")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"baseline": 2, "findings": []}', '{"baseline": 1, "findings": 3}']
)
def test_a_file_that_is_no_baseline(tmp_path: Path, text: str) -> None:
    file = tmp_path / "b.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="A baseline cannot be read"):
        baseline.read(file)
    with pytest.raises(InputError, match="A baseline cannot be read"):
        baseline.read(tmp_path / "none.json")


def test_codes_are_selected_and_ignored_by_their_beginnings(
    network: Build, default_init: dict[str, Any]
) -> None:
    records = network(depth=30, width=128, **default_init).case().records
    assert [f.code for f in run(*records, select=["FAN1"]).findings] == ["FAN102"]
    ignored = run(*records, ignore=["fan102"])
    # Its symptoms do not turn up in its place.
    assert ignored.findings == ()
    assert any(s.code == "FAN102" and "left out" in s.reason for s in ignored.skipped)
    assert run(*records, select=["FAN2"]).findings == ()
    with pytest.raises(UnknownNameError, match="FAN9"):
        run(*records, select=["FAN9"])
    with pytest.raises(UnknownNameError):
        run(*records, ignore=[""])
