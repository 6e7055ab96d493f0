"""What plan, init and check have in common: a model, its batch, its plan."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from fanin.cli import batches, priors, rules, targets
from fanin.cli.output import progress, talk
from fanin.errors import ModelError
from fanin.plans import planner, policies
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.torch.parametrised import adjusted, check_plain
from fanin.torch.read import read

__all__ = ["Planned", "Wishes", "planned", "prepared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a model is to be planned, in the words of the command line."""

    policy: str
    seed: int
    rules: Sequence[str] = ()
    priors: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """A model with its batch, its graph and its plan; the model is as its own code made it."""

    model: nn.Module
    batch: batches.Batch
    graph: Graph
    plan: Plan


def prepared(
    target: str, inputs: Sequence[str], batch: str | None, *, seed: int, meta: bool = False
) -> tuple[nn.Module, batches.Batch]:
    """Build the model and the batch."""
    progress(f"building {target}")
    with talk():
        model = targets.load(target, seed=seed, meta=meta)
        made = batches.make(model, inputs, batch)
    progress("")
    return model, made


def planned(
    target: str, inputs: Sequence[str], batch: str | None, wanted: Wishes, *, memory: bool = True
) -> Planned:
    """Build the model and the batch, and plan.

    Without `memory` a configuration is planned on the meta device, so that its size does not matter;
    a model that cannot be read there is built after all.
    """
    if not memory and target.startswith("hf:"):
        with contextlib.suppress(ModelError, NotImplementedError):
            return _planned(target, inputs, batch, wanted, meta=True)
    return _planned(target, inputs, batch, wanted, meta=False)


def _planned(target: str, inputs: Sequence[str], batch: str | None, wanted: Wishes, *, meta: bool) -> Planned:
    # What is misspelt is said before a model is built.
    prior, policy = priors.read(wanted.priors), policies.get(wanted.policy)
    model, made = prepared(target, inputs, batch, seed=wanted.seed, meta=meta)
    progress("planning")
    check_plain(model)
    try:
        with talk():
            graph = read(model, *made.inputs)
    except ModelError as error:
        if not made.source.startswith("made up"):
            raise
        own = "The inputs were made up from the configuration; give your own: --batch file.py:make_batch."
        raise ModelError(f"{error} {own}") from error
    plan = adjusted(model, planner.plan(graph, policy=policy, seed=wanted.seed, class_prior=prior))
    progress("")
    return Planned(model, made, graph, rules.apply(plan, wanted.rules))
