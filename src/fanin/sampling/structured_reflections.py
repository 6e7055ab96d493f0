"""One block of Householder reflections in NumPy: the kernel's step, but for the order of its sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["reflect"]

_ROWS = 256
"""Rows updated at a time: their product is still in the cache when it is added."""
_STEP = 64
"""Rows of a triangle multiplied at a time."""
_LEAST_INVERSE = 16
"""Triangles that LAPACK inverts whole; a triangle twice as large is cheaper by halves."""


def reflect(out: NDArray[Any], normals: NDArray[Any]) -> None:
    """Multiply what a stack of matrices holds by a block of reflections, in place.

    Parameters
    ----------
    out
        ``(..., m, l)``; the block ``[b:, b:]`` holds the matrix so far, W; becomes
        ``diag(D, W) H_b ... H_1``.
    normals
        ``(..., b, l)``, of the same type; used up.
    """
    block = _block(normals)
    v, y = block.vectors, block.products
    count = v.shape[-2]
    place = np.arange(count)
    head = _lower_times(block.signs[..., :, None] * v[..., :count].swapaxes(-1, -2), y)
    head[..., place, place] += block.signs
    out[..., :count, :] = head
    rest = out[..., count:, count:]
    w = np.matmul(rest, v[..., count:].swapaxes(-1, -2))
    for first in range(0, rest.shape[-2], _ROWS):
        rows = slice(first, first + _ROWS)
        update = np.matmul(w[..., rows, :], y)
        out[..., count:, :count][..., rows, :] = update[..., :count]
        rest[..., rows, :] += update[..., count:]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """``H_1 ... H_b = I - V' T V``: the rows of V, those of ``-T' V``, and the signs D."""

    vectors: NDArray[Any]
    products: NDArray[Any]
    signs: NDArray[Any]


def _block(x: NDArray[Any]) -> _Block:
    """Reflections of the rows of `x`, which is used up.

    ``T^-1 = striu(V V') + diag(V V') / 2`` makes ``I - V' T V`` orthogonal whatever V is (the UT transform).
    """
    count = x.shape[-2]
    place = np.arange(count)
    x[..., :count] *= np.triu(np.ones((count, count), x.dtype))
    # The lengths scale everything that follows, so they are summed in float64.
    square = np.einsum("...ij,...ij->...i", x, x, dtype=np.float64)
    lead = x[..., place, place].astype(np.float64)
    # A row of zeros reflects along its first coordinate, like any other.
    lead[square == 0.0] = square[square == 0.0] = 1.0
    sign = np.where(lead < 0.0, -1.0, 1.0)
    length = np.sqrt(square)
    x[..., place, place] = lead + sign * length
    # |v|^2 / 2 = |x| (|x| + |x_1|), without cancellation; scaled to 1 but for the scale's rounding.
    half = length * (length + np.abs(lead))
    scale = (1.0 / np.sqrt(half)).astype(x.dtype)
    x *= scale[..., None]
    inner = np.matmul(x, x.swapaxes(-1, -2)).astype(np.float64)
    inner[..., place, place] = half * np.square(scale, dtype=np.float64)
    t = _inverse(np.triu(inner))
    products = _lower_times(-t.swapaxes(-1, -2).astype(x.dtype), x)
    return _Block(vectors=x, products=products, signs=-sign.astype(x.dtype))


def _lower_times(lower: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """Product with lower triangular matrices, without most of their zeros."""
    out = np.empty_like(x)
    for first in range(0, lower.shape[-1], _STEP):
        last = first + _STEP
        out[..., first:last, :] = np.matmul(lower[..., first:last, :last], x[..., :last, :])
    return out


def _inverse(upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of upper triangular matrices, by halves."""
    size = upper.shape[-1]
    if size <= _LEAST_INVERSE:
        whole: NDArray[Any] = np.linalg.inv(upper)
        return whole
    half = size // 2
    out = np.zeros_like(upper)
    left, right = _inverse(upper[..., :half, :half]), _inverse(upper[..., half:, half:])
    out[..., :half, :half], out[..., half:, half:] = left, right
    out[..., :half, half:] = -left @ (upper[..., :half, half:] @ right)
    return out
