"""``fanin compare`` and ``fanin tune`` as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanin.cli.studies import grid, words
from fanin.errors import InputError, UnknownNameError
from fanin.experiments.runner import Runner
from fanin.records.codec import from_json
from fanin.records.plan import Plan
from fanin.records.study import Study

Run = Callable[..., Any]

SOURCE = """
import numpy as np


def classes():
    draws = np.random.default_rng(0)
    x = draws.normal(size=(120, 4)).astype("float32")
    return x, (x[:, 0] > 0).astype(int)


def broken():
    raise OSError("no disk")


def nothing():
    return 7


def loud():
    print("reading")
    return classes()


def chatty():
    from torch import nn

    print("building")
    return nn.Linear(4, 2)


one_class = (np.zeros((9, 4)), np.zeros(9, dtype=int))
"""


@pytest.fixture
def data(nets: str, tmp_path: Path) -> str:
    """A file that makes data beside the file of models; returns the option's words."""
    assert nets
    (tmp_path / "given.py").write_text(SOURCE, encoding="utf-8")
    return "given.py:classes"


SMALL = ("--steps", "4", "--seeds", "2")


def test_a_comparison(fanin: Run, data: str, tmp_path: Path) -> None:
    ended = fanin("compare", "nets.py:small", "--data", data, "-v", "he,normal(std=0.1, mean=0)*2", *SMALL,
                  "-o", "s.json", "--html", "s.html")  # fmt: skip
    assert ended.code == 0, ended.err
    assert "Sequential: 2 ways to begin" in ended.out
    assert "normal(std=0.1, mean=0)*2" in ended.out
    assert ended.err.count("wrote ") == 2
    study = from_json((tmp_path / "s.json").read_text(), Study)
    assert [arm.name for arm in study.arms] == ["he", "normal(std=0.1, mean=0)*2"]
    assert "he" in (tmp_path / "s.html").read_text()


def test_json_is_the_study_and_nothing_else(fanin: Run, data: str) -> None:
    ended = fanin("compare", "nets.py:small", "--data", data, "-v", "he,glorot", *SMALL, "--format", "json")
    study = from_json(ended.out, Study)
    assert len(study.arms) == 2
    assert ended.err == ""
    again = fanin("compare", "nets.py:small", "--data", data, "-v", "he,glorot", *SMALL, "--format", "json")
    a, b = (json.loads(text) | {"seconds": 0} for text in (ended.out, again.out))
    assert a == b


def test_what_user_code_prints_is_no_result(fanin: Run, data: str) -> None:
    assert data
    ended = fanin(
        "compare", "given.py:chatty", "--data", "given.py:loud", "-v", "he,own", *SMALL, "--format", "json"
    )
    assert ended.code == 0, ended.err
    assert from_json(ended.out, Study).arms
    assert "reading" in ended.err
    assert "building" in ended.err


def test_a_grid_of_models_and_schemes(fanin: Run, data: str) -> None:
    ended = fanin("compare", "nets.py:small", "--data", data, "--grid", "scheme=he,glorot", "--grid",
                  "model=small,nets.py:small", *SMALL, "--no-check", "--format", "json")  # fmt: skip
    assert [arm["name"] for arm in json.loads(ended.out)["arms"]] == [
        "small/he", "small/glorot", "nets.py:small/he", "nets.py:small/glorot",
    ]  # fmt: skip


def test_a_file_of_arrays(fanin: Run, nets: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=(x[:, 0] > 0).astype(np.int64))
    ended = fanin("compare", f"{nets}:small", "--data", "d.npz", "-v", "own,auto", *SMALL, "--lr", "0.1,0.01")
    assert ended.code == 0, ended.err
    assert "d.npz, 60 samples of 4" in ended.out
    assert "learning rates 0.01, 0.1" in " ".join(ended.out.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("compare", "nets.py:small", "--data", "given.py:classes", "-v", "he,glorott"),
            "Did you mean 'glorot'",
        ),
        (
            ("compare", "nets.py:small", "--data", "given.py:classes", "-v", "he"),
            "There is nothing to compare",
        ),
        (("compare", "nets.py:small", "--data", "digit"), "Did you mean 'digits'"),
        (("compare", "nets.py:small", "--data", "given.py:clases"), "Did you mean 'classes'"),
        (("compare", "nets.py:small", "--data", "given.py:broken"), "no disk"),
        (("compare", "nets.py:small", "--data", "given.py:nothing"), "There is no data"),
        (("compare", "nets.py:small", "--data", "given.py:one_class"), "have one class"),
        (("compare", "nets.py:small", "--data", "no.npz"), "cannot be read"),
        (("compare", "nets.py:small"), "Missing option '--data'"),
        (("compare", "nets.py:ready", "--data", "given.py:classes"), "no function that makes a model"),
        (("compare", "nets.py:smal", "--data", "given.py:classes"), "Did you mean 'small'"),
        (("compare", "nets.py:number", "--data", "given.py:classes"), "returns no model"),
        (("compare", "nets.py:broken", "--data", "given.py:classes"), "no GPU on a Sunday"),
        (("compare", "nets.py:Angry", "--data", "given.py:classes"), "not today"),
        (("compare", "nets.py:small", "--data", "given.py:classes", "--lr", "fast"), "--lr holds no numbers"),
        (("compare", "nets.py:small", "--data", "given.py:classes", "--grid", "depth=3"), "axis of a grid"),
        (
            ("compare", "nets.py:small", "--data", "given.py:classes", "-v", "he", "--grid", "law=he"),
            "same axis",
        ),
        (("compare", "nets.py:small", "--data", "given.py:classes", "--resume"), "Name its file"),
        (("compare", "nets.py:small", "--data", "given.py:classes", "--budget", "0"), "--budget"),
        (("tune", "nets.py:small", "--data", "given.py:classes", "--folds", "99"), "99 folds"),
        (
            ("tune", "nets.py:small", "--data", "given.py:classes", "--group", "branches"),
            "the group 'branches'",
        ),
        (("tune", "nets.py:small", "--data", "given.py:classes", "--range", "2", "4"), "around 1"),
        (("tune", "nets.py:small", "--data", "given.py:classes", "--policy", "own"), "no plan"),
    ],
)
def test_errors_are_one_line_and_code_2(fanin: Run, data: str, arguments: tuple[str, ...], told: str) -> None:
    assert data
    ended = fanin(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert ended.err.count("\n") == 1


def test_a_tuned_plan_goes_on_to_init(fanin: Run, data: str, tmp_path: Path) -> None:
    ended = fanin(
        "tune", "nets.py:small", "--data", data, *SMALL, "--points", "3", "--folds", "2", "-o", "p.json"
    )
    assert ended.code == 0, ended.err
    assert "factor on all weights" in ended.out
    plan = Plan.load(tmp_path / "p.json")
    done = fanin("init", "nets.py:small", "--plan", "p.json", "-o", "w.safetensors")
    assert done.code == 0, done.err
    assert Plan.load(tmp_path / "w.plan.json") == plan
    audited = fanin("audit", "nets.py:small", "--against", "p.json", "--weights", "w.safetensors")
    assert audited.code == 0, audited.out
    twice = fanin("init", "nets.py:small", "--plan", "p.json", "--policy", "he", "-o", "v.safetensors")
    assert twice.code == 2
    assert "--plan says everything" in twice.err


def test_an_interruption_keeps_what_is_done(
    fanin: Run, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("compare", "nets.py:small", "--data", data, "-v", "he,glorot", *SMALL, "--study", "s.jsonl")
    whole = Runner.carry_out

    def stopped(self: Runner, jobs: Any) -> Any:
        whole(self, jobs[:3])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Runner, "carry_out", stopped)
        ended = fanin(*asked)
    assert (ended.code, ended.out) == (130, "")
    assert ended.err == "interrupted: s.jsonl keeps 3 runs; the same command with --resume goes on\n"
    again = fanin(*asked)
    assert again.code == 2
    assert "exists" in again.err
    done = fanin(*asked, "--resume", "--format", "json")
    assert done.code == 0, done.err
    plain = fanin(*asked[:-2], "--format", "json")
    a, b = (json.loads(text) | {"seconds": 0} for text in (done.out, plain.out))
    assert a == b
    lines = (tmp_path / "s.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 4
    (tmp_path / "s.jsonl").write_text("\n".join([*lines[:2], "nonsense", *lines[3:]]) + "\n")
    damaged = fanin(*asked, "--resume")
    assert damaged.code == 2
    assert "line 3" in damaged.err


def test_words_between_commas() -> None:
    assert words(["he,normal(std=0.02, mean=0)", " glorot , "]) == [
        "he",
        "normal(std=0.02, mean=0)",
        "glorot",
    ]
    assert grid(["schemes=he,glorot", "gain=1,2"]) == {"law": ["he", "glorot"], "gain": ["1", "2"]}
    with pytest.raises(InputError, match="AXIS=A,B"):
        grid(["scheme"])
    with pytest.raises(InputError, match="each axis once"):
        grid(["law=he", "policy=glorot"])
    with pytest.raises(UnknownNameError, match="Did you mean 'model'"):
        grid(["modell=a"])
