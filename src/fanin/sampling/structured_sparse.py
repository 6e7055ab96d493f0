"""Sparse: each unit is joined to the same number of its inputs, chosen at random."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.records.draw import Normal, Sparse, Uniform
from fanin.sampling.layout import flat_view
from fanin.sampling.structured_target import Source, Target

__all__ = ["sparse"]

_TOGETHER = 1 << 20
"""Elements worked on at once."""
_ORDER = Uniform(low=-1.0, high=1.0)


def sparse(target: Target, draw: Sparse, source: Source) -> None:
    """Fill with the normal draw of the same stream, then keep `kept` elements of each unit.

    Those whose numbers in the float64 uniform stream of the role ``sparse`` are smallest, the first of
    equal ones. A unit's elements are neighbours in logical order, so units are independent of each other.

    References
    ----------
    J. Martens, Deep learning via Hessian-free optimization, ICML 2010, section 5.
    """
    fan = target.sides.columns
    if not 0 < draw.kept <= fan:
        raise InputError(
            explain(
                "A unit cannot be joined to so many inputs",
                received=f"kept={draw.kept}, {fan} inputs",
                rule="1 <= kept <= inputs (at every tap)",
            )
        )
    logical = target.logical
    flat = flat_view(logical)
    values = np.empty(logical.size, logical.dtype) if flat is None else flat
    # One number first: whatever the draw cannot serve is refused before the tensor is touched.
    normal = Normal(std=draw.parent_std)
    source.fill(np.empty(1, logical.dtype), normal, 0, target.dtype)
    source.fill(values, normal, 0, target.dtype)
    units = values.reshape(-1, fan)
    step = max(1, _TOGETHER // fan)
    for first in range(0, len(units), step):
        rows = units[first : first + step]
        order = np.empty(rows.size)
        source.fill(order, _ORDER, first * fan, "float64", "sparse")
        rows[~_smallest(order.reshape(rows.shape), draw.kept)] = 0
    if flat is None:
        logical[...] = values.reshape(logical.shape)


def _smallest(order: NDArray[np.float64], kept: int) -> NDArray[np.bool_]:
    """Mark the smallest `kept` of each row, the first of equal ones."""
    last: NDArray[Any] = np.partition(order, kept - 1, axis=-1)[:, kept - 1 : kept]
    chosen: NDArray[np.bool_] = order <= last
    for row in np.flatnonzero(chosen.sum(axis=-1) != kept):
        chosen[row] = False
        chosen[row, np.argsort(order[row], kind="stable")[:kept]] = True
    return chosen
