"""Small real tasks: drawn afresh from a generator, so that training is no memorising."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor


class Case(NamedTuple):
    """A network, the batches it trains on, its loss, its learning rate."""

    model: torch.nn.Module
    draw: Callable[[torch.Generator], tuple[tuple[Any, ...], Any]]
    loss: Callable[..., Tensor] | None = None
    lr: float = 1e-3
    chance: float | None = None


_DIGITS = datasets.load_digits()
IMAGES = torch.tensor((_DIGITS.images / 8 - 1).astype(np.float32))  # -1 to 1
LABELS = torch.tensor(_DIGITS.target)
_TEXT = " ".join(
    load().DESCR
    for load in (datasets.load_wine, datasets.load_breast_cancer, datasets.load_diabetes, datasets.load_iris)
).lower()
ALPHABET = sorted(set(_TEXT))
TEXT = torch.tensor([ALPHABET.index(letter) for letter in _TEXT])
LETTERS = 64  # the alphabet has fewer


def digits(g: torch.Generator, n: int = 32, *, size: int = 8, channels: int = 1) -> tuple[Tensor, Tensor]:
    """Scans of digits (n, channels, size, size) and their classes."""
    at = torch.randint(len(IMAGES), (n,), generator=g)
    images = IMAGES[at][:, None]
    if size != 8:
        images = torch.nn.functional.interpolate(images, size=(size, size), mode="bilinear")
    return images.repeat(1, channels, 1, 1), LABELS[at]


def text(g: torch.Generator, n: int = 16, length: int = 24) -> Tensor:
    """Pieces of English text, as letters 0 to 63: (n, length)."""
    at = torch.randint(len(TEXT) - length, (n, 1), generator=g)
    return TEXT[at + torch.arange(length)]


def waves(g: torch.Generator, n: int = 16, length: int = 64) -> tuple[Tensor, Tensor]:
    """Sums of two sines with noise, and the class of the faster one's frequency (4 classes)."""
    kind = torch.randint(4, (n,), generator=g)
    t = torch.arange(length) / length
    phase = 2 * math.pi * torch.rand(n, 2, generator=g)
    slow = torch.sin(2 * math.pi * 1.5 * t + phase[:, :1])
    fast = torch.sin(2 * math.pi * (3.0 + 2.5 * kind[:, None]) * t + phase[:, 1:])
    return slow + fast + 0.1 * torch.randn(n, length, generator=g), kind
