"""Parts of a tensor: the numbers of the whole, any layout, any path, and far beyond 2**32 elements."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fanin import _kernel
from fanin.errors import InputError
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Draw, Normal, Orthogonal, TruncatedNormal, Uniform
from fanin.sampling import backends
from fanin.sampling.backends import VARIABLE
from fanin.sampling.cast import COMPLEX, SERVED, storage_of
from fanin.sampling.engine import fill, fill_range, fill_slice, generate

NORMAL = Normal(std=1.0)
FAR_TAIL = TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=9.0, upper=math.inf)
DRAWS: list[Draw] = [NORMAL, Uniform(low=-1.0, high=2.0), FAR_TAIL, Constant(value=0.5)]
PATHS = ["off", *_kernel.paths()]


@st.composite
def parts(pick: st.DrawFn) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """A shape of a few thousand elements at most, and a part of it."""
    depth = pick(st.integers(0, 4))
    most = {0: 1, 1: 3000, 2: 70, 3: 20, 4: 9}[depth]
    shape = tuple(pick(st.integers(1, most)) for _ in range(depth))
    index = []
    for n in shape:
        start = pick(st.integers(0, n))
        index.append(slice(start, pick(st.integers(start, n)), pick(st.integers(1, 12))))
    return shape, tuple(index)


def laid_out(shape: tuple[int, ...], storage: str, layout: int) -> NDArray[Any]:
    """An array of ones of some memory layout: plain, turned, with holes, backwards, misaligned."""
    if layout == 1:
        return np.ones(shape[::-1], storage).T
    if layout == 2:
        return np.ones(tuple(2 * n for n in shape), storage)[(..., *(slice(1, None, 2) for _ in shape))]
    if layout == 3:
        return np.ones(shape, storage)[(..., *(slice(None, None, -1) for _ in shape))]
    if layout == 4:
        size = math.prod(shape)
        raw = np.zeros(size * np.dtype(storage).itemsize + 1, np.uint8)
        return raw[1:].view(storage).reshape(shape)
    return np.ones(shape, storage)


@pytest.mark.parametrize("path", PATHS)
@given(
    part=parts(),
    draw=st.sampled_from(DRAWS),
    dtype=st.sampled_from(SERVED),
    roles=st.lists(st.sampled_from(list(Role)), min_size=4, max_size=4),
    layout=st.integers(0, 4),
    threads=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_a_part_holds_the_numbers_of_the_whole(
    path: str,
    part: tuple[tuple[int, ...], tuple[slice, ...]],
    draw: Draw,
    dtype: str,
    roles: list[Role],
    layout: int,
    threads: int,
) -> None:
    shape, index = part
    axes = Axes(roles=tuple(roles[: len(shape)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, path)
        patch.setattr(backends, "_PER_THREAD", 1)
        logical = generate(
            draw, tuple(shape[k] for k in axes.logical_order), seed=1, name="w", dtype=dtype
        ).transpose(np.argsort(axes.logical_order))
        expected = logical[index]
        out = laid_out(expected.shape, storage_of(dtype), layout)
        fill_slice(
            out, draw, shape=shape, index=index, seed=1, name="w", axes=axes, dtype=dtype, threads=threads
        )
    assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_large_parts_in_every_layout(path: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, path)
    # The reference draws row by row.
    rows = 40 if path == "off" else 700
    whole = generate(NORMAL, (rows, 900), seed=1, name="w", dtype=dtype)
    cuts = [
        (slice(0, rows), slice(100, 101)),
        (slice(0, rows), slice(5, 9)),
        (slice(3, rows - 1), slice(0, 900, 2)),
        (slice(0, rows, 9), slice(1, 900, 40)),
        (slice(rows // 2, rows), slice(0, 900)),
    ]
    for cut in cuts:
        for layout in range(5):
            out = laid_out(whole[cut].shape, storage_of(dtype), layout)
            fill_slice(out, NORMAL, shape=whole.shape, index=cut, seed=1, name="w", dtype=dtype, threads=2)
            assert (out == whole[cut]).all()


@pytest.mark.parametrize("path", PATHS)
def test_far_beyond_32_bits(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, path)
    # Block numbers pass 2**32 at row 2**17 of 2**17 columns: rows across it, and a strided corner far out.
    shape = (1 << 30, 1 << 17)
    for rows, columns in [
        (slice((1 << 17) - 1, (1 << 17) + 1), slice(None, 600)),
        (slice((1 << 17) - 1, (1 << 17)), slice((1 << 17) - 600, None)),
        (slice((1 << 30) - 3, None, 2), slice(7, 500, 3)),
    ]:
        starts, stops = (rows.start, columns.start or 0), (rows.stop or shape[0], columns.stop or shape[1])
        index = tuple(slice(a, b, s.step) for a, b, s in zip(starts, stops, (rows, columns), strict=True))
        row_numbers, column_numbers = (range(s.start, s.stop, s.step or 1) for s in index)
        out = np.zeros((len(row_numbers), len(column_numbers)), np.float32)
        fill_slice(out, NORMAL, shape=shape, index=index, seed=1, name="w")
        for row, values in zip(row_numbers, out, strict=True):
            line = np.zeros(stops[1] - starts[1], np.float32)
            fill_range(line, NORMAL, seed=1, name="w", begin=row * shape[1] + starts[1])
            assert (values == line[:: columns.step or 1]).all()


@pytest.mark.parametrize("path", _kernel.paths())
@pytest.mark.parametrize("dtype", SERVED)
@pytest.mark.parametrize("before", [0, 1, 70, 500])
def test_blocks_across_a_carry(path: str, dtype: str, before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = ((1 << 34) >> (dtype in COMPLEX)) - before
    reference, kernel = (np.zeros(1000, storage_of(dtype)) for _ in range(2))
    for out, forced in ((reference, "off"), (kernel, path)):
        monkeypatch.setenv(VARIABLE, forced)
        fill_range(out, NORMAL, seed=1, name="w", begin=begin, dtype=dtype)
    assert reference.tobytes() == kernel.tobytes()


def test_no_memory_but_the_output() -> None:
    out = np.ones((1 << 12, 1 << 11), np.float32)
    tracemalloc.start()
    fill_slice(
        out.T,
        NORMAL,
        shape=(1 << 40, 1 << 20),
        index=(slice(0, 1 << 11), slice(0, 1 << 12)),
        seed=0,
        name="w",
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_structured_part_is_cut_from_the_whole() -> None:
    draw = Orthogonal(gain=1.0, std=0.25)
    whole = generate(draw, (16, 8), seed=0, name="w")
    out = np.zeros((4, 8), np.float32)
    fill_slice(out, draw, shape=(16, 8), index=(slice(4, 8), slice(None)), seed=0, name="w")
    assert (out == whole[4:8]).all()


def test_other_elements_of_the_memory_are_left_alone() -> None:
    base = np.full((40, 50), 7.0, np.float32)
    fill_slice(
        base[2:30:3, 4:44:5], NORMAL, shape=(10, 8), index=(slice(0, 10), slice(0, 8)), seed=0, name="w"
    )
    base[2:30:3, 4:44:5] = 7.0
    assert (base == 7.0).all()


@pytest.mark.parametrize(
    ("shape", "index", "text"),
    [
        ((4, 4), (slice(0, 4),), "The index of a part does not fit the shape"),
        ((4, 4), (0, slice(0, 4)), "There is one slice a dimension"),
        ((4, 4), [slice(0, 4), slice(0, 4)], "The index of a part does not fit the shape"),
        ((4, 4), (slice(2, 6), slice(0, 4)), "A part leaves its tensor"),
        ((8, 4), (slice(-4, 8), slice(0, 4)), "0 <= start <= stop <= extent"),
        ((8, 4), (slice(4, 0), slice(0, 4)), "A part leaves its tensor"),
        ((8, 4), (slice(0, 8, -2), slice(0, 4)), "a step of at least 1"),
        ((8, 4), (slice(0, 4.5), slice(0, 4)), "in whole numbers"),
        ((8, 4), (slice(0, 3), slice(0, 4)), r"The part does not have the output's shape.*takes \(3, 4\)"),
        ((1 << 40, 1 << 30), (slice(0, 4), slice(0, 4)), r"at most 2\*\*64 elements"),
        ((-1, 4), (slice(0, 4), slice(0, 4)), "The whole tensor's shape cannot be served"),
    ],
)
def test_bad_parts_leave_the_output_alone(shape: Any, index: Any, text: str) -> None:
    out = np.full((4, 4), 7.0, np.float32)
    with pytest.raises(InputError, match=text):
        fill_slice(out, NORMAL, shape=shape, index=index, seed=0, name="w")
    assert (out == 7.0).all()


def test_elements_that_share_memory_are_refused() -> None:
    base = np.full(20, 7.0, np.float32)
    shared = np.lib.stride_tricks.as_strided(base, (4, 4), (4, 4))
    with pytest.raises(InputError, match="Elements of the output share memory"):
        fill(shared, NORMAL, seed=0, name="w")
    assert (base == 7.0).all()
    same = np.lib.stride_tricks.as_strided(base, (3, 4), (0, 4))
    with pytest.raises(InputError, match="share memory"):
        fill(same, NORMAL, seed=0, name="w")
