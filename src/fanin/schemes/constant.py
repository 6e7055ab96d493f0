"""The same value everywhere."""

from __future__ import annotations

from fanin.errors import InputError, explain, finite
from fanin.records.draw import Constant
from fanin.schemes.base import Entry, Fixed

__all__ = ["SCHEMES", "constant", "ones", "zeros"]


def constant(value: float) -> Fixed:
    """Set every weight to one value: ``w = value``.

    Parameters
    ----------
    value
        Any finite number.

    Returns
    -------
    Fixed
        A scheme.

    Raises
    ------
    InputError
        A value that is not finite.

    Examples
    --------
    >>> constant(0.5)
    <constant: w = 0.5>
    """
    return _constant("constant", value)


def zeros() -> Fixed:
    """Zero everywhere: ``w = 0``.

    Returns
    -------
    Fixed
        A scheme.

    Examples
    --------
    >>> zeros()
    <zeros: w = 0>
    """
    return _constant("zeros", 0.0)


def ones() -> Fixed:
    """One everywhere: ``w = 1``.

    Returns
    -------
    Fixed
        A scheme.

    Examples
    --------
    >>> ones()
    <ones: w = 1>
    """
    return _constant("ones", 1.0)


def _constant(name: str, value: float) -> Fixed:
    if not finite(value):
        raise InputError(explain("A constant must be finite", received=f"value={value}"))
    return Fixed(name=name, spec=Constant(value=float(value)))


SCHEMES = (
    Entry(factory=constant, examples=({"value": 0.5}, {"value": -2.0})),
    Entry(factory=zeros),
    Entry(factory=ones),
)
