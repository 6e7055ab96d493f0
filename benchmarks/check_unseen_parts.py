"""What the unseen sick networks are made of: small data that are real, and small parts."""

from __future__ import annotations

import codecs
import contextlib
import importlib
import io
import itertools
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from check_blocks import Case
from sklearn.datasets import load_diabetes, load_digits
from torch import nn
from torch.nn import functional

__all__ = ["case", "diabetes", "digits", "he", "keyed", "lm_loss", "made", "mlp", "text", "xavier"]


@cache
def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def digits(shape: tuple[int, ...] = (64,), *, raw: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Scans of digits in a random order, with their classes; raw ones have grey values from 0 to 255."""
    x, y = _digits()
    x = x * (255 / 16) if raw else (x - x.mean()) / x.std()
    order = torch.randperm(len(x))
    return x[order].reshape(-1, *shape), y[order]


def diabetes() -> tuple[torch.Tensor, torch.Tensor]:
    """Ten standardised measurements of each patient, and a standardised outcome."""
    x, y = load_diabetes(return_X_y=True)
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    order = torch.randperm(len(x))
    return ((x - x.mean(0)) / x.std(0))[order], ((y - y.mean()) / y.std())[order].unsqueeze(1)


@cache
def _text() -> tuple[torch.Tensor, int]:
    with contextlib.redirect_stdout(io.StringIO()):
        zen = importlib.import_module("this").s
    letters = codecs.decode(zen, "rot13") + (codecs.__doc__ or "") + (math.__doc__ or "") + (io.__doc__ or "")
    known = sorted(set(letters))
    return torch.tensor([known.index(c) for c in letters]), len(known)


def text(length: int = 32) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Windows of the Zen of Python, letter by letter, what follows each, and the count of letters."""
    ids, vocab = _text()
    start = torch.randperm(len(ids) - length - 1)
    rows = torch.stack([ids[s : s + length + 1] for s in start.tolist()])
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous(), vocab


def lm_loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross entropy of every place."""
    return functional.cross_entropy(out.flatten(0, 1), target.flatten())


def made(model: nn.Module, args: tuple[Any, ...], target: Any = None, loss: Any = None) -> Case:
    """A case as the calibration takes it."""
    return Case(model=model, inputs=args, target=target, options={} if loss is None else {"loss": loss})


def case(model: nn.Module, data: tuple[Any, ...], n: int = 64, loss: Any = None) -> Case:
    """A case of the first rows of some data, of which the last is the target."""
    *args, target = data
    return made(model, tuple(a[:n] for a in args), target[:n], loss)


def keyed(model: nn.Module, batch: dict[str, torch.Tensor], n: int = 32) -> Case:
    """A case of the first rows of keyword inputs, with the model's own loss."""
    return made(model, ({key: value[:n] for key, value in batch.items()},))


def he(module: nn.Module) -> nn.Module:
    """He's law for every layer, biases of zero."""
    for m in module.modules():
        if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
    return module


def xavier(module: nn.Module) -> nn.Module:
    """Glorot's law for every linear layer, biases of zero."""
    for m in module.modules():
        if isinstance(m, nn.Linear):
            nn.init.xavier_normal_(m.weight)
            nn.init.zeros_(m.bias)
    return module


def mlp(sizes: list[int], act: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of these sizes, with an activation between."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        layers += [nn.Linear(a, b), *([act()] if i < len(sizes) - 2 else [])]
    return nn.Sequential(*layers)
