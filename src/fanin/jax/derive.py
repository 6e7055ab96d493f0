"""What becomes of parameters in JAX's operations that read nothing but parameters and constants."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fanin.graphs.derived import Sources, aligned, joined, row_major
from fanin.graphs.sources import Source, Span, layout_of, view
from fanin.graphs.steps import Form
from fanin.jax.primitives import SAME, form_of, views_of
from fanin.jax.recording import Op

__all__ = ["Tensor", "derive", "picked"]

_ALIGNED = frozenset(
    {"rev", "pad", "tile", "sort", "cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "fft"}
)
_LEAST = 3
"""Dimensions from which on a picked row is a weight (of an expert) and no row of a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An operand of such an operation: no sources for a constant."""

    shape: tuple[int, ...]
    sources: Sources
    constant: bool


def derive(op: Op, tensors: Sequence[Tensor], buffers: AbstractSet[str]) -> list[Sources] | None:
    """Sources of an operation's outputs; None where they are a signal rather than a form of parameters.

    Parameters
    ----------
    op
        An operation that reads parameters and constants alone.
    tensors
        Its operands.
    buffers
        Names that are no parameters: products with them are tables, not layers.
    """
    pairs = [(tensor.shape, tensor.sources) for tensor in tensors]
    if op.name in SAME:
        changed = op.name in {"convert_element_type", "reduce_precision"}
        same = tuple(s._replace(derived=s.derived or changed) for s in tensors[0].sources)
        return [same] * len(op.outputs)
    views = views_of(op) if tensors[0].sources else None
    if views is not None:
        layouts = [
            layout_of(s, op.operands[0].shape, row_major(op.operands[0].shape), 0) for s in tensors[0].sources
        ]
        return [tuple(view(layout, *seen) for layout in layouts) for seen in views]
    if op.name == "dot_general":
        return None if _is_layer(op, tensors, buffers) else [_product(op, tensors)]
    if op.name == "concatenate":
        return [joined(pairs, len(op.shape), dim=op.params["dimension"], stacks=False)]
    if op.name == "stack":
        return [joined(pairs, len(op.shape), dim=op.params["axis"], stacks=True)]
    if op.name in {"gather", "dynamic_slice"}:
        return picked(op, tensors[0], buffers)
    if op.name.startswith("reduce_") and "axes" in op.params:
        return [tuple(_reduced(s, op.params["axes"]) for s in aligned(pairs, op.operands[0].shape))]
    if op.name in _ALIGNED or form_of(op.name) == Form.POINTWISE:
        return [aligned(pairs, op.shape)] * len(op.outputs)
    return None


def _is_layer(op: Op, tensors: Sequence[Tensor], buffers: AbstractSet[str]) -> bool:
    """Whether a product of constants and parameters is a layer that is applied to them.

    A constant (the zero state of a recurrence) that meets a parameter is data. So is an array of learned
    queries, if it meets a matrix that is summed over one whole dimension and keeps another.
    """
    left, right = tensors[:2]
    names = {source.name for source in (*left.sources, *right.sources)}
    if names <= buffers:
        return False
    if not left.sources or not right.sources:
        return not names & buffers
    (summed, _), (batch, _) = op.params["dimension_numbers"]
    # A low-rank update is a product of two matrices that is itself used as one.
    plain = len(left.shape) == 2 and len(right.shape) == 2 and not batch and len(summed) == 1
    return not names & buffers and not plain


def _product(op: Op, tensors: Sequence[Tensor]) -> Sources:
    summed, batch = op.params["dimension_numbers"]
    ranks = [len(tensor.shape) for tensor in tensors[:2]]
    free = [[d for d in range(ranks[k]) if d not in summed[k] and d not in batch[k]] for k in (0, 1)]
    found: dict[str, Source] = {}
    for k, tensor in enumerate(tensors[:2]):
        for source in tensor.sources:
            kept = [source.dims[d] for d in batch[k]]
            for side in (0, 1):
                kept += [source.dims[d] if side == k else () for d in free[side]]
            found.setdefault(source.name, source._replace(dims=tuple(kept), derived=True))
    return tuple(found.values())


def _reduced(source: Source, axes: Sequence[int]) -> Source:
    return source._replace(dims=tuple(spans for d, spans in enumerate(source.dims) if d not in axes))


def picked(op: Op, table: Tensor, buffers: AbstractSet[str]) -> list[Sources] | None:
    """Rows picked by an index: of a table of vectors a signal, of stacked weights still weights."""
    if all(source.name in buffers for source in table.sources):
        return [()]
    if op.name == "dynamic_slice":
        whole = [a == b for a, b in zip(table.shape, op.shape, strict=True)]
        kept = [
            tuple(spans if same else () for spans, same in zip(source.dims, whole, strict=True))
            for source in table.sources
        ]
        return [tuple(s._replace(dims=d, derived=True) for s, d in zip(table.sources, kept, strict=True))]
    return _rows(op, table.sources, len(table.shape))


def _rows(op: Op, sources: Sources, rank: int) -> list[Sources] | None:
    """Stacked weights that an index picked: without the dimensions that were indexed."""
    numbers = op.params["dimension_numbers"]
    gone = {*numbers.collapsed_slice_dims, *getattr(numbers, "operand_batching_dims", ())}
    if rank < _LEAST or rank - len(gone) < 2:
        return None
    left = [d for d in range(rank) if d not in gone]
    found = []
    for source in sources:
        dims: list[tuple[Span, ...]] = [()] * len(op.shape)
        for place, d in zip(numbers.offset_dims, left, strict=True):
            if op.params["slice_sizes"][d] == op.operands[0].shape[d]:
                dims[place] = source.dims[d]
        found.append(source._replace(dims=tuple(dims), derived=True))
    return [tuple(found)]
