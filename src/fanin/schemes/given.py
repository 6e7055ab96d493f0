"""Values that are known: an array, or poison."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fanin.errors import InputError, explain
from fanin.schemes.base import Entry
from fanin.schemes.by_formula import FormulaScheme

__all__ = ["SCHEMES", "given", "poison"]


def given(values: ArrayLike) -> FormulaScheme:
    """Values from an array: ``w = values``, broadcast to the shape as NumPy does.

    A plan stores the values one by one, so this is for small arrays; load large ones from a checkpoint.

    Parameters
    ----------
    values
        Numbers, all finite.

    Returns
    -------
    FormulaScheme
        A scheme; its `draw` raises InputError for a shape that the values do not broadcast to.

    Raises
    ------
    InputError
        Values that are no numbers, or not finite.

    Examples
    --------
    >>> given([0.0, 1.0]).draw((3, 2)).mean
    0.5

    References
    ----------
    The Constant of JAX and MXNet, and the Assign of Paddle, which take arrays too.
    """
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    if array.size == 0 or not np.isfinite(array).all():
        raise InputError(
            explain(
                "given needs an array of finite numbers",
                received=f"{type(values).__name__} of shape {np.shape(array)}",
                remedy="Use poison() for weights that must be written later",
            )
        )
    return FormulaScheme(
        name="given",
        law=f"w = the given values of shape {array.shape}",
        source="given",
        numbers=tuple(map(float, array.ravel())),
        given=array.shape,
    )


def poison() -> FormulaScheme:
    """Not a number everywhere: a weight that nobody initialises afterwards shows itself.

    ``w = NaN``. One use of it, and the loss is NaN too.

    Returns
    -------
    FormulaScheme
        A scheme; the moments of its draws are NaN.

    Examples
    --------
    >>> poison()
    <poison: w = NaN>

    References
    ----------
    Chainer, chainer.initializers.NaN, which has the same purpose.
    """
    return FormulaScheme(name="poison", law="w = NaN", source="nan")


SCHEMES = (
    Entry(factory=given, aliases=("assign",), examples=({"values": 0.25}, {"values": (-0.5,)})),
    Entry(factory=poison, aliases=("nan",)),
)
