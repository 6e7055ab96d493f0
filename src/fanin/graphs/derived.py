"""What becomes of parameters in operators that read nothing but parameters: the shapes' part of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

from fanin.graphs.sources import Source, Span, layout_of, view

__all__ = ["Sources", "aligned", "joined", "ranked", "reshaped", "row_major"]

Sources: TypeAlias = tuple[Source, ...]


def aligned(tensors: Sequence[tuple[Sequence[int], Sources]], out: Sequence[int]) -> Sources:
    """Broadcasting: dimensions correspond from the last; the largest parameter is the main one."""
    found: dict[str, Source] = {}
    for shape, sources in tensors:
        for found_source in sources:
            source = found_source
            moved = [()] * (len(out) - len(shape)) + list(source.dims)
            moved = moved[len(moved) - len(out) :]
            if len(shape) > len(out):  # a reduction that drops dimensions
                moved = _dropped(shape, source, out)
            dims = tuple(moved)
            if source.name in found:
                dims = tuple(a or b for a, b in zip(found[source.name].dims, dims, strict=True))
                source = source._replace(main=source.main or found[source.name].main)
            found[source.name] = source._replace(dims=dims, derived=True)
    return ranked(found)


def _dropped(shape: Sequence[int], source: Source, out: Sequence[int]) -> list[tuple[Span, ...]]:
    left = list(out)
    moved: list[tuple[Span, ...]] = []
    for size, spans in zip(shape, source.dims, strict=True):
        if left and size == left[0]:
            moved.append(spans)
            left.pop(0)
    return moved + [()] * len(left)


def ranked(found: dict[str, Source]) -> Sources:
    """Sources of one tensor: those that the most elements come from are the main ones."""
    if len(found) < 2:
        return tuple(found.values())
    sizes = {name: prod(s.size for d in source.dims for s in d) for name, source in found.items()}
    largest = max(sizes.values())
    return tuple(
        source._replace(main=source.main and sizes[name] == largest) for name, source in found.items()
    )


def joined(tensors: Sequence[tuple[Sequence[int], Sources]], ndim: int, *, dim: int, stacks: bool) -> Sources:
    """Concatenated along a dimension, or stacked along a new one."""
    found: dict[str, Source] = {}
    for _, sources in tensors:
        for source in sources:
            dims = list(source.dims)
            if stacks:
                dims.insert(dim % ndim, ())
            if len(dims) == ndim:
                found.setdefault(source.name, source._replace(dims=tuple(dims), derived=True))
    return tuple(found.values())


def reshaped(source: Source, shape: Sequence[int], out: Sequence[int]) -> Source:
    """The same elements, in their order, under another shape."""
    layout = layout_of(source, shape, row_major(shape), 0)
    return view(layout, out, row_major(out), 0)


def row_major(shape: Sequence[int]) -> list[int]:
    """Strides of a tensor whose last dimension runs fastest."""
    strides = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * max(shape[i + 1], 1)
    return strides
