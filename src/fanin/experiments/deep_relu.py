"""He et al. 2015 in small: a deep ReLU network that does not train from a framework's default.

The paper's figure 3 shows a network of 30 weight layers that stalls with the initialisation of the
time and converges with ``std = sqrt(2 / fan_in)``. This is the same experiment on real digits, with
an ordinary ``nn.Module`` and today's default of PyTorch as the baseline.

References
----------
K. He et al., Delving Deep into Rectifiers, 2015, section 2.2 and figure 3.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from fanin import torch as front
from fanin.errors import InputError, explain
from fanin.experiments.data import Data
from fanin.experiments.train import Recipe, train
from fanin.records.plan import Plan
from fanin.records.study import Curve
from fanin.reports.report import Report

__all__ = ["DeepReLU", "Settings", "examine", "initialised", "network", "run"]

_EXAMINED = 256
"""Samples that a check runs on: enough for statistics of every unit, and quick."""


class DeepReLU(nn.Module):
    """Weight layers with a ReLU between each two, and nothing else: no norm, no skip connection."""

    def __init__(self, inputs: int, classes: int, *, layers: int, width: int) -> None:
        super().__init__()
        sizes = [inputs, *[width] * (layers - 1), classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of a batch of rows."""
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        logits: torch.Tensor = self.layers[-1](x)
        return logits


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Size of the network, how it is trained, and how often."""

    layers: int
    width: int
    seeds: int
    recipe: Recipe

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.seeds, self.recipe.epochs) < 1:
            raise InputError(
                explain(
                    "The experiment needs at least one layer, unit, seed and epoch",
                    received=f"{self.layers} layers, {self.width} units, {self.seeds} seeds, "
                    f"{self.recipe.epochs} epochs",
                )
            )


def network(settings: Settings, data: Data, *, seed: int) -> DeepReLU:
    """Build the network; its weights are PyTorch's default under ``torch.manual_seed(seed)``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DeepReLU(data.train.shape[1], data.classes, layers=settings.layers, width=settings.width)


def initialised(settings: Settings, data: Data, *, seed: int) -> tuple[DeepReLU, Plan]:
    """Build the same network and let fanin initialise it."""
    model = network(settings, data, seed=seed)
    return model, front.init_(model, _batch(data)[0], seed=seed)


def examine(model: nn.Module, data: Data) -> Report:
    """Check a network on the first training samples."""
    images, labels = _batch(data)
    return front.check(model, images, target=labels, loss=nn.functional.cross_entropy)


def _batch(data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(data.train[:_EXAMINED]), torch.from_numpy(data.train_labels[:_EXAMINED])


def run(
    settings: Settings,
    data: Data,
    build: Callable[[int], nn.Module],
    *,
    after_epoch: Callable[[int, int], None] | None = None,
) -> tuple[Curve, ...]:
    """Train one network a seed.

    Parameters
    ----------
    build
        Makes the network of a seed.
    after_epoch
        Called with the seed and the epoch that ended.
    """

    def told(seed: int) -> Callable[[int], None] | None:
        return None if after_epoch is None else lambda epoch: after_epoch(seed, epoch)

    return tuple(
        train(build(seed), data, settings.recipe, seed=seed, after_epoch=told(seed))
        for seed in range(settings.seeds)
    )
