"""The numbers of a plan's line: of a whole tensor, or of the part of it that one device holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.records.pieces import pieces
from fanin.records.plan import Entry
from fanin.sampling.cast import storage_of
from fanin.sampling.engine import fill_slice

__all__ = ["numbers"]


def numbers(entry: Entry, seed: int, where: tuple[slice, ...] | None = None) -> NDArray[Any]:
    """Draw a line of a plan in its dtype; bfloat16 and float8 as bit patterns.

    Parameters
    ----------
    entry
        A line that draws.
    seed
        The plan's.
    where
        A slice a dimension, each with a start and a stop: the part that is drawn, without the rest. None for
        all of it.

    Returns
    -------
    numpy.ndarray
        What the whole tensor has at these places, whatever the part.

    Raises
    ------
    InputError
        A line that keeps its tensor, or a draw that its dtype cannot hold.

    Examples
    --------
    >>> from fanin.records.draw import Normal
    >>> from fanin.records.plan import Status
    >>> entry = Entry(
    ...     name="w",
    ...     shape=(4, 3),
    ...     dtype="float32",
    ...     status=Status.CLAIMED,
    ...     draw=Normal(std=0.5),
    ...     scheme="normal",
    ...     rule="mine",
    ...     reason="to show",
    ... )
    >>> part = numbers(entry, 0, (slice(1, 3), slice(0, 3)))
    >>> bool((part == numbers(entry, 0)[1:3]).all())
    True
    """
    where = tuple(slice(0, n) for n in entry.shape) if where is None else where
    out = np.empty([s.stop - s.start for s in where], storage_of(entry.dtype))
    for piece in pieces(entry) if out.size else ():
        both = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(piece.index, where, strict=True)]
        if not all(low < high for low, high in both):
            continue
        here = tuple(slice(low - w.start, high - w.start) for (low, high), w in zip(both, where, strict=True))
        there = zip(both, piece.index, strict=True)
        fill_slice(
            out[here] if here else out,
            piece.draw,
            shape=piece.shape,
            index=tuple(slice(low - p.start, high - p.start) for (low, high), p in there),
            seed=seed,
            name=piece.name,
            axes=piece.axes,
            dtype=entry.dtype,
        )
    if entry.zeroed is not None and entry.shape and out.size:
        row = entry.zeroed % entry.shape[0]
        if where[0].start <= row < where[0].stop:
            out[row - where[0].start] = 0
    return out
