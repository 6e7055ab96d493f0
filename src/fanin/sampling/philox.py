"""Philox4x32-10: 128 random bits for each 128-bit counter, and the words of a stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fanin.sampling.streams import StreamKey

__all__ = ["MULTIPLIERS", "ROUNDS", "WEYL", "philox", "words"]

# Salmon et al. 2011, table 2 and Random123 philox.h.
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_SECOND = 0xFFFFFFFF


def philox(
    counter: tuple[NDArray[np.uint64], ...],
    key: tuple[int, int] | tuple[NDArray[np.uint64], NDArray[np.uint64]],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Apply the ten rounds to four arrays of counter words (uint32 values held in uint64).

    The two words of the key may be arrays too, that broadcast with the counter.

    References
    ----------
    Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    a, b, c, d = counter
    key0, key1 = np.asarray(key[0], np.uint64), np.asarray(key[1], np.uint64)
    for _ in range(ROUNDS):
        first, second = np.uint64(MULTIPLIERS[0]) * a, np.uint64(MULTIPLIERS[1]) * c
        a, b, c, d = (
            (second >> _HALF) ^ b ^ key0,
            second & _LOW,
            (first >> _HALF) ^ d ^ key1,
            first & _LOW,
        )
        key0, key1 = (key0 + np.uint64(WEYL[0])) & _LOW, (key1 + np.uint64(WEYL[1])) & _LOW
    return a, b, c, d


def words(key: StreamKey, begin: int, end: int, *, second: bool = False) -> NDArray[np.uint32]:
    """Words of the elements [begin, end): element i has word ``i & 3`` of block ``i >> 2``.

    The block's number fills the two low counter words, the key's hash the two high ones. `second`
    gives the further word an element needs in float64: the same block with the highest counter
    word complemented.
    """
    if begin >= end:
        return np.empty(0, np.uint32)
    first_block, last_block = begin >> 2, ((end - 1) >> 2) + 1
    block = np.uint64(first_block) + np.arange(last_block - first_block, dtype=np.uint64)
    high = key.counter3 ^ (_SECOND if second else 0)
    counter = (
        block & _LOW,
        block >> _HALF,
        np.full_like(block, key.counter2),
        np.full_like(block, high),
    )
    out = np.stack(philox(counter, (key.key0, key.key1)), axis=1).astype(np.uint32).reshape(-1)
    return out[begin - (first_block << 2) : end - (first_block << 2)]
