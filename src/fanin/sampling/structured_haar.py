"""Haar matrices from standard normals, as products of Householder reflections by blocks.

No matrix is factorized: the reflections' vectors are the normals themselves, so the work is the
product alone, half of what a QR factorization and its Q cost, nearly all of it matrix products.
Nothing is ill-conditioned, so there is no failure to detect: rounding moves an entry by a few units
of the last place of one, whatever the normals are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TOLERANCE", "haar", "haar_from"]

TOLERANCE = {"float32": 1e-6, "float64": 3e-14}
"""Most that an entry of ``W / gain``, or of ``W W' - I``, differs between machines or from the exact one."""

PANEL = 192
"""Reflections in a block: fewer make the products slow, more make the work within a block grow."""
_ROWS = 256
"""Rows updated at a time: their product is still in the cache when it is added."""
_STEP = 64
"""Rows of a triangle multiplied at a time."""
_LEAST_INVERSE = 16
"""Triangles that LAPACK inverts whole; a triangle twice as large is cheaper by halves."""


def haar(normals: NDArray[Any]) -> NDArray[Any]:
    """Haar-distributed matrices with orthonormal rows, one for each matrix of standard normals.

    Law: ``W = D [I 0] H_s ... H_1``. With x_k the elements ``normals[k, k:]``, the reflection
    ``H_k = I - 2 v_k v_k' / |v_k|^2``, ``v_k = x_k + sgn(x_k1) |x_k| e_1`` acts on the coordinates from
    k on, and ``D_kk = -sgn(x_k1)``. Then ``A = W' R`` is a matrix of independent standard normals for any
    upper triangular R with independent standard normals above the diagonal and ``R_kk = |x_k|``: W' is
    the Q of a Gaussian matrix whose R has a positive diagonal, hence Haar.

    Parameters
    ----------
    normals
        ``(..., s, l)`` with ``s <= l``; elements left of the diagonal are not used. The arithmetic is
        that of their type, float32 or float64.

    Returns
    -------
    NDArray
        ``(..., s, l)``: ``W W' = I``.

    Examples
    --------
    >>> w = haar(np.array([[3.0, 4.0], [1.0, -2.0]]))
    >>> bool(np.allclose(w[0], [0.6, 0.8]))
    True
    >>> bool(np.allclose(w @ w.T, np.eye(2)))
    True

    References
    ----------
    G. W. Stewart, The efficient generation of random orthogonal matrices, SIAM J. Numer. Anal. 17,
    1980, section 3 (the reflections); F. Mezzadri, How to generate random matrices from the
    classical compact groups, Notices of the AMS 54, 2007, section 5 (the signs).
    """
    out = np.empty(normals.shape, normals.dtype)
    haar_from(out, lambda first, last: np.array(normals[..., first:last, :]))
    return out


def haar_from(out: NDArray[Any], rows: Callable[[int, int], NDArray[Any]]) -> None:
    """Write `haar` of normals that are made as they are needed.

    Parameters
    ----------
    out
        ``(..., s, l)``, float32 or float64.
    rows
        ``rows(first, last)``: rows [first, last) of the normals, all columns, in a fresh array
        of the same type, which is used up.
    """
    short, long = out.shape[-2:]
    # Fresh memory costs more than the work on it, so the products go to one place.
    space = np.empty((*out.shape[:-2], min(_ROWS, short), long), out.dtype)
    # The last block first: then the block [first:, first:] is all that has been touched.
    for first in reversed(range(0, short, PANEL)):
        last = min(first + PANEL, short)
        x = rows(first, last)[..., first:]
        # Short vectors are nearly dependent: T is large there, and float32 would show in the last digits.
        kind = np.dtype(np.float64) if long - first <= 2 * PANEL else out.dtype
        _widen(out[..., first:, first:], _block(x.astype(kind, copy=False)), space[..., first:])


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


def _widen(out: NDArray[Any], block: _Block, space: NDArray[Any]) -> None:
    """Multiply by a block, in place: ``diag(D, W) H_b ... H_1``, W what ``out[b:, b:]`` holds."""
    v, y = block.vectors, block.products
    count = v.shape[-2]
    place = np.arange(count)
    head = _lower_times(block.signs[..., :, None] * v[..., :count].swapaxes(-1, -2), y)
    head[..., place, place] += block.signs
    out[..., :count, :] = head
    if out.shape[-2] == count:
        return
    rest = out[..., count:, count:]
    w = np.matmul(rest, v[..., count:].swapaxes(-1, -2))
    for first in range(0, rest.shape[-2], _ROWS):
        rows = slice(first, first + _ROWS)
        part = w[..., rows, :]
        update = np.matmul(part, y, out=space[..., : part.shape[-2], :] if y.dtype == space.dtype else None)
        out[..., count:, :count][..., rows, :] = update[..., :count]
        rest[..., rows, :] += update[..., count:]


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
