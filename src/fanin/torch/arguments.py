"""What the drop-ins take: a tensor, and numbers; anything else is refused by its name."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch

from fanin.errors import InputError, explain, finite

__all__ = ["check_tensor", "codes", "number", "whole_number"]


def check_tensor(tensor: object) -> None:
    """Refuse what is no tensor.

    Raises
    ------
    InputError
        Anything else; arrays have `fanin.sample` with ``out=``.
    """
    if not isinstance(tensor, torch.Tensor):
        raise InputError(
            explain(
                "There is no tensor to fill",
                received=type(tensor).__name__,
                rule="It is a torch.Tensor",
                remedy="Use fanin.sample(..., out=array) for an array" if hasattr(tensor, "dtype") else "",
            )
        )


def number(name: str, value: float, *, infinite: bool = False) -> float:
    """A parameter as a float.

    Parameters
    ----------
    name
        Of the parameter, for the message.
    value
        What was given.
    infinite
        Whether it may be infinite too.

    Raises
    ------
    InputError
        A word, a switch, not a number, or an infinity where none belongs.

    Examples
    --------
    >>> number("gain", 2)
    2.0
    """
    if not finite(value) and not (infinite and value in (-math.inf, math.inf)):
        raise InputError(
            explain(
                f"{name} is no number" + ("" if infinite else " that is finite"),
                received=f"{name}={value!r}",
            )
        )
    return float(value)


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
