"""A study's file: runs come back, a torn end is cut off, anything else that is wrong is said."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fanin.errors import InputError, OutputError
from fanin.experiments import journal
from fanin.records.study import Curve

ABOUT = {"data": "abc", "steps": "10"}


def curve(seed: int) -> Curve:
    return Curve(
        seed=seed, accuracy=(0.5,), loss=(math.inf, 1.0 / 3.0), steps=(1,), validation=(0.1,), diverged=2
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "study.jsonl"
    journal.begin(path, ABOUT)
    for seed in range(3):
        journal.append(path, f"run {seed}", curve(seed))
    return path


def test_runs_come_back_to_the_last_bit(file: Path) -> None:
    assert journal.resumed(file, ABOUT) == {f"run {seed}": curve(seed) for seed in range(3)}


def test_a_torn_last_line_is_cut_off_and_the_file_goes_on(file: Path) -> None:
    text = file.read_text()
    file.write_text(text[:-20])
    assert set(journal.resumed(file, ABOUT)) == {"run 0", "run 1"}
    journal.append(file, "run 2", curve(2))
    assert file.read_text() == text


def test_an_existing_file_is_not_overwritten(file: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        journal.begin(file, ABOUT)


def test_another_study_says_what_differs(file: Path) -> None:
    with pytest.raises(InputError, match="steps: 10 there, 20 here"):
        journal.resumed(file, {**ABOUT, "steps": "20"})
    with pytest.raises(InputError, match="extra: nothing there, 1 here"):
        journal.resumed(file, {**ABOUT, "extra": "1"})


@pytest.mark.parametrize(
    ("number", "line", "told"),
    [
        (2, "{nonsense", r"line 3 .*damaged|damaged.*line 3"),
        (2, "[1]", "line 3"),
        (2, '{"key":"a"}', "line 3"),
        (2, '{"key":"a","curve":{"record":"Curve","seed":"x"}}', "line 3"),
        (0, '{"key":"a"}', "holds no study"),
        (0, '{"file":"fanin study","schema_version":9,"about":{}}', "another version"),
    ],
)
def test_damage_is_said_with_its_line(file: Path, number: int, line: str, told: str) -> None:
    lines = file.read_text().splitlines()
    lines[number] = line
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=told):
        journal.resumed(file, ABOUT)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        journal.resumed(tmp_path / "no", ABOUT)
    (tmp_path / "empty").write_text("")
    with pytest.raises(InputError, match="holds no study"):
        journal.resumed(tmp_path / "empty", ABOUT)
    with pytest.raises(OutputError, match="cannot be written"):
        journal.append(tmp_path / "no", "run", curve(0))
