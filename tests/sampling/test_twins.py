"""The twin's arithmetic, in NumPy: the golden streams and the engine, to the last bit."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.cast import DTYPES, format_of
from fanin.sampling.philox import words
from fanin.sampling.recipe import Kind, Recipe, recipe
from fanin.sampling.reference import elements, window32, window64
from fanin.sampling.streams import StreamKey
from fanin.sampling.twin import TABLES, Numbers, block_words, numbers, program, transform
from fanin.sampling.twin_words import philox, place, window

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
M = 0xFFFFFFFF
word32 = st.integers(0, M)
word64 = st.integers(0, 2**64 - 1)


class NumpyOps:
    """Words in uint32; each operation as directly as NumPy has it."""

    def word(self, value: int) -> Any:
        return np.uint32(value)

    def multiply(self, word: Any, factor: Any) -> tuple[Any, Any]:
        product = np.asarray(word, np.uint64) * np.uint64(factor)
        return (product >> np.uint64(32)).astype(np.uint32), product.astype(np.uint32)

    def add(self, word: Any, other: Any) -> tuple[Any, Any]:
        total = np.asarray(word, np.uint64) + np.asarray(other, np.uint64)
        return total.astype(np.uint32), (total >> np.uint64(32)).astype(np.uint32)

    def signed(self, word: Any) -> Any:
        return word.view(np.int32)

    def joined(self, high: Any, low: Any) -> Any:
        return ((high.astype(np.uint64) << np.uint64(32)) | low).view(np.int64)

    def to_float(self, integer: Any, *, wide: bool) -> Any:
        return integer.astype(np.float64 if wide else np.float32)

    def pattern(self, value: Any, *, wide: bool) -> Any:
        return value.view(np.int64 if wide else np.int32)

    def value(self, pattern: Any, *, wide: bool) -> Any:
        return pattern.view(np.float64 if wide else np.float32)

    def coefficient(self, order: int, octave: Any, *, wide: bool) -> Any:
        return TABLES[wide][order][octave]

    def narrowed(self, value: Any) -> Any:
        return value.astype(np.float32)

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        return np.where(condition, np.asarray(yes, getattr(no, "dtype", None)), no)

    def stored(self, pattern: Any, dtype: str) -> Any:
        storage = np.dtype(format_of(dtype).storage)
        return pattern.astype(f"u{storage.itemsize}").view(storage)


OPS = NumpyOps()


def twin(made: Recipe, key: StreamKey, begin: int, end: int, dtype: str) -> NDArray[Any]:
    """Elements [begin, end) by the twin."""
    what, given = program(made, dtype), numbers(made, key)
    first = begin >> 2
    blocks = range(first, ((end - 1) >> 2) + 1)
    high = np.array([b >> 32 for b in blocks], np.uint32)
    low = np.array([b & M for b in blocks], np.uint32)
    groups = block_words(OPS, what, given, (high, low))
    flat = [None if g is None else np.stack(g, axis=-1).reshape(-1) for g in groups]
    out: NDArray[Any] = transform(OPS, what, given, *flat)
    return out[begin - 4 * first : end - 4 * first]


def read(name: str) -> list[dict[str, str]]:
    with (VECTORS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_golden_streams() -> None:
    rows = read("streams.csv")
    assert len(rows) > 200
    for row in rows:
        # The twins leave far tails to the host.
        if float.fromhex(row["near"]):
            continue
        made = Recipe(
            kind=Kind(int(row["kind"])),
            wide=row["wide"] == "1",
            start=int(row["start"]),
            width=int(row["width"]),
            **{label: float.fromhex(row[label]) for label in ("scale", "shift", "low", "high")},
        )
        key = StreamKey(**{word: int(row[word]) for word in ("key0", "key1", "counter2", "counter3")})
        expected, begin = row["elements"].split(), int(row["begin"])
        got = twin(made, key, begin, begin + len(expected), row["dtype"])
        assert [f"{int(p):0{2 * got.itemsize}x}" for p in got.view(f"u{got.itemsize}")] == expected


def test_known_answers_of_random123() -> None:
    for row in read("philox4x32_10.csv"):
        counter = tuple(np.array([int(row[f"counter{i}"], 16)], np.uint32) for i in range(4))
        key = (np.uint32(int(row["key0"], 16)), np.uint32(int(row["key1"], 16)))
        got = [int(w[0]) for w in philox(OPS, counter, key)]
        assert got == [int(row[f"word{i}"], 16) for i in range(4)]


DRAWS: list[Draw] = [
    Uniform(low=-0.5, high=0.5),
    Uniform(low=0.1, high=0.7),
    Normal(std=0.02),
    Normal(mean=0.3, std=1.0),
    TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0),
    TruncatedNormal(std=1.0, parent_mean=0.2, parent_std=0.7, lower=0.5, upper=math.inf),
    TruncatedNormal(std=0.1, parent_mean=0.0, parent_std=0.1, lower=1.0, upper=1.01),
    TruncatedNormal(std=0.1, parent_mean=0.5, parent_std=0.1, lower=-math.inf, upper=-5.0),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("draw", DRAWS, ids=str)
def test_equal_to_the_reference(draw: Draw, dtype: str) -> None:
    made = recipe(draw, dtype)
    key = StreamKey(key0=1, key1=M, counter2=3, counter3=4)
    for begin in (5, 2**34 - 3, 2**64 - 40_000):
        expected = elements(made, key, begin, begin + 40_000, dtype)
        assert twin(made, key, begin, begin + 40_000, dtype).tobytes() == expected.tobytes()


@given(word=word64, start=word64, width=st.integers(1, 2**64 - 1))
def test_windows_are_exact(word: int, start: int, width: int) -> None:
    start = start % (2**64 - width + 1)
    high, low = np.array([word >> 32], np.uint32), np.array([word & M], np.uint32)
    got = window(OPS, high, low, divmod(start, 2**32), divmod(width, 2**32))
    assert (int(got[0][0]) << 32) + int(got[1][0]) == start + (((2 * word + 1) * width) >> 65)
    assert int(window64(np.array([word], np.uint64), start, width)[0]) == start + (
        ((2 * word + 1) * width) >> 65
    )
    start, width = start >> 32, max(1, width >> 32)
    got = window(OPS, low, None, (0, start), (0, width))
    expected = start + (((2 * (word & M) + 1) * width) >> 33)
    assert int(got[0][0]) == expected & M
    assert int(window32(low, start, width)[0]) == expected & M


@given(index=word32, stride=word64)
def test_places_are_products(index: int, stride: int) -> None:
    high, low = place(OPS, np.array([index], np.uint32), stride)
    assert (int(high[0]) << 32) + int(low[0]) == (index * stride) % 2**64


def test_a_wrong_word_would_be_seen() -> None:
    made = recipe(Normal(std=1.0), "float32")
    given = numbers(made, StreamKey(key0=1, key1=2, counter2=3, counter3=4))
    spoiled = Numbers(
        key=(1, 2, 3, 5), start=given.start, width=given.width, scale=1.0, shift=0.0, low=0.0, high=0.0
    )
    block = (np.zeros(1, np.uint32), np.zeros(1, np.uint32))
    what = program(made, "float32")
    assert block_words(OPS, what, given, block) != block_words(OPS, what, spoiled, block)
    assert (
        words(StreamKey(key0=1, key1=2, counter2=3, counter3=4), 0, 1)[0]
        == block_words(OPS, what, given, block)[0][0]
    )
