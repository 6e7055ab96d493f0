"""Between a tensor as stored and its logical order, in which the elements of a stream count."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.records.axes import Axes, as_axes

__all__ = ["blocks", "flat_view", "logical_view"]

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
