"""What a check is asked with: counts, seeds, and codes of findings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fanin.errors import InputError, explain

__all__ = ["codes", "whole_number"]


def whole_number(name: str, value: object, *, least: int = 0, below: int = 2**64) -> int:
    """A count or a seed as an int.

    Parameters
    ----------
    name
        Of the parameter, for the message.
    value
        What was given.
    least, below
        Smallest number that may be given, and the first that may not.

    Raises
    ------
    InputError
        No whole number, or one outside of these bounds.

    Examples
    --------
    >>> whole_number("draws", 3, least=1)
    3
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and least <= value < below:
        return int(value)
    rule = f"It is a whole number of at least {least} and below {'2^64' if below == 2**64 else below}"
    raise InputError(explain(f"{name} is no such number", received=f"{name}={value!r}", rule=rule))


def codes(name: str, value: object) -> tuple[str, ...]:
    """Codes of findings, given one by one or as one text with commas; None stands for none.

    Raises
    ------
    InputError
        What is no text, and no sequence of them.

    Examples
    --------
    >>> codes("select", "FAN1, FAN203")
    ('FAN1', 'FAN203')
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(text.strip() for text in value.split(","))
    found = tuple(value) if isinstance(value, Iterable) else (value,)
    if all(isinstance(text, str) for text in found):
        return found
    rule = "Codes are texts such as 'FAN102', or their beginnings, such as 'FAN1'"
    raise InputError(explain(f"{name} holds no codes", received=f"{name}={value!r}"[:200], rule=rule))
