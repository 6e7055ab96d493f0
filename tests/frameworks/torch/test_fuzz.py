"""What holds for every model, tried on models drawn at random."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fanin.torch as ft
from fanin.records.plan import Plan
from fanin.torch.names import named_tensors
from fuzz_models import Drawn

FEW, MANY = 16, 300
"""Models of the default run and of the slow one."""
LUCKY = {"FAN105"}
"""Products of gates eight units wide may leave a recurrence saturated: a true finding, not a fault."""


def bits(model: nn.Module) -> dict[str, bytes]:
    return {
        name: value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        for name, value in model.state_dict().items()
        if value.numel()
    }


def state(model: nn.Module) -> list[Any]:
    modules = list(model.modules())
    return [
        bits(model), [id(t) for t in (*model.parameters(), *model.buffers())],
        [p.grad for p in model.parameters()], [p.requires_grad for p in model.parameters()],
        [m.training for m in modules], [type(m) for m in modules],
        [list(h) for m in modules for h in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks)],
        torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.is_grad_enabled(), torch.get_default_dtype(),
    ]  # fmt: skip


def hold(seed: int) -> None:
    torch.manual_seed(seed)
    model = Drawn(seed)
    told = f"seed {seed}:\n" + "\n".join(model.story)
    batch, keys, before = model.batch(), list(model.state_dict()), state(model)
    plan = ft.plan(model, batch, seed=seed)
    assert state(model) == before, told
    assert [e.name for e in plan.entries] == [t.name for t in named_tensors(model)], told
    assert not plan.unrecognised, told
    assert Plan.from_json(plan.to_json()) == plan, told
    ft.apply_(model, plan)
    once = bits(model)
    assert ft.init_(model, batch, seed=seed).entries == plan.entries, told
    assert bits(model) == once, told
    assert list(model.state_dict()) == keys, told
    _wrapped(seed, plan, once, told)
    power = float(model.eval()(batch).detach().double().square().mean())
    # Two gates in a row on eight units have a wide law; an error of a rule is larger than luck.
    assert 1e-7 < power < 1e5, (power, told)
    before = state(model.train())
    report = ft.check(model, batch)
    assert state(model) == before, told
    grave = {f.code for f in report.findings if str(f.severity) == "failure"}
    assert grave <= LUCKY, (report.verdict, told)
    assert ft.audit(model, against=plan).agrees, told


def _wrapped(seed: int, plan: Plan, once: dict[str, bytes], told: str) -> None:
    """Other numbers before, and a wrapper around: the same plan, and the same numbers after."""
    torch.manual_seed(seed + 1)
    other = Drawn(seed)
    drawn = {e.name for e in plan.entries if e.draw is not None}
    with torch.no_grad():
        for name, tensor in other.named_parameters():
            if name in drawn:
                tensor.normal_()
    around = nn.DataParallel(other) if seed % 2 else torch.compile(other, backend="eager")
    made = ft.init_(around, other.batch(), seed=seed)
    assert made.entries == plan.entries, told
    there = bits(other)
    kept = {e.name for e in plan.entries if e.draw is None}
    assert {k: v for k, v in there.items() if k not in kept} == {
        k: v for k, v in once.items() if k not in kept
    }, told


@pytest.mark.parametrize("seed", range(FEW))
def test_invariants(seed: int) -> None:
    hold(seed)


def test_a_layer_that_ends_a_branch_and_serves_elsewhere_is_not_zero() -> None:
    hold(3059)


def test_a_batch_norm_that_is_tried_alone_leaves_its_statistics() -> None:
    hold(142)


@pytest.mark.slow
def test_invariants_of_many() -> None:
    for seed in range(FEW, FEW + MANY):
        hold(seed)


def test_the_models_differ_and_have_what_they_are_made_of() -> None:
    stories = [" ".join(Drawn(seed).story) for seed in range(120)]
    assert len(set(stories)) > 110
    for part in ("attention", "LSTM", "einsum", "gate", "glu", "residual", "concat", "reused", "tied head",
                 "depthwise", "transposed", "weight_norm", "spectral_norm", "low rank", "skip"):  # fmt: skip
        assert any(part in story for story in stories), part


def test_a_model_that_is_not_put_back_would_be_seen() -> None:
    model = Drawn(3)
    before = state(model)
    model(model.batch())
    next(model.parameters()).requires_grad_(False)
    assert state(model) != before
