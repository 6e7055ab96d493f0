"""A plain training loop whose every choice is in its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from fanin.experiments.data import Data
from fanin.records.study import Curve

__all__ = ["Recipe", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Stochastic gradient descent with momentum on the cross entropy."""

    epochs: int
    learning_rate: float
    momentum: float = 0.9
    batch: int = 64


def train(
    model: nn.Module,
    data: Data,
    recipe: Recipe,
    *,
    seed: int,
    after_epoch: Callable[[int], None] | None = None,
) -> Curve:
    """Train a model in place and measure it after every epoch.

    The order of the samples follows from `seed` alone, so two models that are trained with one seed
    see the same batches.

    Parameters
    ----------
    model
        Takes rows of pixels and gives logits.
    data, recipe
        What to train on, and how.
    seed
        Of the order of the samples.
    after_epoch
        Called with the number of the epoch that ended, from 1.
    """
    images, labels = torch.from_numpy(data.train), torch.from_numpy(data.train_labels)
    order = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
    accuracy: list[float] = []
    loss: list[float] = []
    for epoch in range(1, recipe.epochs + 1):
        total = 0.0
        model.train()
        for chosen in torch.randperm(len(labels), generator=order).split(recipe.batch):
            optimiser.zero_grad()
            value = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
            value.backward()
            optimiser.step()
            total += value.item() * len(chosen)
        loss.append(total / len(labels))
        accuracy.append(_accuracy(model, data))
        if after_epoch is not None:
            after_epoch(epoch)
    return Curve(seed=seed, accuracy=tuple(accuracy), loss=tuple(loss))


def _accuracy(model: nn.Module, data: Data) -> float:
    model.eval()
    with torch.no_grad():
        guessed = model(torch.from_numpy(data.test)).argmax(dim=1).numpy()
    return float((guessed == data.test_labels).mean())
