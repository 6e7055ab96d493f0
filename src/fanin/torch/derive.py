"""What becomes of a parameter on its way through operators that read nothing but parameters."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import torch

from fanin.graphs.derived import Sources, aligned, joined, reshaped
from fanin.graphs.sources import Source
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
        return tuple(reshaped(source, tensors[0][0], out) for source in tensors[0][1])
    if name in {"mm", "bmm", "mv", "dot", "vdot", "outer"} and len(tensors) == 2:
        return None if _is_layer(tensors, buffers) else _product(name, tensors)
    if name in {"cat", "stack"}:
        dim = args[1] if len(args) > 1 else 0
        return joined(tensors, len(out), dim=dim, stacks=name == "stack")
    if name in _COPIES and len(tensors) == 1 and tuple(tensors[0][0]) == tuple(out):
        return tensors[0][1]  # the same numbers, in another order in memory or rounded
    if name in _COPIES or name in _ALIGNED or name == "_weight_norm_interface" or "batch_norm" in name:
        # (Statistics over a batch of parameters are those of a weight that is being standardised.)
        return aligned(tensors, out)
    if torch.Tag.pointwise in func.tags:
        return aligned(tensors, out)
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
