"""Several widths of one model: exponents as the theory of parametrisations has them, and a verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fanin.torch as ft
from fanin.errors import InputError, ModelError
from fanin.records import codec
from fanin.records.finding import Diagnosis, Severity
from fanin.records.trace import WidthScaling, WidthTrend

WIDTHS = (64, 128, 256)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(64, 16, generator=generator), torch.randint(10, (64,), generator=generator)


class Perceptron(nn.Module):
    """He's law inside; the head has std ``1 / sqrt(width)``, or muP's ``8 / width``."""

    def __init__(self, width: int, *, mup: bool = False, std: float | None = None) -> None:
        super().__init__()
        self.width = width
        self.first, self.second = nn.Linear(16, width), nn.Linear(width, width)
        self.head = nn.Linear(width, 10)
        for layer, at in (
            (self.first, (2 / 16) ** 0.5),
            (self.second, std or (2 / width) ** 0.5),
            (self.head, 8 / width if mup else width**-0.5),
        ):
            nn.init.normal_(layer.weight, std=at)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))))


def mup(model: nn.Module) -> torch.optim.Optimizer:
    assert isinstance(model, Perceptron)
    wide = [model.second.weight, model.head.weight]
    rest = [p for p in model.parameters() if all(p is not w for w in wide)]
    return torch.optim.Adam([{"params": rest, "lr": 1e-3}, {"params": wide, "lr": 0.064 / model.width}])


def tried(make: Callable[[int], nn.Module], **options: Any) -> Any:
    x, y = batch()
    return ft.check_width(make, x, **{"target": y, "widths": WIDTHS, "select": ["FAN504"], **options})


def trends(report: Any) -> dict[tuple[str, str], WidthTrend]:
    scaling = report.diagnosis.trace.scaling
    assert isinstance(scaling, WidthScaling)
    return {(t.name, t.quantity): t for t in scaling.trends}


def near(trend: WidthTrend, exponent: float) -> None:
    """Raise unless the exponent is this one, nearer than to the next half."""
    assert abs(trend.exponent - exponent) < 0.25 + 3 * trend.error, trend
    assert trend.error < 0.15, trend


def test_one_learning_rate_for_all_widths_is_found() -> None:
    report = tried(Perceptron)
    (finding,) = report.findings
    assert (finding.code, finding.severity) == ("FAN504", Severity.WARNING)
    assert "what the steps change of the output (head) goes as width^" in finding.summary
    assert "Adam (learning rate 0.001)" in finding.summary
    assert set(finding.where) == {"second", "the output (head)"}
    found = trends(report)
    for name in ("first", "second", "head"):
        near(found[name, "activation"], 0.0)
    # Adam's steps have one size: the first layer's inputs are as many at every width, the head's add up.
    near(found["first", "update"], 0.0)
    near(found["head", "update"], 1.0)
    assert found["head", "update"].head
    assert found["second", "update"].sizes == tuple(sorted(found["second", "update"].sizes))


def test_mup_is_in_order() -> None:
    report = tried(lambda width: Perceptron(width, mup=True), optimizer=mup)
    assert report.findings == ()
    (reason,) = [reason for code, reason in report.diagnosis.passed if code == "FAN504"]
    assert "the given optimiser" in reason
    found = trends(report)
    for key, trend in found.items():
        near(trend, -0.5 if key == ("head", "activation") else 0.0)


def test_weights_that_do_not_follow_the_fan_in_are_found() -> None:
    report = tried(lambda width: Perceptron(width, mup=True, std=0.15), optimizer=mup)
    (finding,) = report.findings
    assert "second" in finding.where
    near(trends(report)["second", "activation"], 0.5)


def test_plain_gradient_descent() -> None:
    found = trends(tried(Perceptron, optimizer="sgd", lr=0.01, steps=1))
    # The head's gradient is its input: width squares add up.
    near(found["head", "update"], 1.0)
    near(found["second", "update"], 0.5)
    near(found["first", "update"], -0.5)


def test_a_head_of_zeros_has_no_first_size() -> None:
    def make(width: int) -> nn.Module:
        model = Perceptron(width)
        nn.init.zeros_(model.head.weight)
        return model

    report = tried(make)
    assert ("head", "activation") not in trends(report)
    assert "the activation of head is zero or not finite somewhere" in report.diagnosis.trace.scaling.notes


def test_the_factorys_model_and_everything_else_is_put_back() -> None:
    kept = {width: Perceptron(width) for width in WIDTHS}
    before = {w: {k: v.clone() for k, v in m.state_dict().items()} for w, m in kept.items()}
    state = torch.get_rng_state()
    tried(kept.__getitem__)
    assert torch.equal(torch.get_rng_state(), state)
    for width, model in kept.items():
        assert all(torch.equal(v, before[width][k]) for k, v in model.state_dict().items())
        assert all(p.grad is None for p in model.parameters())


def test_the_same_twice_and_through_json() -> None:
    first, second = tried(Perceptron), tried(Perceptron)
    assert first.diagnosis.trace.scaling == second.diagnosis.trace.scaling
    back = codec.from_json(codec.to_json(first.diagnosis), Diagnosis)
    assert back.trace.scaling == first.diagnosis.trace.scaling


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"widths": (64, 128)}, "No trend can be told"),
        ({"widths": (64, 64, 128)}, "No trend can be told"),
        ({"widths": 64}, "No trend can be told"),
        ({"widths": "64,128,256"}, "No trend can be told"),
        ({"widths": (64, 128.0, 256)}, "No trend can be told"),
        ({"widths": (True, 2, 3)}, "No trend can be told"),
        ({"widths": (-64, 64, 128)}, "No trend can be told"),
        ({"steps": 0}, "steps is no such number.*steps=0"),
        ({"draws": 2.5}, "draws is no such number.*draws=2.5"),
        ({"seed": -1}, "seed is no such number.*seed=-1"),
        ({"select": 3}, "select holds no codes"),
        ({"optimizer": "lion"}, "no such optimiser"),
        ({"optimizer": mup, "lr": 0.1}, "This optimiser cannot be used"),
        ({"optimizer": lambda _: 3}, "There is no optimiser.*Received: int"),
        ({"optimizer": lambda _: 1 // 0}, "No optimiser can be made.*ZeroDivisionError"),
        ({"lr": float("nan")}, "lr is no learning rate"),
        ({"target": None}, "no loss"),
    ],
)
def test_what_cannot_be_tried(options: dict[str, Any], words: str) -> None:
    state = torch.get_rng_state()
    with pytest.raises(InputError, match=words):
        tried(Perceptron, **options)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: 1 // 0, "makes no model of width 64.*ZeroDivisionError"),
        (lambda: Perceptron(64), "makes no model of width 64.*TypeError"),
        (lambda width: width, "There is no model of width 64.*returned int"),
        (lambda _: Perceptron(64), "same sizes at every width"),
        (Perceptron(64), "makes no model of width 64"),
        (None, "makes no model of width 64"),
    ],
)
def test_what_makes_no_model_of_a_width(make: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tried(make)


def test_widths_may_be_numpys() -> None:
    found = tried(Perceptron, widths=np.array([16, 32, 64])).diagnosis.trace.scaling
    assert found.widths == (16, 32, 64)
    assert all(type(width) is int for width in found.widths)


def test_a_loss_that_no_parameter_reaches() -> None:
    def cut(width: int) -> nn.Module:
        model = Perceptron(width)
        return model.requires_grad_(False)

    with pytest.raises(ModelError, match="No step can be taken: the loss has no gradient"):
        tried(cut, optimizer=lambda _: torch.optim.SGD([torch.zeros(1)]))


def test_other_layers_at_other_widths() -> None:
    def make(width: int) -> nn.Module:
        more = [nn.Linear(width, width), nn.ReLU()] if width > 64 else []
        return nn.Sequential(nn.Linear(16, width), nn.ReLU(), *more, nn.Linear(width, 10))

    with pytest.raises(ModelError, match="same layers"):
        tried(make)


def test_a_plain_check_says_that_it_did_not_look() -> None:
    x, y = batch()
    skipped = {s.code: s.reason for s in ft.check(Perceptron(64), x, target=y).diagnosis.skipped}
    assert "check_width" in skipped["FAN504"]
