"""Roles of dimensions from their positions, as JAX and Keras say them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TypeAlias

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, Role

__all__ = ["Positions", "axes_at"]

Positions: TypeAlias = int | Sequence[int]
"""One dimension or several; negative ones count from the end."""


def axes_at(
    shape: Sequence[int],
    in_axis: Positions = -2,
    out_axis: Positions = -1,
    batch_axis: Positions = (),
    *,
    labels: tuple[str, str, str] = ("in_axis", "out_axis", "batch_axis"),
) -> Axes | None:
    """Roles of a shape whose input, output and batch dimensions are given by position.

    Parameters
    ----------
    shape
        Shape of the stored tensor.
    in_axis, out_axis, batch_axis
        Dimensions that play each role; all others are receptive. The default is the layout of JAX and
        Keras, ``(receptive ..., in, out)``.
    labels
        What messages call the three.

    Returns
    -------
    Axes or None
        None where the default does not apply: to shapes with fewer than two dimensions, which have no fans.

    Raises
    ------
    InputError
        A position that the shape does not have, or one that plays two roles.

    Examples
    --------
    >>> str(axes_at((3, 3, 16, 32)))
    'receptive receptive in out'
    >>> str(axes_at((8, 64, 32), batch_axis=0))
    'batch in out'
    """
    rank = len(shape)
    if rank < 2 and (in_axis, out_axis) == (-2, -1) and batch_axis in ((), []):
        return None
    roles: dict[int, Role] = {}
    said = dict(zip(labels, (in_axis, out_axis, batch_axis), strict=True))
    for role, (label, given) in zip((Role.IN, Role.OUT, Role.BATCH), said.items(), strict=True):
        for position in _positions(label, given):
            if not -rank <= position < rank:
                raise InputError(
                    explain(
                        f"{label} names a dimension that the shape does not have",
                        received=f"{label}={given!r} for shape {tuple(shape)}",
                        rule=f"Positions of this shape lie in [{-rank}, {rank})",
                        remedy="Use () for a role that no dimension plays",
                    )
                )
            if position % rank in roles:
                raise InputError(
                    explain(
                        "A dimension plays two roles",
                        received=", ".join(f"{word}={value!r}" for word, value in said.items())
                        + f" for shape {tuple(shape)}",
                        rule="Each dimension plays one role; those that are not named are receptive",
                        remedy=f"Name each dimension once, for example {labels[0]}=-2, {labels[1]}=-1",
                    )
                )
            roles[position % rank] = role
    return Axes(roles=tuple(roles.get(d, Role.RECEPTIVE) for d in range(rank)))


def _positions(label: str, given: Positions) -> tuple[int, ...]:
    try:
        return tuple(operator.index(one) for one in (given if isinstance(given, Sequence) else (given,)))
    except TypeError:
        raise InputError(
            explain(
                f"{label} is no position",
                received=f"{label}={given!r}",
                rule="It is a whole number, or a sequence of them",
            )
        ) from None
