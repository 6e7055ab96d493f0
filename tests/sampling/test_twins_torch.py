"""The twin on tensors: the kernel's bits, eager and compiled, and the way in for devices without a kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Constant, Draw, Normal, Orthogonal, TruncatedNormal, Uniform
from fanin.sampling.cast import DTYPES
from fanin.sampling.engine import generate
from fanin.sampling.philox import words
from fanin.sampling.recipe import recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import stream_key
from fanin.sampling.twin import numbers, program, transform
from fanin.sampling.twin_words import philox
from fanin.torch import store, twin

CPU = torch.device("cpu")
KEY = stream_key(5, "w")
NORMAL = Normal(mean=0.3, std=1.0)
DRAWS: list[Draw] = [
    Uniform(low=-0.5, high=0.5),
    Uniform(low=0.1, high=0.7),
    Normal(std=0.02),
    NORMAL,
    TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0),
    TruncatedNormal(std=1.0, parent_mean=0.2, parent_std=0.7, lower=0.5, upper=math.inf),
    TruncatedNormal(std=0.1, parent_mean=0.0, parent_std=0.1, lower=1.0, upper=1.01),
    TruncatedNormal(std=0.1, parent_mean=0.5, parent_std=0.1, lower=-math.inf, upper=-5.0),
]
OTHERS: list[Draw] = [
    Constant(value=0.1),
    Orthogonal(gain=1.0, std=0.1),
    TruncatedNormal(std=0.1, parent_mean=0.5, parent_std=0.1, lower=-math.inf, upper=-8.0),
]


def raw(tensor: torch.Tensor) -> bytes:
    """The bits of a tensor."""
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("draw", DRAWS, ids=str)
def test_equal_to_the_reference(draw: Draw, dtype: str) -> None:
    made = recipe(draw, dtype)
    for begin in (5, 2**34 - 3, 2**64 - 30_000):
        got = twin.elements(made, KEY, begin, begin + 30_000, dtype, CPU)
        assert str(got.dtype) == f"torch.{dtype}"
        assert raw(got) == elements(made, KEY, begin, begin + 30_000, dtype).tobytes()


@given(
    draw=st.sampled_from(DRAWS),
    dtype=st.sampled_from(DTYPES),
    begin=st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 3000)),
    size=st.integers(1, 3000),
)
@settings(max_examples=60)
def test_any_range(draw: Draw, dtype: str, begin: int, size: int) -> None:
    made = recipe(draw, dtype)
    got = twin.elements(made, KEY, begin, begin + size, dtype, CPU)
    assert raw(got) == elements(made, KEY, begin, begin + size, dtype).tobytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler calls torch's own old functions
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("draw", [DRAWS[1], DRAWS[3], DRAWS[5], DRAWS[6]], ids=str)
def test_compiled_values(draw: Draw, dtype: str) -> None:
    # The generator and what follows are compiled apart: together they keep inductor busy for minutes.
    made = recipe(draw, dtype)
    what, given = program(made, dtype), numbers(made, KEY)
    ops = twin.TorchOps(CPU)
    first, second = (
        torch.from_numpy(words(KEY, 0, 100_000, second=k).astype(np.int64)) for k in (False, True)
    )
    compiled = torch.compile(lambda a, b: transform(ops, what, given, a, b), dynamic=False)
    got = compiled(first, second if made.wide else None)
    assert raw(got) == elements(made, KEY, 0, 100_000, dtype).tobytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_words() -> None:
    ops = twin.TorchOps(CPU)
    low = torch.arange(25_000)
    high = torch.zeros_like(low)
    fixed = [torch.full_like(low, word) for word in (KEY.counter2, KEY.counter3)]
    compiled = torch.compile(
        lambda a, b: torch.stack(philox(ops, (a, b, *fixed), (KEY.key0, KEY.key1)), dim=-1), dynamic=False
    )
    assert compiled(low, high).reshape(-1).tolist() == words(KEY, 0, 100_000).tolist()


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fill every tensor as if it lay on a device without a kernel; the list notes fills by the twin."""
    filled: list[int] = []
    original = twin.draw_into

    def noted(logical: torch.Tensor, *rest: Any) -> None:
        filled.append(logical.numel())
        original(logical, *rest)

    monkeypatch.setattr(store, "quick_", lambda *_: False)
    monkeypatch.setattr(store, "_by_kernel", lambda _: False)
    monkeypatch.setattr(twin, "draw_into", noted)
    monkeypatch.setattr(twin, "_CHUNK", 1000)
    return filled


def filled(tensor: torch.Tensor, draw: Draw, axes: Axes | None) -> bytes:
    return raw(store.fill_(tensor, draw, seed=5, name="w", axes=axes))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("draw", [*DRAWS, *OTHERS], ids=str)
def test_other_devices_are_filled_where_they_are(draw: Draw, dtype: str, no_kernel: list[int]) -> None:
    kind = getattr(torch, dtype)
    for shape, axes in (
        ((30, 70), None),
        ((31, 7, 9), "in out receptive"),
        ((5, 3000), "in out"),
        ((2, 1001), None),
    ):
        roles = as_axes(axes, shape)
        expected = generate(draw, shape, seed=5, name="w", axes=roles, dtype=dtype).tobytes()
        assert filled(torch.empty(shape, dtype=kind), draw, roles) == expected
        # Memory in another order than the shape.
        turned = torch.empty(shape[::-1], dtype=kind).permute(*range(len(shape))[::-1])
        assert filled(turned, draw, roles) == expected
    assert len(no_kernel) == (8 if draw in DRAWS else 0)


def test_scalars_vectors_and_empty_tensors(no_kernel: list[int]) -> None:
    for shape in ((), (1,), (5,), (2500,)):
        assert filled(torch.empty(shape), NORMAL, None) == generate(NORMAL, shape, seed=5, name="w").tobytes()
    assert store.fill_(torch.empty(0, 3), NORMAL, seed=5, name="w").shape == (0, 3)
    assert store.fill_(torch.empty(4, 3, device="meta"), NORMAL, seed=5, name="w").is_meta
    assert len(no_kernel) == 4


def test_parameters_and_versions(no_kernel: list[int]) -> None:
    weight = torch.nn.Parameter(torch.zeros(4, 3))
    before = weight._version
    store.fill_(weight, NORMAL, seed=5, name="w")
    assert weight._version > before
    assert weight.requires_grad
    assert no_kernel


def test_devices_without_float64_are_staged() -> None:
    narrow, wide = recipe(NORMAL, "float32"), recipe(DRAWS[6], "float32")
    assert wide.wide
    assert twin.serves(narrow, torch.device("mps"))
    assert not twin.serves(wide, torch.device("mps"))
    assert twin.serves(wide, torch.device("cuda"))
