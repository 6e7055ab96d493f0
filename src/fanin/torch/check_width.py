"""The verb: whether what suits a narrow model suits a wide one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fanin.checks import runner
from fanin.checks.asked import codes, whole_number
from fanin.checks.tiers import Clock
from fanin.plans import planner
from fanin.reports.report import Report
from fanin.torch.guards import memory_told
from fanin.torch.inputs import as_call
from fanin.torch.origin import origin
from fanin.torch.probe import measure
from fanin.torch.sandbox import keep_loss, keep_random_state
from fanin.torch.widths import OptimizerMaker, made_at, measure_widths, widths_of

__all__ = ["check_width"]


def check_width(
    make: Callable[[int], nn.Module],
    *inputs: object,
    widths: Sequence[int] = (64, 128, 256, 512),
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    optimizer: str | OptimizerMaker = "adam",
    lr: float | None = None,
    steps: int = 3,
    draws: int = 3,
    seed: int = 0,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> Report:
    """Check a model at several widths: whether outputs, and what steps change of them, keep their size.

    For every layer, ``size = c width^b`` is fitted to the root mean square of its output, and to that of the
    change that a few steps make. Exponents of 0 mean that learning rate and law can be carried from a narrow
    model to a wide one (the coordinate check of muP, with a verdict: rule FAN504).

    Parameters
    ----------
    make
        ``make(width)`` builds and draws the model. Batch and target are the same for all widths.
    inputs
        A batch, as `fanin.torch.check` takes it.
    widths
        Three different ones or more.
    target, loss
        As `fanin.torch.check` takes them.
    optimizer
        "adam", "sgd", or a function from the model to its optimiser: groups of parameters with learning rates
        of their own are how muP is written down.
    lr
        Learning rate of the former two; 1e-3 and 0.1 if none is given.
    steps
        Steps to take on the batch.
    draws
        Models to make of each width; their scatter gives the exponents' errors.
    seed
        Of the draws, and of the check.
    select, ignore
        Codes, or beginnings of codes, to report or to leave out.

    Returns
    -------
    fanin.reports.report.Report
        Of the widest model in the standard tier, with FAN504; ``.diagnosis.trace.scaling`` has all exponents.

    Raises
    ------
    InputError
        Fewer than three widths, no such optimiser, no loss to take a step of, or a `make` that makes no
        model, or the same sizes at every width.
    ModelError
        A model fails, or models of different widths do not have the same layers.

    Examples
    --------
    >>> import torch
    >>> def make(width):
    ...     return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 4))
    >>> x, y = torch.randn(32, 8), torch.arange(32) % 4
    >>> report = check_width(make, x, target=y, widths=(64, 128, 256), select=["FAN504"])
    >>> [finding.code for finding in report.findings]
    ['FAN504']

    References
    ----------
    G. Yang, E. J. Hu et al., Tensor Programs V, 2022, appendix D.
    """
    args, kwargs = as_call(inputs)
    widths, clock = widths_of(widths), Clock()
    steps, draws = whole_number("steps", steps, least=1), whole_number("draws", draws, least=1)
    seed, select, ignore = whole_number("seed", seed), codes("select", select), codes("ignore", ignore)
    runner.chosen(select, ignore)
    with memory_told(), keep_loss(loss), clock.part(f"{len(widths) * draws} models of {len(widths)} widths"):
        scaling = measure_widths(
            make,
            args,
            kwargs,
            widths=widths,
            target=target,
            loss=loss,
            optimizer=optimizer,
            lr=lr,
            steps=steps,
            draws=draws,
            seed=seed,
        )
    with keep_random_state(), keep_loss(loss):
        widest = made_at(make, max(widths), seed)
        graph, trace = measure(widest, *inputs, target=target, loss=loss, seed=seed, clock=clock)
    trace = replace(trace, scaling=scaling)
    diagnosis = runner.run(graph, planner.plan(graph, seed=seed), trace, select=select, ignore=ignore)
    added = (("torch", torch.__version__), ("cost", clock.said("standard")))
    environment = (*diagnosis.environment, *added)
    return Report(replace(diagnosis, environment=environment, origin=origin(widest, make)))
