"""Where a tensor's numbers come from, when they come from parameters alone.

A piece of memory that holds (a copy of) a parameter is described by atoms: one for each
parameter dimension that the memory runs through, with its stride in memory. A view of the memory
is then read off from its strides: a view dimension of stride s and size n runs through every atom
whose extent [S, S * size) meets [s, s * n). Transposes, reshapes, slices and stacked experts all
follow from this one rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["Atom", "Layout", "Source", "Span", "layout_of", "root", "view"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A run through dimension `dim` of a parameter: `size` places, `step` apart."""

    dim: int
    step: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A parameter behind a tensor.

    Parameters
    ----------
    name
        Canonical name of the parameter.
    shape
        Shape of the parameter as it is stored.
    dims
        For each dimension of the tensor, the parameter dimensions that it runs through.
    start
        First place along each parameter dimension (a slice begins elsewhere than at 0).
    derived
        Whether the tensor is computed from the parameter (cast, copied, normalised), not a view.
    main
        Whether the tensor is the parameter, in the main; false for a factor or an offset that
        belongs to a larger parameter (the magnitude of a weight norm).
    """

    name: str
    shape: tuple[int, ...]
    dims: tuple[tuple[Span, ...], ...]
    start: tuple[int, ...]
    derived: bool = False
    main: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """A parameter dimension's run through memory: `stride` in elements, places `step` apart."""

    stride: int
    size: int
    dim: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A parameter laid out in a piece of memory from `offset` on, for `numel` elements."""

    source: Source
    atoms: tuple[Atom, ...]
    offset: int
    numel: int


def root(name: str, shape: Sequence[int], strides: Sequence[int], offset: int) -> Layout:
    """The layout of a parameter in its own storage."""
    shape = tuple(shape)
    dims = tuple((Span(dim=j, step=1, size=n),) if n > 1 else () for j, n in enumerate(shape))
    source = Source(name=name, shape=shape, dims=dims, start=(0,) * len(shape))
    return layout_of(source, shape, strides, offset)


def layout_of(source: Source, shape: Sequence[int], strides: Sequence[int], offset: int) -> Layout:
    """The layout of a tensor with a known source in the memory that it was just written to."""
    atoms: list[Atom] = []
    extent = 1
    for size, stride, spans in zip(shape, strides, source.dims, strict=True):
        extent += max(size - 1, 0) * stride
        inner = stride
        for span in reversed(spans):
            if stride > 0:
                atoms.append(Atom(stride=inner, size=span.size, dim=span.dim, step=span.step))
            inner *= span.size
    return Layout(source=source, atoms=tuple(atoms), offset=offset, numel=extent)


def view(layout: Layout, shape: Sequence[int], strides: Sequence[int], offset: int) -> Source:
    """The source of a view of the memory."""
    dims: list[tuple[Span, ...]] = []
    for size, stride in zip(shape, strides, strict=True):
        spans: list[Span] = []
        if size > 1 and stride > 0:
            for atom in sorted(layout.atoms, key=lambda a: -a.stride):
                low = max(stride, atom.stride)
                high = min(stride * size, atom.stride * atom.size)
                if low < high:
                    spans.append(
                        Span(dim=atom.dim, step=atom.step * (low // atom.stride), size=-(-high // low))
                    )
        dims.append(tuple(spans))
    start = list(layout.source.start)
    rest = offset - layout.offset
    for atom in sorted(layout.atoms, key=lambda a: -a.stride):
        place, rest = divmod(rest, atom.stride)
        start[atom.dim] += place * atom.step
    return replace(layout.source, dims=tuple(dims), start=tuple(start))
