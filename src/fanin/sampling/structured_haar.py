"""Haar matrices from standard normals, as products of Householder reflections by blocks.

No matrix is factorized: the reflections' vectors are the normals themselves, so the work is the
product alone, half of what a QR factorization and its Q cost, nearly all of it matrix products.
Nothing is ill-conditioned, so there is no failure to detect: rounding moves an entry by a few units
of the last place of one, whatever the normals are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.sampling.structured_products import reflect

__all__ = ["TOLERANCE", "haar", "haar_from"]

TOLERANCE = {"float32": 1e-6, "float64": 3e-14}
"""Most that an entry of ``W / gain``, or of ``W W' - I``, differs from the exact one."""

PANEL = 192
"""Reflections in a block: fewer make the products slow, more make the work within a block grow."""
_TAIL = 2 * PANEL
"""Vectors up to this long are nearly dependent: float32 would show in the last digits of a block of them."""


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
    stack = normals.reshape(-1, *normals.shape[-2:])
    haar_from(out.reshape(stack.shape), lambda first, last: np.array(stack[:, first:last]))
    return out


def haar_from(
    out: NDArray[Any], rows: Callable[[int, int], NDArray[Any]], *, threads: int | None = None
) -> None:
    """Write `haar` of normals that are made as they are needed.

    Parameters
    ----------
    out
        ``(matrices, s, l)``, float32 or float64; each row one run of memory.
    rows
        ``rows(first, last)``: rows [first, last) of the normals, all columns, in a fresh array
        of the same type, which is used up.
    threads
        How many, at most; None for as many as there are processors. They change no value.
    """
    short, long = out.shape[-2:]
    starts = range(0, short, PANEL)
    tail = next((first for first in starts if long - first <= _TAIL), short)
    # The last block first: then the block [first:, first:] is all that has been touched.
    if tail < short and out.dtype != np.float64:
        precise = np.empty((len(out), short - tail, long - tail))
        for first in reversed(range(tail, short, PANEL)):
            x = rows(first, min(first + PANEL, short))[..., first:].astype(np.float64)
            reflect(precise[:, first - tail :, first - tail :], x, threads)
        out[:, tail:, tail:] = precise
    else:
        tail = short
    for first in reversed(range(0, tail, PANEL)):
        x = rows(first, min(first + PANEL, short))[..., first:]
        reflect(out[:, first:, first:], x, threads)
