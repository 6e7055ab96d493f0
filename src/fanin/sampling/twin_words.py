"""Words of a twin: Philox4x32-10 and the window of a truncated draw, in 32-bit arithmetic alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanin.sampling.philox import MULTIPLIERS, ROUNDS, WEYL

if TYPE_CHECKING:
    from fanin.sampling.twin import Ops

__all__ = ["philox", "place", "window"]


def philox(ops: Ops, counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Apply the ten rounds to words of any shapes that broadcast.

    References
    ----------
    Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    a, b, c, d = counter
    key0, key1 = key
    for _ in range(ROUNDS):
        high0, low0 = ops.multiply(a, ops.word(MULTIPLIERS[0]))
        high1, low1 = ops.multiply(c, ops.word(MULTIPLIERS[1]))
        a, b, c, d = high1 ^ b ^ key0, low1, high0 ^ d ^ key1, low0
        key0 = ops.add(key0, ops.word(WEYL[0]))[0]
        key1 = ops.add(key1, ops.word(WEYL[1]))[0]
    return a, b, c, d


def place(ops: Ops, index: Any, stride: int) -> tuple[Any, Any]:
    """``index * stride`` as (high word, low word), for an index of one word and any stride below 2**64."""
    high, low = divmod(stride, 1 << 32)
    top, bottom = ops.multiply(index, ops.word(low))
    if high:
        top = ops.add(top, ops.multiply(index, ops.word(high))[1])[0]
    return top, bottom


def window(
    ops: Ops, word: Any, second: Any, start: tuple[Any, Any], width: tuple[Any, Any]
) -> tuple[Any, Any]:
    """Map all words evenly onto a window: ``start + floor((2 P + 1) width / 2**(bits + 1))``.

    Parameters
    ----------
    word, second
        The high and the low word of P; no low word (None) for narrow draws.
    start, width
        High and low word each; narrow draws have them in the low one.
    """
    if second is None:
        high, low = ops.multiply(word, width[1])
        carry = ops.add(low, width[1] >> ops.word(1))[1]
        return ops.add(ops.add(high, carry)[0], start[1])[0], None
    # P * width + width // 2, by columns of 32 bits; only the upper two are wanted.
    half_low = (width[1] >> ops.word(1)) | ops.multiply(width[0], ops.word(1 << 31))[1]
    half_high = width[0] >> ops.word(1)
    column1, column0 = ops.multiply(second, width[1])
    over0 = ops.add(column0, half_low)[1]
    middle_high, middle_low = ops.multiply(word, width[1])
    cross_high, cross_low = ops.multiply(second, width[0])
    top, column2 = ops.multiply(word, width[0])
    for term in (middle_low, cross_low, half_high, over0):
        column1, over = ops.add(column1, term)
        column2, more = ops.add(column2, over)
        top = ops.add(top, more)[0]
    for term in (middle_high, cross_high):
        column2, over = ops.add(column2, term)
        top = ops.add(top, over)[0]
    low, over = ops.add(column2, start[1])
    return ops.add(ops.add(top, over)[0], start[0])[0], low
