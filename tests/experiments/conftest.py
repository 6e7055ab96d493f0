"""A problem that a small network learns in a few steps, and networks for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from torch import nn

from fanin.experiments.data import Data


@pytest.fixture(scope="session")
def rings() -> Data:
    """Three classes by the distance from the origin, in eight dimensions: no line separates them."""
    draws = np.random.default_rng(0)
    x = draws.normal(size=(360, 8)).astype(np.float32)
    radius = np.linalg.norm(x, axis=1)
    y = np.digitize(radius, np.quantile(radius, [1 / 3, 2 / 3])).astype(np.int64)
    return Data(
        name="rings", source="three rings, drawn", classes=3, train=x[:270], train_labels=y[:270],
        test=x[270:], test_labels=y[270:],
    )  # fmt: skip


@pytest.fixture(scope="session")
def net() -> Callable[..., nn.Module]:
    """Makes weight layers with ReLU between."""

    def make(depth: int = 4, width: int = 16) -> nn.Module:
        sizes = [8, *[width] * (depth - 1), 3]
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    return make
