"""Functions drawn at random and their PyTorch twins, with equal weights: the same rules say the same."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import jax
import pytest
import torch

import fanin.jax
import fanin.torch as ft
from fanin.records.finding import Diagnosis

_spec = importlib.util.spec_from_file_location(
    "fuzz_trees_of_checks", Path(__file__).parent / "fuzz_trees.py"
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["fuzz_trees_of_checks"] = _module
_spec.loader.exec_module(_module)


def both(seed: int, scale: float) -> tuple[Diagnosis, Diagnosis]:
    program = _module.Drawn(seed)
    batch, twin = program.batch(), program.twin()
    ft.init_(twin, torch.from_numpy(batch), seed=seed)
    with torch.no_grad():
        for value in twin.parameters():
            value.mul_(scale)
    tree = {name: value.detach().numpy() for name, value in twin.state_dict().items()}
    ours = fanin.jax.check(program.apply, tree, batch).diagnosis
    return ours, ft.check(twin, torch.from_numpy(batch)).diagnosis


def said(diagnosis: Diagnosis) -> tuple[list[tuple[str, str]], list[str]]:
    findings = [(f.code, str(f.severity)) for f in diagnosis.findings]
    return findings, sorted(code for code, _ in diagnosis.passed)


@pytest.mark.parametrize(("seed", "scale"), [(2, 1.0), (23, 3.0)])
def test_twins_are_judged_alike(seed: int, scale: float) -> None:
    ours, theirs = both(seed, scale)
    assert said(ours) == said(theirs)


@pytest.mark.slow
def test_many_twins_are_judged_alike() -> None:
    for seed in range(40):
        ours, theirs = both(seed, 1.0)
        assert said(ours) == said(theirs), seed
        jax.clear_caches()  # type: ignore[no-untyped-call]


def test_a_difference_would_be_seen() -> None:
    program = _module.Drawn(2)
    batch, twin = torch.from_numpy(program.batch()), program.twin()
    ft.init_(twin, batch, seed=2)
    healthy = ft.check(twin, batch).diagnosis
    with torch.no_grad():
        for value in twin.parameters():
            value.mul_(0.0)
    assert said(healthy) != said(ft.check(twin, batch).diagnosis)
