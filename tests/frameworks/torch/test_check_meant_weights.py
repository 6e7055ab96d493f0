"""Weights that are as they are for a reason: frozen ones, and orthogonal ones before odd functions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import fanin.torch
from fanin.records.finding import Severity
from fanin.reports.report import Report


def severities(report: Report) -> dict[str, Severity]:
    return {f.code: f.severity for f in report.findings}


def checked(model: nn.Module) -> dict[str, Severity]:
    x = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    return severities(fanin.torch.check(model, x, target=torch.arange(64) % 4))


def network(function: type[nn.Module]) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(32, 64), function(), nn.Linear(64, 64), function(), nn.Linear(64, 4)]
    model = nn.Sequential(*layers)
    fanin.torch.init_(model, torch.zeros(2, 32), seed=0)
    return model


def shifted(*, frozen: bool) -> nn.Sequential:
    model = network(nn.ReLU)
    with torch.no_grad():
        model[2].weight.add_(0.5 * model[2].weight.std())  # type: ignore[union-attr, operator]
    model[2].weight.requires_grad_(not frozen)  # type: ignore[union-attr]
    return model


def test_the_mean_of_a_frozen_weight_is_nobodys_draw() -> None:
    assert checked(shifted(frozen=False))["FAN205"] == Severity.WARNING
    assert "FAN205" not in checked(shifted(frozen=True))


def raw(function: type[nn.Module]) -> nn.Sequential:
    model = network(function)
    with torch.no_grad():
        model[2].weight.copy_(torch.linalg.qr(torch.randn(64, 64))[0])  # type: ignore[operator, union-attr]
    return model


class Turned(nn.Module):
    """A matrix alone, without an activation behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(32, 64), nn.Linear(64, 4)
        self.turn = nn.Parameter(torch.linalg.qr(torch.randn(64, 64))[0])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.into(x) @ self.turn)
        return out


def test_raw_signs_of_a_qr_harm_where_an_activation_has_a_mean() -> None:
    assert checked(raw(nn.ReLU))["FAN207"] == Severity.WARNING
    assert checked(raw(nn.Tanh))["FAN207"] == Severity.INFO
    assert checked(Turned())["FAN207"] == Severity.INFO
