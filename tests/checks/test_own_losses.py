"""Losses of a user's own: against outputs of zeros, in a unit of their own, out of the output's reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import fanin.torch
from fanin.records.finding import Finding
from fanin.torch.silent import beside_silence
from fanin.torch.targets import loss_of

X = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
BITS = (torch.arange(64) % 4 == 0).float().unsqueeze(1)


def findings(model: nn.Module, **how: Any) -> dict[str, Finding]:
    report = fanin.torch.check(model, X, **how)
    return {f.code: f for f in report.findings if f.severity != "info"}


def net(*end: nn.Module, out: int = 1) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, out), *end)
    fanin.torch.init_(model, X, seed=0)
    return model


def focal(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    p = torch.sigmoid(out)
    right = p * target + (1.0 - p) * (1.0 - target)
    each = functional.binary_cross_entropy_with_logits(out, target, reduction="none")
    return ((1.0 - right) ** 2 * each).mean()


@pytest.mark.parametrize("loss", [focal, functional.binary_cross_entropy_with_logits])
def test_a_prior_with_the_wrong_sign_is_told_whatever_the_loss(loss: Callable[..., Any]) -> None:
    model = net()
    assert not findings(model, target=BITS, loss=loss)
    nn.init.constant_(model[2].bias, 6.0)
    finding = findings(model, target=BITS, loss=loss)["FAN301"]
    assert finding.where == ("2.bias",)
    assert dict(finding.evidence)["loss of zeros"] == pytest.approx(float(loss(torch.zeros(64, 1), BITS)))


def test_a_head_that_is_too_large_is_told_whatever_the_loss() -> None:
    model = net()
    model[2].weight.data *= 40.0
    finding = findings(model, target=BITS, loss=focal)["FAN301"]
    assert finding.where == ("2.weight",)
    assert "by 0.022" in finding.fix  # 1 / 40 of what was drawn, by luck a little large


def test_zeros_that_a_loss_likes_less_are_no_fault() -> None:
    model = net()
    assert not findings(model, target=BITS, loss=lambda out, _: 1.0 / (0.1 + out.square().mean()))
    # A loss that may be below zero, or of which nothing is known for zeros, has no such figure.
    assert not findings(model, target=BITS, loss=lambda out, target: (out * target).mean())
    assert not findings(model, target=BITS, loss=lambda out, _: (out / out.norm()).sum())


def test_what_a_loss_raises_for_zeros_is_nobody_s_business() -> None:
    def picky(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if not out.any():
            raise KeyError("zeros")
        return (out - target).square().sum()

    assert not findings(net(), target=BITS, loss=picky)


@pytest.mark.parametrize("kind", [tuple, dict, list])
def test_every_form_of_output_has_its_silence(kind: type) -> None:
    a, b = torch.full((4,), 3.0, requires_grad=True), torch.full((4,), 5.0)
    output: Any = {"a": a, "b": b} if kind is dict else kind((a, b))
    first, second = (("a", "b"), (0, 1))[kind is not dict]

    def loss(out: Any, target: Any) -> torch.Tensor:
        return (out[first] + out[second] - 2.0).square().mean() + float(target)

    made = loss_of(output, 1.0, loss, None)
    assert made is not None
    assert beside_silence(made, output, 1.0, loss).silent == pytest.approx(5.0)
    assert float(a.detach()[0]) == 3.0


@pytest.mark.parametrize(("factor", "sick"), [(1e6, True), (64.0 * 32.0, False)])
def test_a_loss_in_a_unit_of_its_own(factor: float, sick: bool) -> None:
    target = X[:, :1]
    found = findings(net(), target=target, loss=lambda out, wanted: factor * (out - wanted).abs().mean())
    assert bool(found) is sick
    if sick:
        assert found["FAN301"].where == ("the loss",)
        assert "Divide the loss by" in found["FAN301"].fix


@pytest.mark.parametrize("loss", [None, functional.l1_loss, nn.SmoothL1Loss()])
@pytest.mark.parametrize(
    ("end", "shift", "sick"),
    [
        (nn.ReLU(), 0.0, True),
        (nn.ReLU(), 3.0, False),
        (nn.Sigmoid(), 0.0, True),
        (nn.Softplus(), 3.0, False),
        (nn.GELU(), 0.0, True),
        (nn.LeakyReLU(), 0.0, False),
        (nn.Identity(), 0.0, False),
    ],
)
def test_targets_that_an_activation_cannot_reach(
    loss: Callable[..., Any] | None, end: nn.Module, shift: float, sick: bool
) -> None:
    found = findings(net(end), target=X[:, :1] + shift, loss=loss)
    assert ("FAN307" in found) is sick


def test_a_temperature_is_named_where_no_weight_makes_the_logits() -> None:
    class Net(nn.Module):
        def __init__(self, temperature: float) -> None:
            super().__init__()
            self.body, self.temperature = net(out=16), temperature

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = functional.normalize(self.body(x), dim=-1)
            return z @ functional.normalize(self.body(x.roll(1, 0)), dim=-1).T / self.temperature

    assert not findings(Net(0.2), target=torch.arange(64))
    finding = findings(Net(5e-4), target=torch.arange(64))["FAN301"]
    assert "2000" in finding.cause
    assert "head" not in finding.fix


def test_a_head_is_not_blamed_for_what_comes_in_too_large() -> None:
    """The default head is a little large; the factor before it is what makes the logits."""
    model = net(out=10)
    model[2].weight.data *= 1.7
    assert not findings(model, target=torch.arange(64) % 10)
    nn.init.constant_(model[0].bias, 100.0)
    finding = findings(model, target=torch.arange(64) % 10)["FAN301"]
    assert finding.where == ("0.bias",)
    model = net(out=10)
    model[2].weight.data *= 40.0
    assert findings(model, target=torch.arange(64) % 10)["FAN301"].where == ("2.weight",)
