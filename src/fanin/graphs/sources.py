"""Where a tensor's numbers come from, when they come from parameters alone.

A piece of memory that holds (a copy of) a parameter is described by atoms: one for each
parameter dimension that the memory runs through, with its stride in memory. A view of the memory
is then read off from its strides: a view dimension of stride s and size n runs through every atom
whose extent [S, S * size) meets [s, s * n). Transposes, reshapes, slices and stacked experts all
follow from this one rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

__all__ = ["Atom", "Layout", "Source", "Span", "entire", "layout_of", "root", "view"]

# (Named tuples: thousands are made in a reading, and what was found for one layer is found again, by
# value, for the next one of its form.)

_KEPT = 1 << 14
"""Answers that are kept of each question about shapes and strides."""


class Span(NamedTuple):
    """A run through dimension `dim` of a parameter: `size` places, `step` apart."""

    dim: int
    step: int
    size: int


class Source(NamedTuple):
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
    stacked
        Dimensions of the parameter that count copies which are used one by one (layers in a loop).
    """

    name: str
    shape: tuple[int, ...]
    dims: tuple[tuple[Span, ...], ...]
    start: tuple[int, ...]
    derived: bool = False
    main: bool = True
    stacked: int = 0


class Atom(NamedTuple):
    """A parameter dimension's run through memory: `stride` in elements, places `step` apart."""

    stride: int
    size: int
    dim: int
    step: int


class Layout(NamedTuple):
    """A parameter laid out in a piece of memory from `offset` on, for `numel` elements."""

    source: Source
    atoms: tuple[Atom, ...]
    offset: int
    numel: int


Dims: TypeAlias = tuple[tuple[Span, ...], ...]


def entire(name: str, shape: Sequence[int]) -> Source:
    """The source that is all of a tensor."""
    shape = tuple(shape)
    return Source(name, shape, _axes(shape), (0,) * len(shape))


def root(name: str, shape: Sequence[int], strides: Sequence[int], offset: int) -> Layout:
    """The layout of a parameter in its own storage."""
    return layout_of(entire(name, shape), shape, strides, offset)


def layout_of(source: Source, shape: Sequence[int], strides: Sequence[int], offset: int) -> Layout:
    """The layout of a tensor with a known source in the memory that it was just written to."""
    atoms, extent = _atoms(source.dims, tuple(shape), tuple(strides))
    return Layout(source, atoms, offset, extent)


def view(layout: Layout, shape: Sequence[int], strides: Sequence[int], offset: int) -> Source:
    """The source of a view of the memory."""
    source = layout.source
    dims = _runs(layout.atoms, tuple(shape), tuple(strides))
    rest = offset - layout.offset
    if rest == 0:
        return Source(
            source.name, source.shape, dims, source.start, source.derived, source.main, source.stacked
        )
    moved = list(source.start)
    for dim, places in _moves(layout.atoms, rest):
        moved[dim] += places
    return Source(source.name, source.shape, dims, tuple(moved), source.derived, source.main, source.stacked)


@lru_cache(_KEPT)
def _axes(shape: tuple[int, ...]) -> Dims:
    return tuple((Span(dim, 1, size),) if size > 1 else () for dim, size in enumerate(shape))


@lru_cache(_KEPT)
def _atoms(dims: Dims, shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[tuple[Atom, ...], int]:
    atoms: list[Atom] = []
    extent = 1
    for size, stride, spans in zip(shape, strides, dims, strict=True):
        extent += max(size - 1, 0) * stride
        inner = stride
        for span in reversed(spans):
            if stride > 0:
                atoms.append(Atom(inner, span.size, span.dim, span.step))
            inner *= span.size
    return tuple(atoms), extent


@lru_cache(_KEPT)
def _runs(atoms: tuple[Atom, ...], shape: tuple[int, ...], strides: tuple[int, ...]) -> Dims:
    """For each dimension of a view, the runs through the parameter's dimensions."""
    dims: list[tuple[Span, ...]] = []
    ordered = sorted(atoms, key=lambda atom: -atom.stride)
    for size, stride in zip(shape, strides, strict=True):
        spans: list[Span] = []
        if size > 1 and stride > 0:
            for atom in ordered:
                low = max(stride, atom.stride)
                high = min(stride * size, atom.stride * atom.size)
                if low < high:
                    spans.append(Span(atom.dim, atom.step * (low // atom.stride), -(-high // low)))
        dims.append(tuple(spans))
    return tuple(dims)


@lru_cache(_KEPT)
def _moves(atoms: tuple[Atom, ...], rest: int) -> tuple[tuple[int, int], ...]:
    """Parameter dimensions, and places along them, that lie `rest` elements further on."""
    moves: list[tuple[int, int]] = []
    for atom in sorted(atoms, key=lambda atom: -atom.stride):
        place, rest = divmod(rest, atom.stride)
        moves.append((atom.dim, place * atom.step))
    return tuple(moves)
