"""Sick networks: each raises its finding with its cause, and what init can cure is cured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fanin.torch
from fanin.records.finding import Finding, Severity

CLASSES = 10
X = torch.randn(128, 64, generator=torch.Generator().manual_seed(11))
Y = torch.arange(128) % CLASSES


def mlp(depth: int, activation: type[nn.Module] = nn.ReLU, weight: Callable[[Any], Any] | None = None) -> Any:
    """A chain of `depth` linear layers of width 128; `weight` draws them all, biases are zero."""
    torch.manual_seed(5)
    layers: list[nn.Module] = []
    for i in range(depth - 1):
        layers += [nn.Linear(64 if i == 0 else 128, 128), activation()]
    model = nn.Sequential(*layers, nn.Linear(128, CLASSES))
    for layer in model:
        if isinstance(layer, nn.Linear) and weight is not None:
            weight(layer.weight)
            nn.init.zeros_(layer.bias)
    return model


class Unnormalised(nn.Module):
    """Residual branches with He's weights and no norm: the stream grows past float32."""

    def __init__(self, branches: int) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.head = nn.Linear(64, 64), nn.Linear(64, CLASSES)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)) for _ in range(branches)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for branch in self.branches:
            x = x + branch(x)
        out: torch.Tensor = self.head(x)
        return out


def alarms(model: nn.Module) -> list[Finding]:
    found = fanin.torch.check(model, X, target=Y).findings
    return [f for f in found if f.severity != Severity.INFO]


@pytest.mark.parametrize(
    ("build", "code", "cause"),
    [
        (lambda: mlp(50), "FAN102", "framework's default law"),
        (lambda: mlp(30, weight=nn.init.xavier_normal_), "FAN101", "gain 1 where relu needs 1.414"),
        (lambda: mlp(6, weight=nn.init.normal_), "FAN101", "std 1 whatever the width"),
        (lambda: mlp(5, nn.Tanh, nn.init.normal_), "FAN105", "std 1 whatever the width"),
        (lambda: mlp(4, weight=lambda w: nn.init.constant_(w, 0.1)), "FAN201", "constant"),
        (lambda: Unnormalised(64), "FAN101", "64 residual branches without a norm"),
        (lambda: Unnormalised(400), "FAN101", "residual branches without a norm"),
    ],
    ids=["default", "glorot", "std 1", "saturated", "constant", "branches", "beyond float32"],
)
def test_what_init_cures(build: Callable[[], nn.Module], code: str, cause: str) -> None:
    model = build()
    found = alarms(model)
    assert code in [f.code for f in found]
    assert any(cause in f.cause for f in found)
    fanin.torch.init_(model, X)
    assert alarms(model) == []


def test_a_deep_sigmoid_stack_is_not_cured_and_told_so() -> None:
    model = mlp(20, nn.Sigmoid, nn.init.xavier_normal_)
    fanin.torch.init_(model, X)
    [finding] = alarms(model)
    assert finding.code == "FAN102"
    assert "18 times sigmoid" in finding.cause
    assert finding.fix.startswith("No scale of the weights cures this")


@pytest.mark.parametrize("depth", [5, 30, 100])
def test_tanh_of_any_depth_is_healthy_after_init(depth: int) -> None:
    model = mlp(depth, nn.Tanh)
    plan = fanin.torch.init_(model, X)
    assert alarms(model) == []
    gain = plan["2.weight"].gain
    assert gain is not None
    # 1 / sqrt(E tanh^2) keeps the signal; a deep chain takes less, and never less than tanh'(0) = 1.
    keeping = 1 / math.sqrt(np.mean(np.tanh(np.random.default_rng(0).standard_normal(10**6)) ** 2))
    assert gain == pytest.approx(keeping, rel=5e-3) if depth == 5 else 1.0 < gain < 0.9 * keeping
    assert ("for the gradient's sake" in plan["2.weight"].reason) == (depth > 5)
