"""The short way into plain tensors: the bits of the long way, and nothing that it should look at."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from fanin.records.draw import Constant, Draw, Normal, Orthogonal, TruncatedNormal, Uniform
from fanin.sampling.backends import VARIABLE
from fanin.sampling.engine import generate
from fanin.torch import normal_
from fanin.torch.store import fill_, quick_

NORMAL = Normal(std=1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "draw",
    [
        NORMAL,
        Uniform(low=0.0, high=1.0),
        TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=8.0, upper=9.0),
    ],
    ids=lambda draw: type(draw).__name__,
)
@pytest.mark.parametrize("shape", [(), (3, 5), (70_000, 3)], ids=str)
def test_the_same_bits(shape: tuple[int, ...], draw: Draw, dtype: torch.dtype) -> None:
    tensor = torch.nn.Parameter(torch.zeros(shape, dtype=dtype))
    version = tensor._version
    assert quick_(tensor, draw, 3, "w")
    expected = generate(draw, shape, seed=3, name="w", dtype=str(dtype).removeprefix("torch."))
    assert tensor.detach().numpy().tobytes() == expected.tobytes()
    assert tensor._version > version


def test_autograd_notices() -> None:
    x = torch.ones(3, requires_grad=True)
    weight = torch.ones(3)
    loss = (x * weight).sum()
    normal_(weight, seed=0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()  # type: ignore[no-untyped-call]


class Sub(torch.Tensor):
    """A tensor of another type."""


def inference() -> torch.Tensor:
    with torch.inference_mode():
        return torch.zeros(3)


def fake() -> torch.Tensor:
    with FakeTensorMode():
        return torch.zeros(3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(3, dtype=torch.bfloat16),
        lambda: torch.zeros(3, dtype=torch.int32),
        lambda: torch.zeros(3, dtype=torch.complex64),
        lambda: torch.zeros(4, 4).t()[1:],
        lambda: torch.zeros(3).expand(2, 3),
        lambda: torch.zeros(3, dtype=torch.complex64).conj().imag,
        lambda: torch.zeros(3, device="meta"),
        lambda: torch.zeros(3, 3).to_sparse(),
        lambda: torch.zeros(0),
        lambda: torch.zeros(3).as_subclass(Sub),
        inference,
        fake,
    ],
)
def test_what_the_long_way_has_to_look_at(make: Any) -> None:
    tensor = make()
    assert not quick_(tensor, NORMAL, 0, "w")
    if tensor.device.type == "cpu" and type(tensor) is torch.Tensor and tensor.layout is torch.strided:
        assert not tensor.any()


def test_draws_seeds_and_names_too(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.zeros(4, 4)
    for draw in (Constant(value=1.0), Orthogonal(std=0.5)):
        assert not quick_(tensor, draw, 0, "w")
    for seed, name in ((-1, "w"), (1 << 64, "w"), (True, "w"), (0, ""), (0, ("a", "b"))):
        assert not quick_(tensor, NORMAL, seed, name)  # type: ignore[arg-type]
    monkeypatch.setenv(VARIABLE, "portable")
    assert not quick_(tensor, NORMAL, 0, "w")
    assert not tensor.any()
    fill_(tensor, NORMAL, seed=0, name="w")
    assert tensor.numpy().tobytes() == generate(NORMAL, (4, 4), seed=0, name="w").tobytes()


def test_stand_ins_of_vmap() -> None:
    seen = []

    def look(row: torch.Tensor) -> torch.Tensor:
        seen.append(quick_(row, NORMAL, 0, "w"))
        return row

    batch = torch.zeros(2, 3)
    torch.func.vmap(look)(batch)
    assert seen == [False]
    assert not batch.any()
