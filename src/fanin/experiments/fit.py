"""Training by steps, the same for every variant: what differs between two runs is how they began."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from fanin.errors import InputError, ModelError, explain, finite, nearest
from fanin.experiments.asked import count
from fanin.experiments.parts import Part
from fanin.records.study import Curve
from fanin.torch.targets import main_output

__all__ = ["OPTIMISERS", "Training", "checked_output", "fit", "one_thread"]

OPTIMISERS = ("sgd", "adam", "adamw")

_MARKS = 20
"""Points of a curve."""
_CHUNK = 512
"""Samples that are judged at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How every run is trained.

    Parameters
    ----------
    steps, batch
        Optimiser's steps, and samples in each.
    optimiser
        "sgd" (with momentum 0.9), "adam" or "adamw" (PyTorch's other settings); the rate stays constant.
    """

    steps: int
    batch: int
    optimiser: str

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            what = "There are no steps to train" if name == "steps" else "A batch has no samples"
            # NumPy's whole numbers become plain ones: a study is written as JSON.
            object.__setattr__(self, name, count(name, getattr(self, name), what))
        if self.optimiser not in OPTIMISERS:
            raise nearest(str(self.optimiser), OPTIMISERS, kind="optimiser")

    def marks(self, steps: int) -> tuple[int, ...]:
        """Steps after which a run of so many is judged: evenly spread, the last among them."""
        return tuple(sorted({max(1, round(steps * k / _MARKS)) for k in range(1, _MARKS + 1)}))


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for sums, so that they come out the same however many runs share the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fit(model: nn.Module, part: Part, training: Training, *, seed: int, rate: float, steps: int = 0) -> Curve:
    """Train a model in place on the cross entropy, and follow it.

    The order of the samples, and what the model draws while it trains (dropout), follow from `seed` alone.

    Parameters
    ----------
    model
        Takes a batch of inputs; its output (or the ``logits`` of it) has a number for each class.
    part
        What it trains on and is judged by.
    training
        Optimiser and sizes.
    seed
        Of order and dropout.
    rate
        Learning rate.
    steps
        How many, where not those of `training`.

    Returns
    -------
    Curve
        Ends at the step where the loss was no number any more, if it came to that.
    """
    total = steps or training.steps
    x, y = torch.tensor(part.x), torch.tensor(part.y)
    accuracy: list[float] = []
    loss: list[float] = []
    watched: list[float] = []
    reached: list[int] = []
    diverged: int | None = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        step = _optimiser(model, training.optimiser, rate)
        marks = set(training.marks(total))
        since: list[float] = []
        batches = _batches(len(y), training.batch, seed)
        model.train()
        for count, chosen in enumerate(itertools.islice(batches, total), 1):
            step.zero_grad()
            value = functional.cross_entropy(main_output(model(x[chosen])), y[chosen])
            since.append(value.item())
            if not math.isfinite(since[-1]):
                diverged = count
                break
            value.backward()
            step.step()
            if count in marks:
                judged = _judged(model, part.watched, part.watched_labels)
                if judged is not None and not math.isfinite(judged[0]):
                    diverged = count
                    break
                reached.append(count)
                loss.append(math.fsum(since) / len(since))
                since = []
                if judged is not None:
                    watched.append(judged[0])
                    accuracy.append(judged[1])
        end = _judged(model, part.held, part.held_labels) if diverged is None else None
    if end is not None and not math.isfinite(end[0]):
        diverged, end = total, None
    return Curve(
        seed=seed, accuracy=tuple(accuracy), loss=tuple(loss), steps=tuple(reached),
        validation=tuple(watched), learning_rate=rate, diverged=diverged,
        test_loss=None if end is None else end[0], test_accuracy=None if end is None else end[1],
    )  # fmt: skip


def _optimiser(model: nn.Module, name: str, rate: float) -> torch.optim.Optimizer:
    if not (finite(rate) and rate > 0.0):
        raise InputError(explain("A learning rate is positive and finite", received=rate))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ModelError(
            explain("The model has nothing to train", received=f"{type(model).__name__} without parameters")
        )
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9)
    return (torch.optim.AdamW if name == "adamw" else torch.optim.Adam)(parameters, lr=rate)


def _batches(samples: int, size: int, seed: int) -> Iterator[torch.Tensor]:
    """Batches without end: every sample once before any comes again; one that is not full is left out."""
    order = torch.Generator().manual_seed(seed)
    size = min(size, samples)
    while True:
        for chosen in torch.randperm(samples, generator=order).split(size):
            if len(chosen) == size:
                yield chosen


def _judged(model: nn.Module, inputs: object, labels: object) -> tuple[float, float] | None:
    """Mean loss and accuracy in evaluation mode; None where there is nothing to judge by."""
    x, y = torch.tensor(inputs), torch.tensor(labels)
    if not len(y):
        return None
    model.eval()
    right, total = 0, 0.0
    with torch.no_grad():
        for some, truth in zip(x.split(_CHUNK), y.split(_CHUNK), strict=True):
            logits = main_output(model(some))
            total += functional.cross_entropy(logits, truth, reduction="sum").item()
            right += int((logits.argmax(dim=1) == truth).sum())
    model.train()
    return total / len(y), right / len(y)


def checked_output(model: nn.Module, part: Part, classes: int, *, name: str) -> None:
    """Try a model on a few samples, so that what does not fit is said before anything is trained.

    Raises
    ------
    ModelError
        It fails on them, or its output has another shape than a number for each class.
    """
    few = torch.tensor(part.x[:8])
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            model.train()
            logits = main_output(model(few))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            explain(
                f"The model '{name}' fails on the data",
                received=f"a batch of shape {tuple(few.shape)}, {str(few.dtype).removeprefix('torch.')}: "
                f"{type(error).__name__}: {error}",
                rule="It is called with a batch of inputs alone",
            )
        ) from error
    if logits.ndim != 2 or len(logits) != len(few) or logits.shape[1] < classes:
        raise ModelError(
            explain(
                f"The output of '{name}' does not fit the labels",
                received=f"an output of shape {tuple(logits.shape)} for {len(few)} samples, "
                f"labels 0 to {classes - 1}",
                rule=f"It has a row for each sample and at least {classes} columns, one for each class",
            )
        )
