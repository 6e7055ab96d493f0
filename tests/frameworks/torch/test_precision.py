"""Rough products: only where powers are estimated, never in the loss's pass, and nothing of it stays."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import nn

from fanin.torch import backward
from fanin.torch.precision import rough_products
from fanin.torch.probe import measure

pytestmark = pytest.mark.skipif(
    not hasattr(torch.backends.mkldnn, "conv") or not hasattr(torch.cpu, "get_capabilities"),
    reason="this torch has no such setting, or does not tell what the processor can",
)

MKLDNN: Any = torch.backends.mkldnn
PLACES = [torch.backends, MKLDNN, *(getattr(MKLDNN, x) for x in ("conv", "matmul") if hasattr(MKLDNN, x))]


SEEN: list[str] = []
"""(Not the model's: what a check changes of that is put back.)"""


@contextlib.contextmanager
def chosen(*values: str) -> Any:
    """The user's own settings: of all devices, of oneDNN, of its convolutions and of its matrix products."""
    try:
        for place, value in zip(PLACES, values, strict=True):
            place.fp32_precision = value
        yield
    finally:
        for place in PLACES:
            place.fp32_precision = "none"


def told() -> list[str]:
    return [place.fp32_precision for place in PLACES]


@pytest.fixture(autouse=True)
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the instructions, whatever processor this is: the setting is but a permission."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


def interrupted() -> None:
    with rough_products():
        assert told()[2:] == ["bf16", "bf16"]
        raise KeyboardInterrupt


class Ask(torch.autograd.Function):
    """The identity, which notes in its backward pass how exactly convolutions multiply."""

    @staticmethod
    def forward(_ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(_ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        SEEN.append(MKLDNN.conv.fp32_precision)
        return gradients[0]


class Convolutions(nn.Module):
    """Maps of `size` x `size` pixels: with 64 they have so many numbers that powers are estimated."""

    def __init__(self, size: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 32, 3, padding=1)
        self.second = nn.Conv2d(32, 32, 3, padding=1)
        self.head = nn.Linear(32, 5)
        self.batch = torch.randn(4, 3, size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ask: Any = Ask  # (torch leaves `apply` untyped)
        middle = torch.relu(self.second(ask.apply(torch.relu(self.first(x)))))
        scores: torch.Tensor = self.head(middle.mean(dim=(2, 3)))
        return scores


@pytest.mark.parametrize(
    "values", [("none",) * 4, ("ieee", "none", "none", "none"), ("none", "ieee", "tf32", "bf16")]
)
def test_settings_are_put_back_as_they_were(values: tuple[str, ...]) -> None:
    with chosen(*values):
        before = told()
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert told() == before


@pytest.mark.parametrize("told", [{}, {"avx512_bf16": False, "avx2": True}])
def test_nothing_is_set_without_the_instructions(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, bool]
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told)
    with rough_products():
        assert MKLDNN.conv.fp32_precision == "none"


def test_what_was_inherited_still_follows() -> None:
    with chosen("ieee", "none", "none", "none"):
        with rough_products():
            pass
        PLACES[0].fp32_precision = "tf32"
        assert told() == ["tf32"] * 4


@pytest.mark.parametrize(("size", "passes"), [(64, ["bf16", "none"]), (16, ["none", "none"])])
def test_rough_in_the_pass_of_a_random_direction_alone(size: int, passes: list[str]) -> None:
    model = Convolutions(size)
    SEEN.clear()
    measure(model, model.batch, target=torch.arange(4))
    assert passes == SEEN
    assert told() == ["none"] * 4


def test_gradients_of_the_loss_are_exact_and_powers_nearly_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model, target = Convolutions(64), torch.arange(4)
    _, trace = measure(model, model.batch, target=target)
    rough = {m.node: m.gradient_power for m in trace.measurements if m.gradient_power is not None}
    monkeypatch.setattr(backward, "rough_products", contextlib.nullcontext)
    _, again = measure(model, model.batch, target=target)
    # Three products, each off by at most 2^-8 in amplitude; both runs see the same samples.
    assert len(rough) >= 5
    for m in again.measurements:
        if m.gradient_power is not None:
            assert rough[m.node] == pytest.approx(m.gradient_power, rel=3 * 2 * 2**-8)
    norms = {p.name: p.gradient_norm for p in trace.parameters}
    assert norms == {p.name: p.gradient_norm for p in again.parameters}
    torch.nn.functional.cross_entropy(model(model.batch), target).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert norms[name] == pytest.approx(float(parameter.grad.double().norm()), rel=1e-5)
