"""``fanin check``: the report, its forms, and the exit code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fanin.cli.places import origin
from fanin.cli.targets import load
from fanin.records.codec import from_json
from fanin.records.finding import Diagnosis, Origin, Severity
from fanin.records.prediction import Prediction

pytestmark = pytest.mark.usefixtures("nets")


def line(text: str) -> int:
    """Where the user's file has it."""
    return 1 + Path("nets.py").read_text(encoding="utf-8").splitlines().index(text)


SICK = ("check", "nets.py:deep", "-i", "32x64")


def test_a_sick_network_ends_with_1(fanin: Callable[..., Any]) -> None:
    ended = fanin(*SICK)
    assert ended.code == 1
    assert ended.err == ""
    assert ended.out.startswith("FAILURE  Sequential will not train as it is: vanishing gradients")
    assert "fix " in ended.out


def test_the_same_network_is_well_when_fanin_initialises_it(fanin: Callable[..., Any]) -> None:
    ended = fanin(*SICK, "--init")
    assert ended.code == 0
    assert "Sequential is healthy at step zero" in ended.out
    assert "vanishing" not in ended.out


@pytest.mark.parametrize(("level", "code"), [("info", 1), ("warning", 1), ("failure", 1)])
def test_fail_on_a_failure(fanin: Callable[..., Any], level: str, code: int) -> None:
    assert fanin(*SICK, "--fail-on", level).code == code


def test_fail_on_follows_the_gravest_finding(
    fanin: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fanin.records.finding import Finding
    from fanin.reports.report import Report

    def only(_: Report) -> tuple[Finding, ...]:
        return (Finding(code="FAN999", name="n", severity=Severity.WARNING, summary="s", cause="c", fix="f"),)

    monkeypatch.setattr(Report, "findings", property(only))
    codes = {level: fanin(*SICK, "--fail-on", level).code for level in ("info", "warning", "failure")}
    assert codes == {"info": 1, "warning": 1, "failure": 0}


def test_json_is_the_diagnosis_and_nothing_else(fanin: Callable[..., Any]) -> None:
    ended = fanin(*SICK, "--format", "json")
    assert ended.code == 1
    diagnosis = from_json(ended.out, Diagnosis)
    assert any(f.severity == Severity.FAILURE for f in diagnosis.findings)


def test_html_is_written_beside_the_text(fanin: Callable[..., Any], tmp_path: Path) -> None:
    ended = fanin(*SICK, "--html", "r.html")
    assert ended.err.startswith("wrote r.html (")
    assert "vanishing gradients" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert ended.out.startswith("FAILURE")


def test_html_that_cannot_be_written(fanin: Callable[..., Any]) -> None:
    ended = fanin(*SICK, "--html", "no/r.html")
    assert ended.code == 2
    assert ended.err.startswith("error: The output cannot be written. Received: no/r.html")


def test_a_target_is_used_for_the_loss(fanin: Callable[..., Any]) -> None:
    ended = fanin("check", "nets.py:small", "-b", "nets.py:pair")
    assert "cross entropy" in ended.out


def test_rules_need_init(fanin: Callable[..., Any]) -> None:
    ended = fanin(*SICK, "--set", "*=zeros")
    assert ended.code == 2
    assert "use them with --init" in ended.err


@pytest.mark.parametrize(
    ("target", "batch", "parts"),
    [
        ("nets.py:small", "nets.py:wide", ("mat1 and mat2 shapes cannot be multiplied", "'0'")),
        ("nets.py:Angry", "nets.py:batch", ("ValueError", "not today")),
        ("nets.py:small", "nets.py:two_inputs", ()),
    ],
)
def test_a_model_that_fails_speaks_for_itself(
    fanin: Callable[..., Any], target: str, batch: str, parts: tuple[str, ...]
) -> None:
    ended = fanin("check", target, "-b", batch)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert all(part in ended.err for part in parts), ended.err


def test_sarif_goes_to_stdout(fanin: Callable[..., Any]) -> None:
    ended = fanin(*SICK, "--format", "sarif")
    assert ended.code == 1
    log = json.loads(ended.out)
    assert log["version"] == "2.1.0"
    (result,) = log["runs"][0]["results"]
    assert result["ruleId"] == "FAN102"
    # The line of `def deep`, so that a code host shows the finding there.
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "nets.py"},
        "region": {"startLine": line("def deep():")},
    }


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("nets.py:ready", ("nets.py", "ready = small()")),
        ("nets.py:Words", ("nets.py", "class Words(nn.Module):")),
        ("nets:deep", ("nets.py", "def deep():")),
        ("my nets.py:deep", ("my%20nets.py", "def deep():")),
        ("../other/nets.py:deep", ("file:", "def deep():")),
    ],
)
def test_where_a_target_stands(target: str, place: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path.parent / "other").mkdir(exist_ok=True)
    for copy in (tmp_path / "my nets.py", tmp_path.parent / "other" / "nets.py"):
        shutil.copy("nets.py", copy)
    load(target, seed=0)
    found = origin(target)
    assert found is not None
    assert found.uri.startswith(place[0])
    assert found.line == line(place[1])


def test_where_a_configuration_stands(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    assert origin("hf:tiny") == Origin(uri="tiny/config.json")
    assert origin("hf:tiny/config.json") == Origin(uri="tiny/config.json")
    assert origin("builtins:len") is None


def test_a_baseline_accepts_what_it_knows(fanin: Callable[..., Any], tmp_path: Path) -> None:
    made = fanin(*SICK, "--baseline", "known.json", "--update-baseline")
    assert made.code == 0
    assert made.err.startswith("wrote known.json (")
    again = fanin(*SICK, "--baseline", "known.json")
    assert again.code == 0
    assert "accepted" in again.out
    # Another network has other places: its finding is new.
    assert fanin("check", "nets.py:deep", "-i", "32x64", "--baseline", "none.json").code == 2
    text = (tmp_path / "known.json").read_text(encoding="utf-8")
    (tmp_path / "known.json").write_text(text.replace("FAN102", "FAN101"), encoding="utf-8")
    spread = fanin(*SICK, "--baseline", "known.json")
    assert spread.code == 1
    assert "FAN102" in spread.out
    assert fanin(*SICK, "--update-baseline").code == 2
    # The cure: the network as fanin initialises it has nothing of what was accepted.
    cured = fanin(*SICK, "--init", "--baseline", "good.json", "--update-baseline")
    assert cured.code == 0
    (tmp_path / "good.json").write_text(text, encoding="utf-8")
    healed = fanin(*SICK, "--init", "--baseline", "good.json")
    assert healed.code == 0
    assert "of the baseline are not found any more: FAN102 at 0.weight" in healed.err
    assert healed.err.rstrip().endswith("--update-baseline writes it anew")
    assert healed.err.count("\n") == 1
    (tmp_path / "good.json").write_text("{", encoding="utf-8")
    corrupt = fanin(*SICK, "--baseline", "good.json")
    assert (corrupt.code, corrupt.out, corrupt.err.count("\n")) == (2, "", 1)
    assert "A baseline cannot be read" in corrupt.err
    assert fanin(*SICK, "--baseline", "good.json", "--update-baseline").code == 0
    assert fanin(*SICK, "--baseline", "good.json").code == 0


def test_codes_are_chosen(fanin: Callable[..., Any]) -> None:
    assert fanin(*SICK, "--ignore", "FAN102").code == 0
    assert fanin(*SICK, "--select", "FAN2,FAN3").code == 0
    # What is misspelt is said before a model is built.
    wrong = fanin("check", "nets.py:broken", "-i", "32x64", "--select", "FAN9")
    assert wrong.code == 2
    assert "finding code" in wrong.err


def test_the_cure_is_tried_and_told(fanin: Callable[..., Any]) -> None:
    ended = fanin(*SICK, "--fix")
    assert ended.code == 1
    assert "FAN102: gone when the plan was tried" in ended.out


@pytest.mark.parametrize("tier", ["fast", "deep"])
def test_the_tier_and_its_cost_are_told(fanin: Callable[..., Any], tier: str) -> None:
    ended = fanin(*SICK, "--tier", tier, "--lr", "0.1")
    assert f"{tier} tier, " in " ".join(ended.out.split())


def test_made_up_inputs_are_said_to_be_made_up(fanin: Callable[..., Any]) -> None:
    assert "made up: 32x64" in " ".join(fanin(*SICK).out.split())


def test_a_pipe_gets_80_plain_columns(fanin: Callable[..., Any]) -> None:
    out = fanin(*SICK).out
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_a_prediction_runs_nothing_and_finds_nothing(fanin: Callable[..., Any]) -> None:
    ended = fanin(*SICK, "--predict-only")
    assert ended.code == 0
    assert ended.out.startswith("by law, for the weights of policy auto, 32 samples")
    assert "exact" in ended.out
    told = from_json(fanin(*SICK, "--predict-only", "--format", "json").out, Prediction)
    assert told.batch == 32
    assert len(told.nodes) > 30
    assert "has no findings" in fanin(*SICK, "--predict-only", "--format", "sarif").err


def test_what_a_model_prints_is_no_result(fanin: Callable[..., Any]) -> None:
    with Path("nets.py").open("a", encoding="utf-8") as file:
        file.write(CHATTY)
    for form, record in (("json", Diagnosis), ("sarif", None)):
        ended = fanin("check", "nets.py:Chatty", "-b", "nets.py:chat", "--format", form)
        assert ended.code == 0
        assert {"I am built", "I am a batch", "I run"} <= set(ended.err.splitlines())
        assert json.loads(ended.out)
        assert record is None or from_json(ended.out, record)


CHATTY = """

class Chatty(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        print("I am built")

    def forward(self, x):
        print("I run")
        return self.layer(x)


def chat():
    print("I am a batch")
    return torch.randn(16, 4)
"""
