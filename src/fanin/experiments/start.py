"""How an arm looks at step zero: the first loss by law and as measured, and what a check finds."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fanin import torch as front
from fanin.errors import FaninError
from fanin.experiments.bench import Bench, Kind, begun, built
from fanin.experiments.fit import one_thread
from fanin.records.finding import Severity
from fanin.records.study import Start

__all__ = ["EXAMINED", "start"]

EXAMINED = 256
"""Samples that a check runs on: enough for statistics of every unit, and quick."""


def start(bench: Bench, kind: Kind, *, seed: int = 0, times: Mapping[str, float] | None = None) -> Start:
    """Begin a model as its arm does, and check it on the first samples.

    Parameters
    ----------
    bench, kind
        What is checked.
    seed
        Of the draws.
    times
        Factors on groups of weights.

    Returns
    -------
    Start
        Losses, and warnings and failures; an obstacle where the check could not be made.
    """
    part = bench.parts[0]
    x, y = torch.tensor(part.x[:EXAMINED]), torch.tensor(part.y[:EXAMINED])
    with one_thread():
        model = built(bench.models[kind.model], seed=seed, name=kind.model)
        begun(model, kind.variant, part, seed=seed, times=times)
        try:
            diagnosis = front.check(model, x, target=y, seed=seed).diagnosis
        except FaninError as error:
            return Start(obstacle=str(error))
    foreseen, seen = diagnosis.prediction, diagnosis.trace.loss
    return Start(
        predicted=foreseen.loss.value if foreseen is not None and foreseen.loss is not None else None,
        measured=None if seen is None else seen.value,
        findings=tuple(f for f in diagnosis.findings if f.severity != Severity.INFO),
    )
