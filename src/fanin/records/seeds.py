"""What a seed is: a whole number that fits 64 bits."""

from __future__ import annotations

import operator

from fanin.errors import InputError, explain

__all__ = ["checked_seed"]

_END = 2**64


def checked_seed(seed: object) -> int:
    """A seed as an int; NumPy's whole numbers are taken too.

    Raises
    ------
    InputError
        No whole number, or one outside of 0 to 2^64 - 1.

    Examples
    --------
    >>> checked_seed(3)
    3
    """
    try:
        value = -1 if isinstance(seed, bool) else operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        value = -1
    if not 0 <= value < _END:
        rule = "An integer, 0 to 2^64 - 1"
        raise InputError(explain("The seed is outside its range", received=f"{seed!r:.80}", rule=rule))
    return value
