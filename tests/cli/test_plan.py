"""``fanin plan``."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fanin.records.draw import Formula
from fanin.records.plan import Plan

pytestmark = pytest.mark.usefixtures("nets")


def test_the_table(fanin: Callable[..., Any]) -> None:
    ended = fanin("plan", "nets.py:small", "-i", "16x4", "--seed", "3")
    assert ended.code == 0
    assert ended.err == ""
    assert "feeds relu" in ended.out
    assert ended.out.splitlines()[-1].startswith("Sequential: 4 tensors (4 claimed); policy auto, seed 3")


def test_json_is_the_plan_and_nothing_else(fanin: Callable[..., Any], tmp_path: Path) -> None:
    ended = fanin("plan", "nets.py:small", "-i", "16x4", "--format", "json", "-o", str(tmp_path / "p.json"))
    assert Plan.from_json(ended.out) == Plan.load(tmp_path / "p.json")
    assert ended.err.startswith("wrote ")


def test_why(fanin: Callable[..., Any]) -> None:
    assert fanin("plan", "nets.py:small", "-i", "16x4", "--why", "0.weight").out.startswith(
        "0.weight: he_normal"
    )
    ended = fanin("plan", "nets.py:small", "-i", "16x4", "--why", "0.wait")
    assert ended.code == 2
    assert "Did you mean '0.weight'" in ended.err


def test_unfold(fanin: Callable[..., Any]) -> None:
    folded, full = (fanin("plan", "nets.py:deep", "-i", "4x64", *more).out for more in ((), ("--unfold",)))
    assert len(folded.splitlines()) < 12
    assert len(full.splitlines()) > 62


def test_rules(fanin: Callable[..., Any]) -> None:
    ended = fanin(
        "plan", "nets.py:small", "-i", "16x4", "--set", "*.weight=normal(std=0.01)", "--format", "json"
    )
    entries = {e.name: e for e in Plan.from_json(ended.out).entries}
    assert entries["0.weight"].draw is not None
    assert entries["0.weight"].draw.std == 0.01
    assert fanin("plan", "nets.py:small", "-i", "16x4", "--set", "nothing=zeros").code == 2
    assert "It is PATTERN=SCHEME" in fanin("plan", "nets.py:small", "-i", "16x4", "--set", "zeros").err


@pytest.mark.parametrize(
    ("target", "batch", "parts"),
    [
        ("nets.py:small", "nets.py:wide", ("mat1 and mat2", "'0'")),
        ("nets.py:Angry", "nets.py:batch", ("not today",)),
    ],
)
def test_a_model_that_fails_speaks_for_itself(
    fanin: Callable[..., Any], target: str, batch: str, parts: tuple[str, ...]
) -> None:
    ended = fanin("plan", target, "-b", batch)
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert all(part in ended.err for part in parts), ended.err


def test_an_unknown_policy(fanin: Callable[..., Any]) -> None:
    ended = fanin("plan", "nets.py:small", "-i", "16x4", "--policy", "autoo")
    assert ended.code == 2
    assert "'auto'" in ended.err


@pytest.mark.parametrize(
    ("text", "share"),
    [("0.9,0.1", 0.9), ("900,100", 0.9), ("2=0.9,0.1", 0.9), ("sigmoid:0.9,0.1", 0.9), ("0.25", 0.25)],
)
def test_class_priors(fanin: Callable[..., Any], text: str, share: float) -> None:
    ended = fanin("plan", "nets.py:small", "-i", "16x4", "--class-prior", text, "--format", "json")
    entry = Plan.from_json(ended.out)["2.bias"]
    assert entry.rule == "class prior"
    first = entry.draw.numbers[0] if isinstance(entry.draw, Formula) else entry.draw.value
    softmax = "," in text and "sigmoid" not in text
    assert first == pytest.approx(math.log(share) if softmax else math.log(share / (1 - share)))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("0.9,x",), "cannot be read"),
        (("tanh:0.9,0.1",), "cannot be read"),
        (("0.9,0.1", "0.5"), "need a head each"),
        (("0.9,0.2",), "do not add up to 1"),
    ],
)
def test_class_priors_that_cannot_be(fanin: Callable[..., Any], texts: tuple[str, ...], message: str) -> None:
    options = [word for text in texts for word in ("--class-prior", text)]
    ended = fanin("plan", "nets.py:small", "-i", "16x4", *options)
    assert ended.code == 2
    assert message in ended.err


def test_modifiers_that_find_nothing(fanin: Callable[..., Any]) -> None:
    ended = fanin("plan", "nets.py:small", "-i", "16x4", "--policy", "he+zero-out")
    assert ended.code == 2
    assert "finds nothing to change in Sequential" in ended.err
    assert "modifier of a policy" in fanin("explain", "zero-out").out
    assert "What changes the answers" in fanin("explain", "he+zero-out").out


@pytest.mark.parametrize("ending", ["svg", "png", "pdf", "dot", "txt"])
def test_drawings(fanin: Callable[..., Any], tmp_path: Path, ending: str) -> None:
    if ending in ("svg", "png", "pdf") and shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    ended = fanin("plan", "nets.py:deep", "-i", "4x64", "--graph", f"out.{ending}")
    assert ended.code == 0
    assert f"drew out.{ending}" in ended.err
    content = (tmp_path / f"out.{ending}").read_bytes()
    marks = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph", "txt": b"(head)"}
    assert marks[ending] in content
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == [f"out.{ending}"]


def test_without_graphviz_the_drawing_is_text(
    fanin: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    ended = fanin("plan", "nets.py:small", "-i", "16x4", "--graph", "out.svg")
    assert ended.code == 0
    assert "Graphviz is not installed: the graph is written as text instead" in ended.err
    assert "linear (head)" in (tmp_path / "out.txt").read_text(encoding="utf-8")
    assert not (tmp_path / "out.svg").exists()


def test_a_graphviz_that_fails_says_why(
    fanin: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho no fonts >&2\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(program))
    ended = fanin("plan", "nets.py:small", "-i", "16x4", "--graph", "out.png")
    assert "Graphviz failed (no fonts)" in ended.err
    assert (tmp_path / "out.txt").exists()


@pytest.mark.parametrize(
    ("name", "message"), [("out.gif", "It ends in .svg, .png"), ("nowhere/out.dot", "cannot be written")]
)
def test_drawings_that_cannot_be(fanin: Callable[..., Any], name: str, message: str) -> None:
    ended = fanin("plan", "nets.py:small", "-i", "16x4", "--graph", name)
    assert ended.code == 2
    assert message in ended.err


def test_a_misspelt_policy_is_said_before_the_model_is_built(fanin: Callable[..., Any]) -> None:
    ended = fanin("plan", "nets.py:broken", "-i", "16x4", "--policy", "autoo")
    assert "Did you mean 'auto'" in ended.err
    assert "no GPU on a Sunday" in fanin("plan", "nets.py:broken", "-i", "16x4").err
