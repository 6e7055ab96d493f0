# ruff: noqa: E501 - messages are compared whole
"""From a TARGET to a model: what works, and what each mistake is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fanin.cli.targets import load
from fanin.errors import TargetError

pytestmark = pytest.mark.usefixtures("nets")


@pytest.mark.parametrize("target", ["nets.py:small", "nets:small", "nets:ready", "nets.py:Words"])
def test_forms_of_a_target(target: str) -> None:
    assert isinstance(load(target, seed=0), torch.nn.Module)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("nets.py", "TARGET does not say what to take from where. Received: 'nets.py'. It is module:callable, file.py:callable, or hf:CONFIG.json."),
        ("nosuch:net", "TARGET names a module that cannot be found. Received: 'nosuch'. Run from the folder that holds it, or name a file: path/to/file.py:callable."),
        ("nosuch.py:net", "TARGET names a file that is not there. Received: 'nosuch.py'."),
        ("nets.py:smal", "TARGET 'nets.py:smal': Unknown name in nets.py. Received: 'smal'."),
        ("nets.py:number", "TARGET 'nets.py:number' returns no model. Received: int. A callable TARGET returns a torch.nn.Module."),
        ("nets.py:WIDTH", "TARGET 'nets.py:WIDTH' is no model. Received: int. It is a torch.nn.Module, or a function or class that makes one."),
        ("nets.py:broken", "TARGET 'nets.py:broken' raises an error when it is called without arguments. Received: RuntimeError: no GPU on a Sunday. Name a function that takes no arguments and returns the model."),
        ("hf:nowhere", "An hf: TARGET names no configuration on this machine. Received: 'nowhere'. It is hf: and a config.json, or a folder that holds one; nothing is downloaded."),
    ],
)  # fmt: skip
def test_mistakes_are_named(fanin: Callable[..., Any], target: str, text: str) -> None:
    ended = fanin("plan", target, "-i", "2x4")
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith(f"error: {text}")
    assert ended.err.count("\n") == 1


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(TargetError, match="Did you mean 'small'"):
        load("nets.py:smal", seed=0)


@pytest.mark.parametrize("content", ["import nosuchpackage", "def (", "1 / 0"])
def test_a_file_that_does_not_import(fanin: Callable[..., Any], tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.py").write_text(content, encoding="utf-8")
    ended = fanin("plan", "bad.py:net", "-i", "2x4")
    assert ended.code == 2
    assert ended.err.startswith("error: Importing 'bad.py' (TARGET) raises an error. Received: ")
    assert "bad" not in sys.modules


def test_the_seed_decides_what_the_model_draws() -> None:
    a, b, c = (load("nets.py:small", seed=seed)[0].weight for seed in (1, 1, 2))  # type: ignore[index]
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_the_users_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    load("nets.py:small", seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
