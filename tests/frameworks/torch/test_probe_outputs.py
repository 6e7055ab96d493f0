"""The probe on outputs, targets and losses of every form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from fanin.errors import InputError, ModelError
from fanin.torch.probe import measure


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))


def batch() -> torch.Tensor:
    return torch.randn(32, 6, generator=torch.Generator().manual_seed(7))


@dataclass
class Answer:
    loss: torch.Tensor | None
    logits: torch.Tensor


class Wrapped(nn.Module):
    def __init__(self, wrap: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.net, self.wrap = mlp(), wrap

    def forward(self, x: torch.Tensor) -> Any:
        return self.wrap(self.net(x))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: y,
        lambda y: (y, y.argmax(-1)),
        lambda y: [y],
        lambda y: {"aux": y.sum(), "logits": y},
        lambda y: Answer(loss=None, logits=y),
        lambda y: {"nested": {"values": [y]}},
    ],
)
def test_outputs_of_every_form(wrap: Callable[[torch.Tensor], Any]) -> None:
    model = Wrapped(wrap)
    _, trace = measure(model, batch(), target=torch.arange(32) % 3)
    assert trace.loss is not None
    assert trace.loss.classes == 3
    first = next(m for m in trace.measurements if m.module == "net.0")
    assert first.gradient_power is not None
    assert first.gradient_power > 0


def test_no_floating_output_and_no_capture_are_errors() -> None:
    with pytest.raises(ModelError, match="no floating tensor"):
        measure(Wrapped(lambda y: y.argmax(-1)), batch())
    with pytest.raises(ModelError, match="no weights, so there is nothing to check"):
        measure(nn.Identity(), batch())
    with pytest.raises(InputError, match=r"torch\.nn\.Module"):
        measure(lambda x: x, batch())  # type: ignore[arg-type]
    with torch.device("meta"):
        hollow = mlp()
    with pytest.raises(ModelError, match="meta"):
        measure(hollow, batch())


def test_the_models_own_error_names_the_module() -> None:
    with pytest.raises(ModelError, match="'0'"):
        measure(mlp(), torch.zeros(4, 5))


class Same(nn.Module):
    """Returns its parameter, scaled: an output of any shape."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.w = nn.Linear(1, math.prod(shape[1:]))
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w(x).reshape(self.shape)


@pytest.mark.parametrize(
    ("output", "target", "name", "classes"),
    [
        ((8, 5), torch.arange(8) % 5, "cross entropy", 5),
        ((8, 5, 4), torch.zeros(8, 4, dtype=torch.long), "cross entropy", 5),
        ((8, 4, 5), torch.zeros(8, 4, dtype=torch.long), "cross entropy", 5),
        ((8, 5, 4, 3), torch.zeros(8, 4, 3, dtype=torch.uint8), "cross entropy", 5),
        ((8, 1), torch.arange(8) % 2, "binary cross entropy", 2),
        ((8, 1), torch.randn(8), "mean squared error", None),
        ((8, 3), torch.randn(8, 3), "mean squared error", None),
    ],
)
def test_targets(output: tuple[int, ...], target: torch.Tensor, name: str, classes: int | None) -> None:
    _, trace = measure(Same(*output), torch.ones(output[0], 1), target=target)
    assert trace.loss is not None
    assert trace.loss.name == name
    assert trace.loss.classes == classes
    if classes is None:
        expected = float(target.double().var(dim=0, correction=0).mean())
        assert trace.loss.expected == pytest.approx(expected)


def test_a_target_of_one_dimension_is_not_broadcast() -> None:
    model, x, y = Same(8, 1), torch.ones(8, 1), torch.randn(8)
    _, trace = measure(model, x, target=y)
    assert trace.loss is not None
    assert trace.loss.value == pytest.approx(float((model(x)[:, 0].detach() - y).square().mean()))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (torch.zeros(7, dtype=torch.long), "does not fit"),
        (torch.full((8,), 9), "classes that the output does not have"),
        (torch.randn(8, 4), "does not fit"),
    ],
)
def test_targets_that_do_not_fit(target: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(Same(8, 5), torch.ones(8, 1), target=target)


def test_losses_of_users_and_of_torch() -> None:
    model, x, y = Same(8, 5), torch.ones(8, 1), torch.arange(8) % 5
    _, trace = measure(model, x, target=y, loss=nn.CrossEntropyLoss())
    assert trace.loss is not None
    assert trace.loss.expected == pytest.approx(math.log(5))

    def hinge(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.multi_margin_loss(output, target)

    _, trace = measure(model, x, target=y, loss=hinge)
    assert trace.loss is not None
    assert (trace.loss.name, trace.loss.expected) == ("hinge", None)
    with pytest.raises(InputError, match="no single number"):
        measure(model, x, target=y, loss=lambda output, _target: output)
    with pytest.raises(InputError, match="cannot be computed"):
        measure(model, x, target=y.float(), loss=nn.CrossEntropyLoss())
