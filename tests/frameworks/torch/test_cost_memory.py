"""Memory that runs out, wherever it does: all is put back, and the words say what to do."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fanin.torch as ft
from fanin.errors import ModelError
from fanin.torch import backward, probe


class Falling(torch.autograd.Function):
    """The identity, whose way back fails."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:  # noqa: ARG004
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


class Net(nn.Module):
    def __init__(self, place: str = "") -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)
        self.place = place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        random.random()  # noqa: S311
        np.random.rand()  # noqa: NPY002
        y = torch.relu(self.norm(self.first(x)))
        if self.place == "forward":
            torch.empty(1 << 50)
        if self.place == "python":
            raise MemoryError
        return self.last(Falling.apply(y) if self.place == "backward" else y)  # type: ignore[no-untyped-call]


def state(model: nn.Module) -> list[Any]:
    return [
        {name: value.tolist() for name, value in model.state_dict().items()},
        [p.grad for p in model.parameters()],
        [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # type: ignore[index]  # noqa: NPY002
        torch.is_grad_enabled(),
    ]


def full(*_: Any, **__: Any) -> Any:
    raise MemoryError("std::bad_alloc")


PLACES = ("forward", "python", "backward", "statistics", "gradients", "parameters", "graph", "deep")


@pytest.mark.parametrize("place", PLACES)
def test_wherever_memory_runs_out(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patched = {
        "statistics": (probe, "numbers"),
        "gradients": (backward, "_direction"),
        "parameters": (probe, "measure_parameters"),
        "graph": (probe, "graph_of"),
        "deep": (probe, "deepen"),
    }
    model = Net(place)
    if place in patched:
        monkeypatch.setattr(*patched[place], full)
    x, y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 3
    before = state(model)
    with pytest.raises(ModelError, match=r"Memory ran out(.|\n)*smaller batch, ask for tier='fast'"):
        ft.check(model, x, target=y, tier="deep" if place == "deep" else "standard")
    assert state(model) == before


def test_the_same_network_with_memory_enough() -> None:
    model = Net()
    x, y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 3
    before = state(model)
    assert ft.check(model, x, target=y).diagnosis.trace.measurements
    assert state(model) == before
    model(x)
    assert state(model) != before


def test_another_error_is_not_taken_for_it() -> None:
    class Wrong(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError(f"no such luck with {len(x)} samples")

    with pytest.raises(ModelError, match="no such luck") as caught:
        ft.check(Wrong(), torch.randn(8, 4))
    assert "Memory ran out" not in str(caught.value)
