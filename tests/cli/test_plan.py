"""``fanin plan``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
