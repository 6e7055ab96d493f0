"""Where a convolution's channels and places lie: frameworks lay maps out in one of two ways."""

from __future__ import annotations

from collections.abc import Sequence

from fanin.records.axes import Role
from fanin.records.graph import Parameter, Use

__all__ = ["counts_of", "place_of_units", "places_first"]


def counts_of(found: Sequence[tuple[Parameter, Use]], role: Role) -> frozenset[int]:
    """Numbers of channels that a convolution may have on the side of a role: with its groups, and without.

    Parameters
    ----------
    found
        Parameters of a node, and what they are for.
    role
        `Role.IN` for what it reads, `Role.OUT` for what it makes.
    """
    sizes: set[int] = set()
    for parameter, use in found:
        if use.axes is not None and len(use.axes.roles) == len(parameter.shape):
            size = use.axes.size(parameter.shape, role)
            sizes |= {size, size * use.axes.groups}
    return frozenset(sizes)


def place_of_units(shape: Sequence[int], spatial: int, counts: frozenset[int]) -> int:
    """The dimension of the channels: the last where that alone fits, else the one before the places.

    Examples
    --------
    >>> place_of_units((8, 16, 16, 3), 2, frozenset({3}))
    3
    >>> place_of_units((8, 3, 16, 16), 2, frozenset({3}))
    1
    """
    first = max(0, len(shape) - 1 - max(spatial, 0))
    if first < len(shape) - 1 and shape[first] not in counts and shape[-1] in counts:
        return len(shape) - 1
    return first


def places_first(shape: Sequence[int], spatial: int, counts: frozenset[int]) -> tuple[int, ...]:
    """The shape with its places last, whatever its layout is.

    Examples
    --------
    >>> places_first((8, 16, 12, 3), 2, frozenset({3}))
    (8, 3, 16, 12)
    """
    unit = place_of_units(shape, spatial, counts)
    rest = tuple(n for d, n in enumerate(shape) if d != unit)
    at = len(rest) - max(spatial, 0)
    return (*rest[:at], shape[unit], *rest[at:])
