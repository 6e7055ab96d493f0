"""The verb: whether a model is sick at step zero, where, why, and what cures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fanin.checks import runner
from fanin.plans import planner
from fanin.reports.report import Report
from fanin.torch.probe import measure

__all__ = ["check"]


def check(
    model: nn.Module,
    *inputs: object,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    seed: int = 0,
) -> Report:
    """Measure a model on one batch and say what is wrong with it, why, and how to cure it.

    Parameters
    ----------
    model
        Any module with real weights. It is left exactly as it was.
    inputs
        A batch of real data: positional arguments of the model, or one mapping of keyword ones.
    target
        Integer classes (cross-entropy), floats (mean squared error), or what `loss` takes. Without
        it the first loss is not checked, unless the model returns one.
    loss
        ``loss(output, target)``, a scalar.
    seed
        Of the random direction in which gradients are measured.

    Returns
    -------
    fanin.reports.report.Report
        Prints as a table; ``.healthy``, ``.findings``, ``.verdict``, ``.save(path)``.

    Raises
    ------
    ModelError
        The model fails on this batch, or there is nothing to measure.
    InputError
        A target that does not fit the output.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> check(model, torch.randn(32, 4), target=torch.arange(32) % 2).healthy
    True
    """
    graph, trace = measure(model, *inputs, target=target, loss=loss, seed=seed)
    diagnosis = runner.run(graph, planner.plan(graph, seed=seed), trace)
    environment = (*diagnosis.environment, ("torch", torch.__version__), ("device", _device(model)))
    return Report(replace(diagnosis, environment=environment))


def _device(model: nn.Module) -> str:
    places = sorted({str(p.device) for p in model.parameters()})
    return ", ".join(places) or "none"
