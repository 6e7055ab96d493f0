"""What plan, init and check have in common: a model, its batch, its plan."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from fanin import torch as front
from fanin.cli import batches, rules, targets
from fanin.cli.output import progress
from fanin.errors import ModelError
from fanin.records.plan import Plan

__all__ = ["Planned", "planned", "prepared"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A model with its batch and its plan; the model is as its own code made it."""

    model: nn.Module
    batch: batches.Batch
    plan: Plan


def prepared(
    target: str, inputs: Sequence[str], batch: str | None, *, seed: int, meta: bool = False
) -> tuple[nn.Module, batches.Batch]:
    """Build the model and the batch."""
    progress(f"building {target}")
    model = targets.load(target, seed=seed, meta=meta)
    made = batches.make(model, inputs, batch)
    progress("")
    return model, made


def planned(
    target: str,
    inputs: Sequence[str],
    batch: str | None,
    *,
    policy: str,
    seed: int,
    rules: Sequence[str],
    memory: bool = True,
) -> Planned:
    """Build the model and the batch, and plan.

    Without `memory` a configuration is planned on the meta device, so that its size does not matter;
    a model that cannot be read there is built after all.
    """
    if not memory and target.startswith("hf:"):
        with contextlib.suppress(ModelError, NotImplementedError):
            return _planned(target, inputs, batch, policy, seed, rules, meta=True)
    return _planned(target, inputs, batch, policy, seed, rules, meta=False)


def _planned(
    target: str,
    inputs: Sequence[str],
    batch: str | None,
    policy: str,
    seed: int,
    texts: Sequence[str],
    *,
    meta: bool,
) -> Planned:
    model, made = prepared(target, inputs, batch, seed=seed, meta=meta)
    progress("planning")
    plan = front.plan(model, *made.inputs, policy=policy, seed=seed)
    progress("")
    return Planned(model, made, rules.apply(plan, texts))
