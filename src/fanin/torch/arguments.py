"""What the drop-ins take: a tensor, and numbers; anything else is refused by its name."""

from __future__ import annotations

import math

import torch

from fanin.errors import InputError, explain, finite

__all__ = ["check_tensor", "number"]


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
