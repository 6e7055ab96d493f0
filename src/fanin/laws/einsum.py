"""Roles of a weight's dimensions from the equation that it is used in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fanin.errors import InputError, explain
from fanin.laws.fans import Fans, fans
from fanin.records.axes import Axes, Role

__all__ = ["axes_from_einsum", "fans_from_einsum"]

_ANY = "..."


def axes_from_einsum(equation: str, operand: int = -1) -> Axes:
    """Roles of a weight's dimensions in an einsum.

    A letter of the weight that another operand has too is summed over (*in*) if the result lacks it, and
    counts copies (*batch*) if the result has it; a letter that only the result has is *out*.

    Parameters
    ----------
    equation
        As in `numpy.einsum`, for example ``"bse,ehd->bshd"``; ``...`` may stand in other operands.
    operand
        Which operand is the weight; by default the last.

    Returns
    -------
    Axes
        One role a letter of the weight.

    Raises
    ------
    InputError
        An equation that is none, a letter twice in the weight, or ``...`` there.

    Examples
    --------
    >>> print(axes_from_einsum("ebc,ecd->ebd"))
    batch in out
    >>> print(axes_from_einsum("bse,ehd->bshd"))
    in out out
    """
    operands, result = _parse(equation)
    if not -len(operands) <= operand < len(operands):
        raise InputError(
            explain(
                "The equation has no such operand",
                received=f"operand={operand} of {equation!r}",
                rule=f"It has {len(operands)}",
            )
        )
    weight = operands[operand]
    others = "".join(operands[:operand] + operands[operand:][1:])
    twice = [letter for letter, count in Counter(weight.replace(_ANY, "")).items() if count > 1]
    if twice or _ANY in weight:
        raise InputError(
            explain(
                "The weight of an equation has letters of its own",
                received=f"{weight!r} in {equation!r}",
                rule="Each of its dimensions has one letter, and no letter comes twice",
                remedy="Write ... out in letters" if _ANY in weight else "",
            )
        )
    words = []
    for letter in weight:
        if letter not in result:
            words.append(Role.IN)
        else:
            words.append(Role.BATCH if letter in others else Role.OUT)
    return Axes(roles=tuple(words))


def fans_from_einsum(equation: str, shape: Sequence[int], operand: int = -1) -> Fans:
    """Fans of a weight in an einsum: the terms that one result, and one input's gradient, add up.

    Parameters
    ----------
    equation, operand
        As for `axes_from_einsum`.
    shape
        Of the weight.

    Returns
    -------
    Fans
        Experts and other letters that all have are in neither fan.

    Raises
    ------
    InputError
        As `axes_from_einsum`; a shape with another number of dimensions.

    Examples
    --------
    >>> print(fans_from_einsum("ebc,ecd->ebd", (8, 64, 32)))
    fan_in 64, fan_out 32
    """
    return fans(shape, axes_from_einsum(equation, operand))


def _parse(equation: str) -> tuple[list[str], str]:
    left, arrow, result = equation.replace(" ", "").partition("->")
    operands = left.split(",")
    letters = "".join(operands).replace(_ANY, "")
    bare = result.replace(_ANY, "")
    sound = all(letter.isalpha() for letter in letters + bare) and all(operands)
    if not sound or not set(bare) <= set(letters) or len(set(bare)) != len(bare):
        raise InputError(
            explain(
                "This is no einsum equation",
                received=repr(equation),
                rule="Operands of letters, separated by commas, then -> and letters of the result, each once",
                remedy="Write it as in 'bi,io->bo'",
            )
        )
    if not arrow:
        # As NumPy does: letters that come once, in alphabetical order.
        result = "".join(sorted(letter for letter, count in Counter(letters).items() if count == 1))
    return operands, result
