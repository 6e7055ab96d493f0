"""What becomes of a parameter on its way through operators that read nothing but parameters."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from math import prod
from typing import Any

import torch

from fanin.graphs.sources import Source, Span, layout_of, view
from fanin.torch.ops import base_name

__all__ = ["derive"]

_COPIES = {"clone", "_to_copy", "copy_", "copy", "contiguous", "lift_fresh_copy", "lift_fresh", "alias"}
_RESHAPES = {"view", "_unsafe_view", "reshape", "_reshape_copy", "view_copy"}
_ALIGNED = {
    *("mean", "sum", "var", "std", "var_mean", "std_mean", "norm", "linalg_vector_norm", "amax", "amin"),
    *("max", "min", "argmax", "argmin", "cumsum", "cumprod", "logcumsumexp", "logsumexp"),
    *("repeat", "tril", "triu", "flip", "roll", "constant_pad_nd", "repeat_interleave", "sort"),
    *("upsample_bicubic2d", "_upsample_bicubic2d_aa", "upsample_bilinear2d", "_upsample_bilinear2d_aa"),
    *("upsample_linear1d", "upsample_nearest2d", "linalg_qr", "linalg_householder_product", "matrix_exp"),
    *("linalg_matrix_exp", "_softmax", "_log_softmax", "_fft_r2c", "_fft_c2r", "_fft_c2c"),
}
"""Operators whose output dimensions stand where the input's stand, counted from the last."""

Sources = tuple[Source, ...]


def derive(
    func: Any,
    args: Sequence[Any],
    tensors: Sequence[tuple[Sequence[int], Sources]],
    out: Sequence[int],
    buffers: AbstractSet[str] = frozenset(),
) -> Sources | None:
    """Sources of an operator's output when all its tensors come from parameters or are constant.

    Parameters
    ----------
    func
        The operator.
    args
        Its positional arguments (for the dimension of a concatenation).
    tensors
        Shape and sources of each tensor that it reads; no sources for a constant.
    out
        Shape of the output.
    buffers
        Names that are buffers: products with them are tables (of frequencies), not layers.

    Returns
    -------
    tuple of Source or None
        None when the output is a signal rather than a form of the parameters (a row looked up in
        a table, a normalised latent array).
    """
    name = base_name(func)
    if name in _RESHAPES:
        return tuple(_reshaped(source, tensors[0][0], out) for source in tensors[0][1])
    if name in {"mm", "bmm", "mv", "dot", "vdot", "outer"} and len(tensors) == 2:
        return None if _is_layer(tensors, buffers) else _product(name, tensors)
    if name in {"cat", "stack"}:
        return _joined(name, args, tensors, len(out))
    if name in _COPIES or name in _ALIGNED or name == "_weight_norm_interface" or "batch_norm" in name:
        # (Statistics over a batch of parameters are those of a weight that is being standardised.)
        return _aligned(tensors, out)
    if torch.Tag.pointwise in func.tags:
        return _aligned(tensors, out)
    return None


def _is_layer(tensors: Sequence[tuple[Sequence[int], Sources]], buffers: AbstractSet[str]) -> bool:
    """Whether a product of constants and parameters is a layer applied to them.

    A constant (the zero state of a recurrence) that meets a parameter is data. So is an array of
    learned queries, if the other factor is used as linear layers use their weights: summed over its
    last dimension.
    """
    (_, left), (_, right) = tensors
    names = {source.name for source in (*left, *right)}
    if names <= buffers or not names:
        return False
    if not left or not right:
        return not names & buffers
    weight = right[0]
    summed = [span.dim for span in weight.dims[0]] if len(weight.dims) == 2 else []
    return not names & buffers and summed == [len(weight.shape) - 1] and weight.shape[-1] > 1


def _aligned(tensors: Sequence[tuple[Sequence[int], Sources]], out: Sequence[int]) -> Sources:
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
    return _ranked(found)


def _dropped(shape: Sequence[int], source: Source, out: Sequence[int]) -> list[tuple[Span, ...]]:
    left = list(out)
    moved: list[tuple[Span, ...]] = []
    for size, spans in zip(shape, source.dims, strict=True):
        if left and size == left[0]:
            moved.append(spans)
            left.pop(0)
    return moved + [()] * len(left)


def _ranked(found: dict[str, Source]) -> Sources:
    if len(found) < 2:
        return tuple(found.values())
    sizes = {name: prod(s.size for d in source.dims for s in d) for name, source in found.items()}
    largest = max(sizes.values())
    return tuple(
        source._replace(main=source.main and sizes[name] == largest) for name, source in found.items()
    )


def _product(name: str, tensors: Sequence[tuple[Sequence[int], Sources]]) -> Sources:
    (left_shape, left), (right_shape, right) = tensors
    out: list[Source] = []
    for source in left:
        kept = source.dims[:-1] if len(left_shape) > 1 else ()
        if name == "outer":
            kept = source.dims
        extra = 1 if len(right_shape) > 1 or name == "outer" else 0
        out.append(source._replace(dims=(*kept, *[()] * extra), derived=True))
    for source in right:
        kept = source.dims[-1:] if len(right_shape) > 1 or name == "outer" else ()
        batch = source.dims[:1] if name == "bmm" else ()
        extra = len(left_shape) - 1 - len(batch) if name != "outer" else 1
        out.append(source._replace(dims=(*batch, *[()] * extra, *kept), derived=True))
    return tuple({source.name: source for source in out}.values())


def _joined(
    name: str, args: Sequence[Any], tensors: Sequence[tuple[Sequence[int], Sources]], ndim: int
) -> Sources:
    dim = args[1] if len(args) > 1 else 0
    found: dict[str, Source] = {}
    for _, sources in tensors:
        for source in sources:
            dims = list(source.dims)
            if name == "stack":
                dims.insert(dim % ndim, ())
            if len(dims) == ndim:
                found.setdefault(source.name, source._replace(dims=tuple(dims), derived=True))
    return tuple(found.values())


def _reshaped(source: Source, shape: Sequence[int], out: Sequence[int]) -> Source:
    layout = layout_of(source, shape, _contiguous(shape), 0)
    return view(layout, out, _contiguous(out), 0)


def _contiguous(shape: Sequence[int]) -> list[int]:
    strides = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * max(shape[i + 1], 1)
    return strides
