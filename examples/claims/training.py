"""What the examples share: real digits, a training loop that stops at NaN, and a table."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

import fanin.torch
from fanin.experiments.data import Data, load
from fanin.records.table import render

__all__ = ["accuracy", "digits", "full", "initialised", "show"]


def digits() -> Data:
    """1,797 scans of digits that come with scikit-learn, split and standardised."""
    return load("digits")


def full(description: str | None) -> bool:
    """Whether the command line asks for the whole experiment; without, a few seconds of it are run."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the whole experiment, up to a minute")
    asked: bool = parser.parse_args().full
    return asked


def initialised(model: nn.Module, policy: str, seed: int, *, size: tuple[int, ...] = (2, 64)) -> nn.Module:
    """The model as a policy of fanin initialises it."""
    fanin.torch.init_(model, torch.zeros(size), policy=policy, seed=seed)
    return model


def accuracy(
    model: nn.Module, data: Data, *, rate: float, epochs: int, seed: int, adam: bool = False
) -> float:
    """Test accuracy after training in batches of 64; NaN if the loss stops being a number."""
    images, labels = torch.from_numpy(data.train), torch.from_numpy(data.train_labels)
    order = torch.Generator().manual_seed(seed)
    parameters = list(model.parameters())
    optimiser = torch.optim.Adam(parameters, lr=rate) if adam else torch.optim.SGD(parameters, lr=rate)
    for _ in range(epochs):
        for chosen in torch.randperm(len(labels), generator=order).split(64):
            optimiser.zero_grad()
            loss = functional.cross_entropy(model(images[chosen]), labels[chosen])
            if not math.isfinite(loss.item()):
                return math.nan
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        guessed = model(torch.from_numpy(data.test)).argmax(dim=1).numpy()
    return float((guessed == data.test_labels).mean())


def show(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; fractions with two digits."""
    told = [tuple(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row) for row in rows]
    print(render(header, told))
