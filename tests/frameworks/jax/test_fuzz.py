"""What holds for every function of a tree, tried on functions drawn at random and on their PyTorch twins."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch

import fanin.jax
import fanin.torch as ft
from fanin.records.plan import Entry, Plan

_spec = importlib.util.spec_from_file_location("fuzz_trees", Path(__file__).parent / "fuzz_trees.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["fuzz_trees"] = _module
_spec.loader.exec_module(_module)
Drawn = _module.Drawn

FEW, MANY = 4, 300
"""Functions of the default run and of the slow one."""


def bits(tree: dict[str, Any]) -> dict[str, bytes]:
    return {name: np.asarray(value).tobytes() for name, value in tree.items()}


def law(entry: Entry) -> tuple[Any, ...]:
    """What both frameworks say of a tensor; the words of a reason name the framework's own operators.

    Activations are computed by the frameworks themselves, so a std has their rounding: 1e-15 of itself.
    """
    draws = [None if one is None else (type(one).__name__, f"{one.std:.12g}") for one in
             (entry.draw, *(block.draw for block in entry.blocks))]  # fmt: skip
    return entry.name, str(entry.status), entry.scheme, entry.shape, draws


def hold(seed: int) -> None:
    program = Drawn(seed)
    told = f"seed {seed}:\n" + "\n".join(program.story)
    tree, batch = program.tree(), program.batch()
    before = bits(tree), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    plan = fanin.jax.plan(program.apply, tree, batch, seed=seed)
    made = fanin.jax.init(program.apply, tree, batch, seed=seed)
    assert (bits(tree), random.getstate(), np.random.get_state()[1].tolist()) == before, told  # noqa: NPY002
    assert sorted(e.name for e in plan.entries) == sorted(tree), told
    assert not plan.unrecognised, told
    assert Plan.from_json(plan.to_json()) == plan, told
    assert jax.tree.structure(made) == jax.tree.structure(tree), told
    assert {k: (v.shape, v.dtype) for k, v in made.items()} == {
        k: (v.shape, v.dtype) for k, v in tree.items()
    }, told
    once = bits(made)
    assert bits(fanin.jax.apply_plan(tree, plan)) == once, told
    drawn = {e.name for e in plan.entries if e.draw is not None}
    assert all(once[k] == before[0][k] for k in tree if k not in drawn), told
    # (A constant may be what is there already.)
    assert all(once[e.name] != before[0][e.name] for e in plan.entries if e.std), told
    # Other numbers in the tree, or none: the same plan.
    shapes = {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in tree.items()}
    assert fanin.jax.plan(program.apply, shapes, batch, seed=seed).entries == plan.entries, told
    power = float(np.square(np.asarray(program.apply(made, batch), np.float64)).mean())
    assert 1e-7 < power < 1e5, (power, told)
    twin = program.twin()
    theirs = ft.init_(twin, torch.from_numpy(batch), seed=seed)
    assert sorted(map(law, theirs.entries), key=str) == sorted(map(law, plan.entries), key=str), told
    assert {k: v.detach().numpy().tobytes() for k, v in twin.state_dict().items()} == once, told


@pytest.mark.parametrize("seed", range(FEW))
def test_invariants(seed: int) -> None:
    hold(seed)


@pytest.mark.slow
def test_invariants_of_many() -> None:
    for seed in range(FEW, FEW + MANY):
        hold(seed)
        jax.clear_caches()


def test_the_functions_differ_and_have_what_they_are_made_of() -> None:
    stories = [" ".join(Drawn(seed).story) for seed in range(80)]
    assert len(set(stories)) > 70
    for part in ("embedding", "residual", "gate", "einsum", "concat", "attention", "tied head", "layer norm",
                 "rms norm", "scale", "pool"):  # fmt: skip
        assert any(part in story for story in stories), part


def test_a_twin_of_another_law_would_be_seen() -> None:
    program = Drawn(0)
    plan = fanin.jax.plan(program.apply, program.tree(), program.batch())
    other = fanin.jax.plan(program.apply, program.tree(), program.batch(), policy="glorot")
    assert sorted(map(law, plan.entries), key=str) != sorted(map(law, other.entries), key=str)
