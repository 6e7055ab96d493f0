"""Raw words in the orders in which a model's weights meet: what batteries of tests should see.

A generator can pass every test in one long run and still be bad across streams. These orders put
side by side what training puts side by side: the same elements of many names, of many seeds, first
elements only, and the columns of a matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray

from fanin.sampling.philox import philox, words
from fanin.sampling.streams import StreamKey, stream_key

__all__ = ["columns", "interleaved", "numbered", "run", "seeded", "side_by_side"]

_CHUNK = 1 << 16
"""Words at a time: temporaries stay in the cache."""
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def run(key: StreamKey) -> Iterator[NDArray[np.uint32]]:
    """One stream from its first element, without end."""
    for begin in count(0, _CHUNK):
        yield words(key, begin, begin + _CHUNK)


def columns(key: StreamKey, width: int, rows: int = _CHUNK) -> Iterator[NDArray[np.uint32]]:
    """The columns, one after another, of matrices of `rows` by `width` cut from one stream."""
    for matrix in count(0, rows * width):
        for column in range(width):
            yield _at(key, matrix + column + width * np.arange(rows, dtype=np.uint64))


def numbered(seed: int, name: str) -> Iterator[StreamKey]:
    """Keys of the names ``name.0``, ``name.1``, ..., which differ in a few digits."""
    return (stream_key(seed, f"{name}.{k}") for k in count())


def seeded(seed: int, name: str) -> Iterator[StreamKey]:
    """Keys of one name under the seeds ``seed``, ``seed + 1``, ..."""
    return (stream_key(seed + k, name) for k in count())


def interleaved(
    keys: Iterator[StreamKey], streams: int | None, each: int = 1
) -> Iterator[NDArray[np.uint32]]:
    """Take `each` elements of every stream in turn, again and again.

    Parameters
    ----------
    streams
        How many streams take turns; None for ever new ones, of which only the first elements are seen.
    each
        Elements of a stream before it is the next one's turn.
    """
    some = max(1, _CHUNK // each)
    if streams is None:
        while True:
            yield side_by_side(list(islice(keys, some)), 0, each).reshape(-1)
    kept = list(islice(keys, streams))
    for begin in count(0, each):
        for first in range(0, len(kept), some):
            yield side_by_side(kept[first : first + some], begin, begin + each).reshape(-1)


def side_by_side(keys: list[StreamKey], begin: int, end: int) -> NDArray[np.uint32]:
    """Words of the elements [begin, end) of many streams, a row a stream.

    Examples
    --------
    >>> key = stream_key(0, "w")
    >>> bool((side_by_side([key, key], 3, 9)[1] == words(key, 3, 9)).all())
    True
    """
    parts = np.array([key.words for key in keys], np.uint64).reshape(-1, 4, 1)
    block = np.arange(begin >> 2, ((end - 1) >> 2) + 1, dtype=np.uint64)
    low, high, counter2, counter3 = np.broadcast_arrays(
        block & _LOW, block >> _HALF, parts[:, 2], parts[:, 3]
    )
    made = philox((low, high, counter2, counter3), (parts[:, 0], parts[:, 1]))
    flat = np.stack(made, axis=-1).astype(np.uint32).reshape(len(keys), -1)
    return flat[:, begin & 3 : (begin & 3) + end - begin]


def _at(key: StreamKey, index: NDArray[np.uint64]) -> NDArray[np.uint32]:
    block = index >> np.uint64(2)
    made = philox(
        (
            block & _LOW,
            block >> _HALF,
            np.full_like(block, key.counter2),
            np.full_like(block, key.counter3),
        ),
        (key.key0, key.key1),
    )
    place = (index & np.uint64(3)).astype(np.intp)
    return np.stack(made)[place, np.arange(index.size)].astype(np.uint32)
