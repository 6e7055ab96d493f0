"""A part of a tensor without the rest: a shard of any dimension, a strided slice, rows far out."""

from __future__ import annotations

import math
import operator
from typing import Any

from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, as_axes

__all__ = ["Region", "region"]

_END = 1 << 64

Region = tuple[int, tuple[int, ...]]
"""First element of the stream, and for each logical dimension the elements from neighbour to neighbour."""


def region(
    out: NDArray[Any], shape: tuple[int, ...], index: tuple[slice, ...], axes: Axes | None, each: int = 1
) -> tuple[NDArray[Any], Region]:
    """See a stored part in logical order, and say which elements of the stream it holds.

    ``element = each * sum_k (start_k + step_k i_k) * product of the logical extents after k``: the first
    of the `each` elements of the stream (two for a complex number) that a number of the tensor takes.

    Raises
    ------
    InputError
        A part that leaves the tensor, or does not have the shape of `out`.

    Examples
    --------
    >>> import numpy as np
    >>> region(np.empty((2, 3)), (8, 10), (slice(4, 6), slice(0, 9, 3)), None)[1]
    (40, (10, 3))
    """
    extents = _checked_shape(shape, _END // each)
    bounds = [_bounds(part, n, place) for place, (part, n) in enumerate(_paired(index, extents))]
    lengths = tuple(len(range(*bound)) for bound in bounds)
    if lengths != out.shape:
        raise InputError(
            explain(
                "The part does not have the output's shape",
                received=f"index {index} of shape {extents}, output of shape {out.shape}",
                rule=f"This index takes {lengths}",
            )
        )
    checked = as_axes(axes, extents)
    order = tuple(range(len(extents))) if checked is None else checked.logical_order
    begin, steps, inner = 0, [0] * len(order), each
    for place in reversed(range(len(order))):
        start, _, step = bounds[order[place]]
        begin += start * inner
        steps[place] = step * inner
        inner *= extents[order[place]]
    # An empty part may start at the end.
    return out.transpose(order), (begin if out.size else 0, tuple(steps))


def _checked_shape(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    try:
        extents = tuple(operator.index(n) for n in shape)
    except TypeError:
        extents = (-1,)
    if any(n < 0 for n in extents) or math.prod(extents) > most:
        raise InputError(
            explain(
                "The whole tensor's shape cannot be served",
                received=f"shape={shape!r}",
                rule=f"Extents are whole numbers from 0 on, with at most 2**{most.bit_length() - 1} elements",
            )
        )
    return extents


def _paired(index: tuple[slice, ...], extents: tuple[int, ...]) -> list[tuple[slice, int]]:
    if (
        not isinstance(index, tuple)
        or len(index) != len(extents)
        or not all(isinstance(part, slice) for part in index)
    ):
        raise InputError(
            explain(
                "The index of a part does not fit the shape",
                received=f"index={index!r} for shape {extents}",
                rule="There is one slice a dimension",
                remedy="For example index=(slice(0, 128), slice(None))",
            )
        )
    return list(zip(index, extents, strict=True))


def _bounds(part: slice, extent: int, place: int) -> tuple[int, int, int]:
    numbers = (
        0 if part.start is None else part.start,
        extent if part.stop is None else part.stop,
        1 if part.step is None else part.step,
    )
    try:
        start, stop, step = (operator.index(number) for number in numbers)
    except TypeError:
        start, stop, step = -1, -1, 0
    if not (0 <= start <= stop <= extent and step >= 1):
        raise InputError(
            explain(
                "A part leaves its tensor",
                received=f"{part} of dimension {place} with {extent} elements",
                rule="0 <= start <= stop <= extent, in whole numbers, with a step of at least 1",
            )
        )
    return start, stop, step
