"""Rows that are neighbours in memory: the numbers of any other layout, on every path, to the last bit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fanin import _kernel
from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.backends import VARIABLE, fill_flat, fill_region
from fanin.sampling.cast import DTYPES, format_of, storage_of
from fanin.sampling.recipe import recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import StreamKey

PATHS = _kernel.paths()
KEY = StreamKey(key0=1, key1=2, counter2=3, counter3=4)
CARRY = 1 << 34
"""Elements after which the lower word of a block's number begins anew."""


def truncated(lower: float, upper: float, mean: float = 0.0) -> TruncatedNormal:
    return TruncatedNormal(std=1.0, parent_mean=mean, parent_std=1.0, lower=lower, upper=upper)


KINDS: dict[str, Draw] = {
    "uniform": Uniform(low=-0.25, high=0.25),
    "uniform, shifted": Uniform(low=-0.25, high=1.0),
    "uniform, tiny": Uniform(low=-1e-37, high=1e-37),
    "normal": Normal(std=0.02),
    "normal, shifted": Normal(mean=0.5, std=0.02),
    "truncated": truncated(-2.0, 2.0),
    "truncated, shifted": truncated(-1.7, 2.9, mean=0.25),
    "truncated, narrow": truncated(0.5, 0.5001),
    "far": truncated(8.0, math.inf),
}

NEAR = 1 << 18

Made = tuple[NDArray[Any], int, tuple[int, ...]]
"""An array in logical order, its first element of the stream, and the steps from neighbour to neighbour."""


def turned(rows: int, columns: int, begin: int = 0, step: int | None = None) -> Callable[[str], Made]:
    return lambda storage: (np.zeros((columns, rows), storage).T, begin, (step or columns, 1))


def sliced(storage: str) -> Made:
    # The query block of a packed projection, in rows of another length.
    return np.zeros((68, 200), storage)[:, 8:78].T, 0, (68, 1)


def moved(storage: str) -> Made:
    return np.zeros(68 * 70 + 1, storage)[1:].reshape(68, 70).T, 0, (68, 1)


def misaligned(storage: str) -> Made:
    raw = np.zeros(68 * 70 * np.dtype(storage).itemsize + 1, np.uint8)
    return raw[1:].view(storage).reshape(68, 70).T, 0, (68, 1)


def backwards(storage: str) -> Made:
    return np.zeros((68, 70), storage)[::-1, ::-1].T, 0, (68, 1)


def image(storage: str) -> Made:
    # Height, width, in, out in memory; out, in, height, width in the stream.
    return np.zeros((3, 3, 8, 40), storage).transpose(3, 2, 0, 1), 0, (72, 9, 3, 1)


def channels_last(storage: str) -> Made:
    return np.zeros((6, 3, 3, 64), storage).transpose(0, 3, 1, 2), 0, (576, 9, 3, 1)


def stacked(storage: str) -> Made:
    # Matrices of a stack begin within a block.
    return np.zeros((3, 5, 33), storage).transpose(0, 2, 1), 2, (33 * 8 + 3, 8, 1)


LAYOUTS: dict[str, Callable[[str], Made]] = {
    "turned": turned(70, 68),
    "turned, whole batches": turned(96, 64),
    "one batch": turned(32, 8),
    "too few rows": turned(31, 68),
    "no whole blocks": turned(70, 67),
    "a column": turned(70, 1, 5, 8),
    "three columns within a block": turned(70, 3, 1, 8),
    "from the second word": turned(70, 68, 1),
    "from the last word": turned(70, 66, 3, 68),
    "many rows": turned(8300, 5, 2, 8),
    "carry between rows": turned(70, 68, CARRY - 68 * 37),
    "carry within a row": turned(70, 68, CARRY - 68 * 37 - 11),
    "carry at the first row": turned(70, 68, CARRY - 4),
    "carry at every few rows": turned(70, 6, 1, 1 << 29),
    "rows too far apart": turned(40, 6, 1, 1 << 40),
    "sliced": sliced,
    "one item on": moved,
    "misaligned": misaligned,
    "backwards": backwards,
    "image": image,
    "channels last": channels_last,
    "stacked": stacked,
}


def expected(made: Made, draw: Draw, dtype: str) -> NDArray[Any]:
    """The reference's numbers: all between the first and the last, or run by run where that is far."""
    array, begin, steps = made
    lowered = recipe(draw, dtype)
    found = np.zeros(array.shape, array.dtype)
    span = sum((n - 1) * step for n, step in zip(array.shape, steps, strict=True))
    if span < NEAR:
        between = elements(lowered, KEY, begin, begin + span + 1, dtype)
        found[...] = between[sum(i * step for i, step in zip(np.indices(array.shape), steps, strict=True))]
        return found
    for index in itertools.product(*map(range, array.shape[:-1])):
        first = begin + sum(i * step for i, step in zip(index, steps, strict=False))
        found[index] = elements(lowered, KEY, first, first + array.shape[-1], dtype)
    return found


def filled(made: Made, draw: Draw, dtype: str, path: str, threads: int = 1) -> NDArray[Any]:
    array, begin, steps = made
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, path)
        fill_region(array, recipe(draw, dtype), KEY, begin, steps, dtype, threads)
    return array


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_equals_the_reference(layout: str) -> None:
    for dtype in DTYPES:
        storage = storage_of(dtype)
        right = expected(LAYOUTS[layout](storage), KINDS["normal"], dtype).tobytes()
        for path in PATHS:
            got = filled(LAYOUTS[layout](storage), KINDS["normal"], dtype, path).tobytes()
            assert got == right, (dtype, path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_every_kind_equals_the_reference(kind: str, dtype: str) -> None:
    storage = storage_of(dtype)
    for layout in ("turned", "carry within a row"):
        right = expected(LAYOUTS[layout](storage), KINDS[kind], dtype).tobytes()
        for path in PATHS:
            got = filled(LAYOUTS[layout](storage), KINDS[kind], dtype, path).tobytes()
            assert got == right, (layout, path)


def test_another_row_would_be_seen() -> None:
    # The comparison is of order as well as of values.
    right = expected(turned(70, 68)("float32"), KINDS["normal"], "float32")
    other = filled(turned(70, 68, 68)("float32"), KINDS["normal"], "float32", "auto")
    assert other.tobytes() != right.tobytes()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("before", [0, 4, 16])
def test_memory_larger_than_caches(path: str, dtype: str, before: int) -> None:
    # Written past the caches where every column begins at a whole vector; the same numbers either way.
    rows, columns = (2096, 1028) if dtype == "float32" else (4192, 1028)
    plain = np.zeros(rows * columns, storage_of(dtype))
    wide = np.zeros((columns + 1, rows + 32), plain.dtype)
    shift = before // plain.itemsize - wide.ctypes.data % 64 // plain.itemsize
    cut = wide.reshape(-1)[shift % 32 :][: columns * (rows + 32)].reshape(columns, rows + 32)[:, :rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, path)
        fill_flat(plain, recipe(KINDS["uniform"], dtype), KEY, CARRY - rows * columns // 2, dtype, 1)
    filled((cut.T, CARRY - rows * columns // 2, (columns, 1)), KINDS["uniform"], dtype, path, 2)
    assert (cut.T.reshape(-1) == plain).all()


@st.composite
def layouts(pick: st.DrawFn) -> tuple[str, str, tuple[int, ...], tuple[int, ...], int, int, int]:
    dtype, kind = pick(st.sampled_from(DTYPES)), pick(st.sampled_from(sorted(KINDS)))
    depth = pick(st.integers(2, 4))
    shape = [pick(st.integers(1, 12)) for _ in range(depth)]
    # One dimension is long enough for rows.
    shape[pick(st.integers(0, depth - 1))] = pick(st.integers(28, 110))
    order = tuple(pick(st.permutations(range(depth))))
    last = (1 << 64) - 10**7
    begin = pick(st.one_of(st.integers(0, 9), st.integers(CARRY - 5000, CARRY), st.integers(0, last)))
    return dtype, kind, tuple(shape), order, begin, pick(st.integers(0, 7)), pick(st.integers(0, 3))


@given(layout=layouts())
@settings(max_examples=80, deadline=None)
def test_any_layout_equals_the_reference(
    layout: tuple[str, str, tuple[int, ...], tuple[int, ...], int, int, int],
) -> None:
    dtype, kind, shape, order, begin, offset, wider = layout
    # Logical dimensions as they lie in memory, the last with some room beside it, and back.
    stored = [shape[k] for k in order]
    steps = tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))

    def made() -> Made:
        width = stored[-1] + wider
        base = np.zeros(math.prod(stored[:-1]) * width + offset, format_of(dtype).storage)[offset:]
        return base.reshape(*stored[:-1], width)[..., : stored[-1]].transpose(np.argsort(order)), begin, steps

    right = expected(made(), KINDS[kind], dtype).tobytes()
    for path in PATHS:
        assert filled(made(), KINDS[kind], dtype, path, 2).tobytes() == right
