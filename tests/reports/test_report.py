"""The report as an object: what it says of itself, and how it is saved."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from fanin.errors import InputError, OutputError
from fanin.records.codec import from_json
from fanin.records.finding import Diagnosis, Finding, Severity
from fanin.reports import Report


def finding(severity: Severity) -> Finding:
    return Finding(code="FAN900", name="name", severity=severity, summary="s", cause="c", fix="f")


@pytest.mark.parametrize(
    ("severities", "well"),
    [
        ((), True),
        ((Severity.INFO,), True),
        ((Severity.WARNING,), False),
        ((Severity.INFO, Severity.FAILURE), False),
    ],
)
def test_healthy_means_no_warning_and_no_failure(
    healthy: Diagnosis, severities: tuple[Severity, ...], well: bool
) -> None:
    assert Report(replace(healthy, findings=tuple(map(finding, severities)))).healthy is well


@pytest.mark.parametrize(
    ("severity", "words"),
    [
        (Severity.FAILURE, "DeepNet will not train as it is: name."),
        (Severity.WARNING, "DeepNet will train worse than it could: name."),
        (
            Severity.INFO,
            "DeepNet is healthy at step zero, with 1 remark: 2 checks passed, 1 not made.",
        ),
    ],
)
def test_the_verdict_is_one_sentence(healthy: Diagnosis, severity: Severity, words: str) -> None:
    assert Report(replace(healthy, findings=(finding(severity),))).verdict == words


def test_a_report_is_frozen(sick: Diagnosis, healthy: Diagnosis) -> None:
    report = Report(sick)
    with pytest.raises(FrozenInstanceError):
        report.diagnosis = healthy  # type: ignore[misc]


def test_repr_is_the_table(sick: Diagnosis) -> None:
    assert repr(Report(sick)) == str(Report(sick))
    assert "FAN201 vanishing gradients" in repr(Report(sick))


def test_json_comes_back_equal(sick: Diagnosis, tmp_path: Path) -> None:
    assert from_json(Report(sick).to_json(), Diagnosis) == sick
    saved = Report(sick).save(tmp_path / "r.json")
    assert from_json(saved.read_text(encoding="utf-8"), Diagnosis) == sick


@pytest.mark.parametrize("suffix", [".html", ".json", ".txt", ".HTML"])
def test_every_form_is_written_whole_and_alone(sick: Diagnosis, tmp_path: Path, suffix: str) -> None:
    saved = Report(sick).save(tmp_path / f"report{suffix}")
    assert saved.stat().st_size > 500
    assert [p.name for p in tmp_path.iterdir()] == [f"report{suffix}"]


@pytest.mark.parametrize("name", ["report.pdf", "report", "report.htm"])
def test_an_unknown_suffix_lists_the_known(sick: Diagnosis, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"The suffix says the form: \.html, \.json, \.sarif, \.txt"):
        Report(sick).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_there(sick: Diagnosis, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        Report(sick).save(tmp_path / "no" / "report.json")


def test_without_plotly_the_extra_is_named(
    sick: Diagnosis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "plotly.graph_objects", None)
    with pytest.raises(InputError, match=r"pip install 'fanin\[report\]'"):
        Report(sick).save(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_gets_a_frame_without_scripts(sick: Diagnosis) -> None:
    markup = Report(sick)._repr_html_()
    assert markup.startswith('<iframe sandbox="" srcdoc="')
    assert "<script" not in markup
    assert "Vanishing" in markup or "vanishing" in markup
