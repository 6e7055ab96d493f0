"""The verb: whether a model is sick at step zero, where, why, and what cures it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fanin.checks import runner
from fanin.plans import planner
from fanin.records.finding import Cure, Diagnosis, Severity
from fanin.records.plan import Plan
from fanin.records.trace import Trace
from fanin.reports.report import Report
from fanin.torch.draws import spreads
from fanin.torch.names import named_tensors
from fanin.torch.probe import measure
from fanin.torch.tiers import Clock
from fanin.torch.write import write

__all__ = ["check"]

_DRAWS = 4


def check(
    model: nn.Module | Callable[[], nn.Module],
    *inputs: object,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    seed: int = 0,
    tier: str = "standard",
    plan: Plan | None = None,
    lr: float | None = None,
    fix: bool = False,
    draws: int = _DRAWS,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> Report:
    """Measure a model on one batch and say what is wrong with it, why, and how to cure it.

    Parameters
    ----------
    model
        Any module with real weights; it is left exactly as it was. Or a function that makes one: it is
        called `draws` times, and the report says between which bounds the figures of the draws lie.
    inputs
        A batch of real data: positional arguments of the model, or one mapping of keyword ones.
    target
        Integer classes (cross-entropy), floats (mean squared error), or what `loss` takes. Without
        it the first loss is not checked, unless the model returns one.
    loss
        ``loss(output, target)``, a scalar.
    seed
        Of the random direction in which gradients are measured.
    tier
        "fast" (one pass forward, one back), "standard" (the loss's pass back besides, about 1.6 times a
        training step's passes), "deep" (curvature, Jacobian, tangent kernel, the other mode: some dozens).
    plan
        The plan that was carried out: weights that do not follow it are then found. Without it the
        yardstick is fanin's own plan, from which a healthy model may differ.
    lr
        Learning rate of plain gradient descent that is meant to be taken.
    fix
        Whether to try the plan: it is carried out, the model is measured again and put back, and the
        report says which findings the plan cures. `Report.plan` hands it over.
    draws
        Models to make, where `model` is a function.
    select, ignore
        Codes, or beginnings of codes, to report or to leave out.

    Returns
    -------
    fanin.reports.report.Report
        Prints as a table; ``.healthy``, ``.findings``, ``.verdict``, ``.plan()``, ``.save(path)``.

    Raises
    ------
    ModelError
        The model fails on this batch, or there is nothing to measure.
    InputError
        A target that does not fit the output, or no such tier.
    UnknownNameError
        No code begins like one of `select` or `ignore`.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> check(model, torch.randn(32, 4), target=torch.arange(32) % 2).healthy
    True
    """
    clock = Clock()
    made: Any = model
    others = 0
    if not isinstance(model, nn.Module) and callable(model):
        made, others = model(), max(0, draws - 1)
    asked = {"target": target, "loss": loss, "seed": seed}
    graph, trace = measure(made, *inputs, **asked, tier=tier, lr=lr, clock=clock)
    yardstick = plan or planner.plan(graph, seed=seed)
    if others and callable(model):
        with clock.part(f"{others} further draws"):
            more = [measure(model(), *inputs, **asked, tier="fast")[1] for _ in range(others)]
            trace = replace(trace, draws=others + 1, spreads=spreads([trace, *more]))
    trace = replace(trace, declared=plan is not None)
    diagnosis = runner.run(graph, yardstick, trace, select=select, ignore=ignore)
    if fix and diagnosis.findings and isinstance(made, nn.Module):
        with clock.part("the cure on trial"), _tried(made, yardstick):
            _, after = measure(made, *inputs, **asked, lr=lr)
        again = runner.run(graph, yardstick, _like(after, trace), select=select, ignore=ignore)
        diagnosis = replace(diagnosis, cure=_compared(diagnosis, again))
    environment = (
        *diagnosis.environment,
        ("torch", torch.__version__),
        ("device", _device(made)),
        ("cost", clock.said(tier)),
    )
    return Report(replace(diagnosis, environment=environment))


def _like(after: Trace, before: Trace) -> Trace:
    return replace(after, deep=before.deep, tier=before.tier, declared=before.declared)


@contextmanager
def _tried(model: nn.Module, plan: Plan) -> Iterator[None]:
    """Carry a plan out for a while: every tensor has its values back afterwards."""
    before = [(t.tensor, t.tensor.detach().clone()) for t in named_tensors(model)]
    try:
        write(model, plan)
        yield
    finally:
        for tensor, values in before:
            tensor.data.copy_(values)


def _compared(before: Diagnosis, after: Diagnosis) -> Cure:
    # What the deep tier measures is not measured again.
    was = {f.code for f in before.findings if not f.code.startswith("FAN5") and f.code != "FAN305"}
    now = {f.code for f in after.findings}
    grave = {f.code for f in after.findings if f.severity != Severity.INFO}
    return Cure(
        cured=tuple(sorted(was - now)),
        left=tuple(sorted(was & now)),
        new=tuple(sorted(grave - {f.code for f in before.findings})),
    )


def _device(model: object) -> str:
    found = model.parameters() if isinstance(model, nn.Module) else ()
    return ", ".join(sorted({str(p.device) for p in found})) or "none"
