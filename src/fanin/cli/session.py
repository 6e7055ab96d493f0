"""What plan, init and check have in common: a model, its batch, its plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from fanin import torch as front
from fanin.cli import batches, rules, targets
from fanin.cli.output import progress
from fanin.records.plan import Plan

__all__ = ["Planned", "planned", "prepared"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A model with its batch and its plan; the model is as its own code made it."""

    model: nn.Module
    batch: batches.Batch
    plan: Plan


def prepared(
    target: str, inputs: Sequence[str], batch: str | None, *, seed: int
) -> tuple[nn.Module, batches.Batch]:
    """Build the model and the batch."""
    progress(f"building {target}")
    model = targets.load(target, seed=seed)
    made = batches.make(model, inputs, batch)
    progress("")
    return model, made


def planned(
    target: str, inputs: Sequence[str], batch: str | None, *, policy: str, seed: int, rules: Sequence[str]
) -> Planned:
    """Build the model and the batch, and plan."""
    model, made = prepared(target, inputs, batch, seed=seed)
    progress("planning")
    plan = front.plan(model, *made.inputs, policy=policy, seed=seed)
    progress("")
    return Planned(model, made, _with(plan, rules))


def _with(plan: Plan, texts: Sequence[str]) -> Plan:
    return rules.apply(plan, texts)
