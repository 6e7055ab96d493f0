"""Between a tensor as stored and its logical order, in which the elements of a stream count."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.records.axes import Axes, as_axes

__all__ = ["Turned", "blocks", "flat_view", "logical_view", "turned_view"]

_LEAST_ROWS, _LEAST_COLUMNS = 8, 64
"""What makes turning by tiles worth more than a copy; shorter rows fill no vectors."""

_BLOCK = 1 << 20
"""Elements of a temporary block (4 MiB of float32): near the caches, large enough for threads."""


def logical_view(stored: NDArray[Any], axes: Axes | None) -> NDArray[Any]:
    """The stored tensor with its dimensions in logical order, without a copy.

    Examples
    --------
    >>> from fanin.records.axes import Role
    >>> logical_view(np.empty((3, 5)), Axes(roles=(Role.IN, Role.OUT))).shape
    (5, 3)
    """
    # Without axes, as_axes assumes roles that are in logical order already.
    checked = as_axes(axes, stored.shape)
    return stored if checked is None else stored.transpose(checked.logical_order)


def flat_view(logical: NDArray[Any]) -> NDArray[Any] | None:
    """The elements in logical order as one contiguous aligned run of memory, or None."""
    if logical.flags.c_contiguous and logical.flags.aligned:
        return logical.reshape(-1)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """A tensor in one run of memory in which logical rows, not columns, are neighbours.

    Logical element (prefix, row, q) lies at item ``origin[prefix] + row + sum(q * strides)``.
    """

    memory: NDArray[Any]
    origins: tuple[int, ...]
    rows: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def turned_view(logical: NDArray[Any]) -> Turned | None:
    """See a logical view as `Turned`, or None where it is not.

    Examples
    --------
    >>> turned_view(np.empty((100, 9)).T).strides
    (9,)
    """
    if logical.size == 0 or any(step < 0 for step in logical.strides):
        return None
    # Memory order: longest strides first; length-one dimensions have no say.
    memory = logical.transpose(sorted(range(logical.ndim), key=lambda k: -logical.strides[k])).squeeze()
    kept = [k for k in range(logical.ndim) if logical.shape[k] > 1]
    strides = [logical.strides[k] // logical.itemsize for k in kept]
    shape = [logical.shape[k] for k in kept]
    if flat_view(memory) is None or 1 not in strides:
        return None
    place = strides.index(1)
    if shape[place] < _LEAST_ROWS or math.prod(shape[place + 1 :]) < _LEAST_COLUMNS:
        return None
    prefix = itertools.product(*(range(n) for n in shape[:place]))
    return Turned(
        memory=memory.reshape(-1),
        origins=tuple(sum(map(operator.mul, index, strides)) for index in prefix),
        rows=shape[place],
        shape=tuple(shape[place + 1 :]),
        strides=tuple(strides[place + 1 :]),
    )


def blocks(logical: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Cut a logical view into (first element index, part) whose elements are consecutive.

    Parts hold at most about a million elements, but at least one run of the last dimension's
    neighbours; a part is a view, whatever its strides.
    """
    shape = logical.shape
    depth = 0
    while depth < len(shape) and math.prod(shape[depth + 1 :]) > _BLOCK:
        depth += 1
    if depth == len(shape):
        for index in itertools.product(*map(range, shape)):
            yield int(np.ravel_multi_index(index, shape)) if shape else 0, logical[index]
        return
    inner = math.prod(shape[depth + 1 :])
    rows = max(1, _BLOCK // max(1, inner))
    for place, prefix in enumerate(itertools.product(*map(range, shape[:depth]))):
        part = logical[prefix]
        for first in range(0, shape[depth], rows):
            begin = (place * shape[depth] + first) * inner
            yield begin, part[first : first + rows]
