"""What each dimension of a weight means.

Fans are sums over roles, so a layer's meaning has to be said once, here, and is never guessed
from the position of a dimension.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import SupportsIndex

from fanin.errors import InputError, explain

__all__ = ["Axes", "Role", "as_axes"]


class Role(StrEnum):
    """The part a dimension plays in the layer's sum."""

    BATCH = "batch"
    """Independent copies (stacked experts, ensemble members): in no fan."""
    GROUP = "group"
    """A dimension of its own for groups or blocks of a block-diagonal map: in no fan."""
    OUT = "out"
    """Units that the layer computes."""
    IN = "in"
    """Units that each output sums over."""
    RECEPTIVE = "receptive"
    """Positions of a kernel: in both fans."""


_ORDER = {role: place for place, role in enumerate(Role)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """Roles of a weight's dimensions, plus what the shape alone cannot say.

    Parameters
    ----------
    roles
        One role a dimension, in the order in which the tensor is stored.
    groups
        Number of groups packed into one dimension: the `out` dimension of a grouped convolution
        (the `in` dimension is per group already), the `in` dimension of a transposed one.
    stride
        Product of the strides over the spatial dimensions.
    transposed
        Whether the layer is a transposed convolution. Each output then sums over ``1 / stride``
        of the kernel; otherwise each input feeds ``1 / stride`` of it.
    """

    roles: tuple[Role, ...]
    groups: int = 1
    stride: int = 1
    transposed: bool = False

    def __post_init__(self) -> None:
        if not (_counts(self.groups) and _counts(self.stride)):
            raise InputError(
                explain(
                    "Axes need positive groups and stride",
                    received=f"groups={self.groups}, stride={self.stride}",
                    rule="Both are whole numbers of at least 1",
                )
            )

    def size(self, shape: tuple[int, ...], role: Role) -> int:
        """Product of the dimensions of `shape` that play `role` (1 where none does)."""
        return math.prod(n for n, r in zip(shape, self.roles, strict=True) if r == role)

    @property
    def logical_order(self) -> tuple[int, ...]:
        """Stored dimensions in logical order: batch, group, out, in, receptive.

        Element indices of a stream count in this order, so the same connection gets the same
        number in every memory layout.
        """
        return tuple(sorted(range(len(self.roles)), key=lambda i: (_ORDER[self.roles[i]], i)))

    def __str__(self) -> str:
        words = " ".join(self.roles)
        extras = [f"groups={self.groups}"] if self.groups > 1 else []
        extras += [f"stride={self.stride}"] if self.stride > 1 else []
        extras += ["transposed"] if self.transposed else []
        return f"{words} ({', '.join(extras)})" if extras else words


def _counts(number: object) -> bool:
    """Whether a number counts something: whole, and at least 1."""
    return isinstance(number, SupportsIndex) and not isinstance(number, bool) and operator.index(number) >= 1


def as_axes(axes: Axes | str | Iterable[str] | None, shape: tuple[int, ...]) -> Axes | None:
    """Turn what a user may say about axes into `Axes`, checked against `shape`.

    Parameters
    ----------
    axes
        `Axes`; or role words such as ``"out in receptive receptive"`` or ``("in", "out")``; or
        None, which for two and more dimensions means ``out in receptive ...`` (the layout of
        PyTorch) and for fewer gives None, since such a shape has no fans.
    shape
        Shape of the stored tensor.

    Raises
    ------
    InputError
        A word that is no role, or not exactly one role a dimension.
    """
    if axes is None:
        if len(shape) < 2:
            return None
        return Axes(roles=(Role.OUT, Role.IN, *[Role.RECEPTIVE] * (len(shape) - 2)))
    if not isinstance(axes, Axes):
        words = axes.split() if isinstance(axes, str) else list(axes)
        try:
            axes = Axes(roles=tuple(Role(word) for word in words))
        except ValueError:
            raise InputError(
                explain(
                    "A word in axes is no role",
                    received=repr(" ".join(map(str, words))),
                    rule="Roles are " + ", ".join(Role),
                    remedy="Give one role a dimension, for example axes='out in receptive receptive'",
                )
            ) from None
    if len(axes.roles) != len(shape):
        raise InputError(
            explain(
                "Axes do not fit the shape",
                received=f"axes '{axes}' for shape {shape}",
                rule="There is exactly one role a dimension",
                remedy=f"Give {len(shape)} roles",
            )
        )
    packed = Role.IN if axes.transposed else Role.OUT
    if axes.size(shape, packed) % axes.groups:
        raise InputError(
            explain(
                "Groups do not divide the channels",
                received=f"groups={axes.groups}, {packed} = {axes.size(shape, packed)}",
                rule=f"The '{packed}' dimension holds all groups and must be a multiple of their number",
            )
        )
    return axes
