"""Between a tensor as stored and its logical order, in which the elements of a stream count."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from fanin.records.axes import Axes, as_axes

__all__ = ["flat_view", "in_order", "logical_view"]

_SHAPES = 4096


def logical_view(stored: NDArray[Any], axes: Axes | None) -> NDArray[Any]:
    """The stored tensor with its dimensions in logical order, without a copy.

    Examples
    --------
    >>> import numpy as np
    >>> from fanin.records.axes import Role
    >>> logical_view(np.empty((3, 5)), Axes(roles=(Role.IN, Role.OUT))).shape
    (5, 3)
    """
    # Without axes, as_axes assumes roles that are in logical order already.
    checked = as_axes(axes, stored.shape)
    return stored if checked is None else stored.transpose(checked.logical_order)


@lru_cache(maxsize=_SHAPES)
def in_order(axes: Axes, shape: tuple[int, ...]) -> bool:
    """Whether a tensor of `shape` is stored in logical order; an error where the axes do not fit.

    Examples
    --------
    >>> from fanin.records.axes import Role
    >>> in_order(Axes(roles=(Role.IN, Role.OUT)), (3, 5))
    False
    """
    checked = as_axes(axes, shape)
    return checked is None or checked.logical_order == tuple(range(len(shape)))


def flat_view(logical: NDArray[Any]) -> NDArray[Any] | None:
    """The elements in logical order as one contiguous aligned run of memory, or None."""
    if logical.flags.c_contiguous and logical.flags.aligned:
        return logical.reshape(-1)
    return None
