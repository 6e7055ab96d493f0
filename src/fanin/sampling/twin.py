"""The engine once more, for any array library: a draw's elements as a function of their indices.

A twin is written in operations that NumPy, PyTorch and JAX define alike, and gives the kernel's bits
on devices and inside compilers that no kernel reaches. A front end supplies an `Ops`. Everything
that needs exact whole-number work (keys, masses, bounds) is done on the host beforehand; what is left
is elementwise, so that it may be traced, sharded and cut anywhere.

A *word* holds 32 bits in uint32 or in a wider integer that stays below 2**32; scalars of the host are
words too. `^ & |` and `>>` of words are the array's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fanin.sampling._table import NARROW, WIDE
from fanin.sampling.recipe import Kind, Recipe
from fanin.sampling.streams import StreamKey
from fanin.sampling.twin_values import clamp, encode, normal, scaled, uniform
from fanin.sampling.twin_words import philox, window

__all__ = ["TABLES", "Numbers", "Ops", "Program", "block_words", "numbers", "program", "transform"]

TABLES = {
    wide: np.array([[float.fromhex(v) for v in row] for row in table], np.float64 if wide else np.float32)
    for wide, table in ((False, NARROW), (True, WIDE))
}
"""Coefficients of the octave polynomials, by width, order and octave."""


class Ops(Protocol):
    """What a twin asks of an array library; `wide` is false for 32-bit floats and true for 64-bit ones."""

    def word(self, value: int) -> Any:
        """A constant word."""
        ...

    def multiply(self, word: Any, factor: Any) -> tuple[Any, Any]:
        """High and low word of a product of two words."""
        ...

    def add(self, word: Any, other: Any) -> tuple[Any, Any]:
        """Sum of two words mod 2**32, and the carry (0 or 1) as a word."""
        ...

    def signed(self, word: Any) -> Any:
        """The word's bits as a signed 32-bit integer."""
        ...

    def joined(self, high: Any, low: Any) -> Any:
        """Two words as a signed 64-bit integer."""
        ...

    def to_float(self, integer: Any, *, wide: bool) -> Any:
        """The nearest float of the integer's width, ties to even."""
        ...

    def pattern(self, value: Any, *, wide: bool) -> Any:
        """A float's bits as a signed integer."""
        ...

    def value(self, pattern: Any, *, wide: bool) -> Any:
        """The float with these bits."""
        ...

    def coefficient(self, order: int, octave: Any, *, wide: bool) -> Any:
        """Look up the octave tables."""
        ...

    def narrowed(self, value: Any) -> Any:
        """A 64-bit float rounded to 32 bits."""
        ...

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        """Choose by element."""
        ...

    def stored(self, pattern: Any, dtype: str) -> Any:
        """The array of a small format with these bits, given as signed 32-bit integers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What decides which operations are done: a compiler is run once for each."""

    kind: Kind
    wide: bool
    shifted: bool
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What the operations are done with; a front end may turn each into an array of no dimensions.

    `start` and `width` are (high word, low word); narrow draws have them in the low word.
    """

    key: tuple[Any, Any, Any, Any]
    start: tuple[Any, Any]
    width: tuple[Any, Any]
    scale: Any
    shift: Any
    low: Any
    high: Any


def program(made: Recipe, dtype: str) -> Program:
    """The operations that a recipe needs."""
    return Program(kind=made.kind, wide=made.wide, shifted=made.shift != 0.0, dtype=dtype)


def numbers(made: Recipe, key: StreamKey) -> Numbers:
    """The numbers of a recipe and its stream, as whole numbers and floats of Python."""
    return Numbers(
        key=key.words,
        start=divmod(made.start, 1 << 32),
        width=divmod(made.width, 1 << 32),
        scale=made.scale,
        shift=made.shift,
        low=made.low,
        high=made.high,
    )


def block_words(
    ops: Ops, what: Program, given: Numbers, block: tuple[Any, Any]
) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
    """The four words of each block, and the four further ones of wide draws.

    Parameters
    ----------
    block
        Numbers of blocks as (high word, low word); element i is in block ``i >> 2``, at place ``i & 3``.
    """
    key0, key1, counter2, counter3 = given.key
    high, low = block
    first = philox(ops, (low, high, counter2, counter3), (key0, key1))
    if not what.wide:
        return first, None
    return first, philox(ops, (low, high, counter2, counter3 ^ ops.word(0xFFFFFFFF)), (key0, key1))


def transform(ops: Ops, what: Program, given: Numbers, word: Any, second: Any = None) -> Any:
    """From an element's word, or two words, to the element as `what.dtype` stores it.

    Small formats are encoded from whole numbers, because a compiler that may keep excess precision
    would drop a conversion there and back.
    """
    if what.kind == Kind.TRUNCATED:
        word, second = window(ops, word, second, given.start, given.width)
    wide = what.wide
    pattern = ops.joined(word, second) if wide else ops.signed(word)
    base = uniform(ops, pattern, wide=wide) if what.kind == Kind.UNIFORM else normal(ops, pattern, wide=wide)
    if wide and what.dtype != "float64":
        wide, pattern, base = False, ops.signed(word), ops.narrowed(base)
    if what.kind == Kind.TRUNCATED:
        base = clamp(ops, base, given.low, given.high)
    # The pattern's sign is worth nothing here but that no compiler can know it.
    out = scaled(ops, base, given.scale, pattern, wide=wide)
    if what.shifted:
        out = out + given.shift
        if what.kind == Kind.UNIFORM:
            out = clamp(ops, out, given.low, given.high)
    return out if what.dtype in ("float32", "float64") else encode(ops, out, what.dtype)
