"""What may not change a bit: how a tensor is cut, by how many threads, in which order, type and memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fanin.records.axes import Axes, Role
from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling import backends
from fanin.sampling.cast import COMPLEX, SERVED, encode, storage_of
from fanin.sampling.engine import fill, fill_range, generate

DRAWS: list[Draw] = [
    Uniform(low=-0.5, high=0.25),
    Normal(mean=0.1, std=1.0),
    TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0),
    TruncatedNormal(std=0.1, parent_mean=0.0, parent_std=0.1, lower=1.0, upper=1.01),
    TruncatedNormal(std=0.1, parent_mean=0.0, parent_std=0.1, lower=-math.inf, upper=-8.0),
]
draws = st.sampled_from(DRAWS)
dtypes = st.sampled_from(SERVED)
seeds = st.integers(0, 2**64 - 1)


def made(
    draw: Draw, shape: tuple[int, ...], dtype: str, seed: int = 1, name: str = "w"
) -> NDArray[np.generic]:
    return generate(draw, shape, seed=seed, name=name, dtype=dtype)


@given(draw=draws, dtype=dtypes, seed=seeds, begin=st.integers(0, 2**64 - 8000), data=st.data())
@settings(max_examples=80)
def test_any_split_of_any_range(draw: Draw, dtype: str, seed: int, begin: int, data: st.DataObject) -> None:
    begin >>= dtype in COMPLEX  # a complex number takes two elements of the stream
    size = data.draw(st.integers(1, 4000))
    cuts = data.draw(st.lists(st.integers(0, size), max_size=6))
    edges = [0, *sorted(cuts), size]
    whole = np.zeros(size, storage_of(dtype))
    fill_range(whole, draw, seed=seed, name="w", begin=begin, dtype=dtype)
    pieces = np.zeros_like(whole)
    for k in data.draw(st.permutations(range(len(edges) - 1))):
        part = pieces[edges[k] : edges[k + 1]]
        fill_range(part, draw, seed=seed, name="w", begin=begin + edges[k], dtype=dtype)
    assert pieces.tobytes() == whole.tobytes()


@given(draw=draws, dtype=dtypes, threads=st.integers(1, 64), size=st.integers(1, 20_000))
@settings(max_examples=60)
def test_any_number_of_threads(draw: Draw, dtype: str, threads: int, size: int) -> None:
    out = np.zeros(size, storage_of(dtype))
    with pytest.MonkeyPatch.context() as patch:
        # As many threads as are asked for, however little there is to do.
        patch.setattr(backends, "_PER_THREAD", 1)
        fill(out, draw, seed=1, name="w", dtype=dtype, threads=threads)
    assert out.tobytes() == made(draw, (size,), dtype).tobytes()


@given(order=st.permutations(range(6)), seed=seeds)
@settings(max_examples=30)
def test_any_order_of_parameters(order: list[int], seed: int) -> None:
    shapes = [(3, 5), (7,), (4, 4, 3), (1,), (100,), (2, 50)]
    alone = [made(DRAWS[k % 3], shapes[k], "float32", seed, f"layer.{k}") for k in range(6)]
    for k in order:
        again = made(DRAWS[k % 3], shapes[k], "float32", seed, f"layer.{k}")
        assert again.tobytes() == alone[k].tobytes()


@given(draw=draws, dtype=st.sampled_from(["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"]), seed=seeds)
@settings(max_examples=60)
def test_small_formats_are_one_rounding(draw: Draw, dtype: str, seed: int) -> None:
    single = made(draw, (997,), "float32", seed)
    assert made(draw, (997,), dtype, seed).tobytes() == encode(single, dtype).tobytes()


@given(
    draw=draws,
    dtype=dtypes,
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    data=st.data(),
)
@settings(max_examples=80)
def test_any_memory(draw: Draw, dtype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.sampled_from([1, 2, 3, -1, -2]), min_size=len(shape), max_size=len(shape)))
    order = data.draw(st.permutations(range(len(shape))))
    room = np.zeros([shape[d] * abs(steps[d]) for d in order], storage_of(dtype))
    out = room.transpose(np.argsort(order))[tuple(slice(None, None, step) for step in steps)]
    assert out.shape == shape
    fill(out, draw, seed=1, name="w", dtype=dtype)
    assert out.tobytes() == made(draw, shape, dtype).tobytes()
    out[...] = 0
    assert not room.view(np.uint8).any(), "something was written outside"


@given(
    roles=st.lists(st.sampled_from(list(Role)), min_size=1, max_size=4),
    draw=draws,
    dtype=dtypes,
    data=st.data(),
)
@settings(max_examples=60)
def test_any_layout(roles: list[Role], draw: Draw, dtype: str, data: st.DataObject) -> None:
    axes = Axes(roles=tuple(roles))
    order = axes.logical_order
    shape = tuple(data.draw(st.integers(1, 70)) if d < 2 else 3 for d in range(len(roles)))
    stored = generate(draw, shape, seed=1, name="w", axes=axes, dtype=dtype)
    assert stored.transpose(order).tobytes() == made(draw, tuple(shape[k] for k in order), dtype).tobytes()


def test_another_seed_or_name_would_be_seen() -> None:
    for draw in DRAWS:
        base = made(draw, (64,), "float32").tobytes()
        assert made(draw, (64,), "float32", seed=2).tobytes() != base
        assert made(draw, (64,), "float32", name="v").tobytes() != base
