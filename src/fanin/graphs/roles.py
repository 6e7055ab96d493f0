"""Roles of a weight's dimensions, from the labels of the contraction that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from fanin.graphs.sources import Source
from fanin.records.axes import Axes, Role

__all__ = ["contraction_axes", "convolution_axes", "table_axes"]

_ROLES = {"c": Role.IN, "b": Role.BATCH, "o": Role.OUT, "r": Role.RECEPTIVE}


def contraction_axes(source: Source, labels: str) -> Axes:
    """Roles for a weight in a (batched) matrix product.

    Summed dimensions are *in*, free ones *out*, those that run along with the data *batch*. A
    dimension of which one place was picked (an expert) is *batch* too. If one dimension is split
    into a batch part and a free part, the map is block-diagonal: groups packed into *out*.
    """
    return _contraction(source._replace(name=""), labels)


@lru_cache(1 << 12)
def _contraction(source: Source, labels: str) -> Axes:
    found = _found(source, labels)
    roles: list[Role | None] = [None] * len(source.shape)
    groups = 1
    for dim, parts in found.items():
        sizes = {role: sum(size for r, size in parts if r == role) for role, _ in parts}
        if Role.BATCH in sizes and len(sizes) > 1:
            groups = max(size for role, size in parts if role == Role.BATCH)
            del sizes[Role.BATCH]
        roles[dim] = max(sizes, key=lambda role: sizes[role])
    _fill(roles, source)
    return Axes(roles=tuple(role or Role.BATCH for role in roles), groups=groups)


def convolution_axes(source: Source, labels: str, *, groups: int, stride: int, transposed: bool) -> Axes:
    """Roles for a convolution kernel; what the labels do not reach follows its position."""
    roles: list[Role | None] = [None] * len(source.shape)
    for dim, parts in _found(source, labels).items():
        roles[dim] = max(parts, key=lambda part: part[1])[0]
    # (A kernel that was turned on its way has other dimensions at these places.)
    straight = all(role in (None, _ROLES[letter]) for role, letter in zip(roles, labels, strict=False))
    if len(source.shape) == len(labels) and straight:
        roles = [role or _ROLES[letter] for role, letter in zip(roles, labels, strict=True)]
    _fill(roles, source)
    return Axes(
        roles=tuple(role or Role.RECEPTIVE for role in roles),
        groups=groups,
        stride=stride,
        transposed=transposed,
    )


def table_axes(shape: Sequence[int], looked_up: int = 0) -> Axes:
    """Roles for a table of rows: the dimension that is indexed is *in* (one-hot), the others *out*."""
    return Axes(roles=tuple(Role.IN if i == looked_up else Role.OUT for i in range(len(shape))))


def _found(source: Source, labels: str) -> dict[int, list[tuple[Role, int]]]:
    found: dict[int, list[tuple[Role, int]]] = {}
    for spans, letter in zip(source.dims, labels, strict=False):
        for span in spans:
            found.setdefault(span.dim, []).append((_ROLES.get(letter, Role.OUT), span.size))
    return found


def _fill(roles: list[Role | None], source: Source) -> None:
    """Dimensions of size 1 leave no trace in strides, and a product of parameters sums some away."""
    for wanted, other in ((Role.OUT, Role.IN), (Role.IN, Role.OUT)):
        if wanted in roles or other not in roles:
            continue
        single = [i for i, role in enumerate(roles) if role is None and source.shape[i] == 1]
        inner = [i for i, role in enumerate(roles) if role is None] if source.derived else []
        for i in single[:1] or inner[:1]:
            roles[i] = wanted
    for i, role in enumerate(roles):
        if role is None and source.shape[i] == 1:
            roles[i] = Role.RECEPTIVE
