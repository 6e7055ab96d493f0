"""Haar unitary matrices from complex normals: the reflections of `structured_haar`, with phases for signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["unitary", "unitary_from"]

_PANEL = 96
"""Reflections in a block: fewer make the products slow, more make the work within a block grow."""
_ROWS = 256
"""Rows updated at a time: their product is still in the cache when it is added."""


def unitary(normals: NDArray[Any]) -> NDArray[Any]:
    """Haar-distributed matrices with orthonormal rows, one for each matrix of complex normals.

    Law: ``W = D [I 0] H_s ... H_1``. With x_k the elements ``normals[k, k:]`` and u_k the phase of the first
    of them, the reflection ``H_k = I - 2 v_k* v_k / |v_k|^2``, ``v_k = x_k + u_k |x_k| e_1``, acts on the
    coordinates from k on, and ``D_kk = -u_k``. Then ``L W`` is a matrix of independent circular normals
    for any lower triangular L with such normals below the diagonal and ``L_kk = |x_k|``: W is
    the second factor of a Gaussian matrix whose L has a positive diagonal, hence Haar.

    Parameters
    ----------
    normals
        ``(..., s, l)`` with ``s <= l``, complex64 or complex128, of any variance; elements left of the
        diagonal are not used.

    Returns
    -------
    NDArray
        ``(..., s, l)`` of the same type: ``W W* = I``.

    Examples
    --------
    >>> w = unitary(np.array([[3j, 4.0], [1.0, 2j]]))
    >>> bool(np.allclose(w[0], [0.6j, 0.8]))
    True
    >>> bool(np.allclose(w @ w.conj().T, np.eye(2)))
    True

    References
    ----------
    F. Mezzadri, How to generate random matrices from the classical compact groups, Notices of the
    AMS 54, 2007, sections 4 to 6.
    """
    out = np.empty(normals.shape, normals.dtype)
    unitary_from(out, lambda first, last: np.array(normals[..., first:last, :]))
    return out


def unitary_from(out: NDArray[Any], rows: Callable[[int, int], NDArray[Any]]) -> None:
    """Write `unitary` of normals that are made as they are needed.

    Parameters
    ----------
    out
        ``(..., s, l)``, complex64 or complex128.
    rows
        ``rows(first, last)``: rows [first, last) of the normals, all columns, in a fresh array
        of the same type, which is used up.
    """
    short, long = out.shape[-2:]
    # The last block first: then the block [first:, first:] is all that has been touched.
    for first in reversed(range(0, short, _PANEL)):
        last = min(first + _PANEL, short)
        x = rows(first, last)[..., first:]
        # Short vectors are nearly dependent: float32 would show in the last digits.
        kind = np.dtype(np.complex128) if long - first <= 4 * _PANEL else out.dtype
        _widen(out[..., first:, first:], x.astype(kind, copy=False))


def _widen(out: NDArray[Any], x: NDArray[Any]) -> None:
    """Multiply by a block, in place: ``diag(D, W) H_b ... H_1``, W what ``out[b:, b:]`` holds."""
    v, y, phase = _block(x)
    count = v.shape[-2]
    place = np.arange(count)
    head = (phase[..., :, None] * v[..., :count].swapaxes(-1, -2).conj()) @ y
    head[..., place, place] += phase
    out[..., :count, :] = head
    rest = out[..., count:, count:]
    w = rest @ v[..., count:].swapaxes(-1, -2).conj()
    for first in range(0, rest.shape[-2], _ROWS):
        rows = slice(first, first + _ROWS)
        update = w[..., rows, :] @ y
        out[..., count:, :count][..., rows, :] = update[..., :count]
        rest[..., rows, :] += update[..., count:]


def _block(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """V and ``-T* V`` of ``H_1 ... H_b = I - V* T V``, and D, from the rows of `x`, which are used up.

    ``T^-1 = striu(V V*) + diag(V V*) / 2`` makes ``I - V* T V`` unitary whatever V is (the UT transform).
    """
    count = x.shape[-2]
    place = np.arange(count)
    x[..., :count] *= np.triu(np.ones((count, count), x.real.dtype))
    # The lengths scale everything that follows, so they are summed in float64.
    square = sum(np.einsum("...ij,...ij->...i", part, part, dtype=np.float64) for part in (x.real, x.imag))
    lead = x[..., place, place].astype(np.complex128)
    # A row of zeros reflects along its first coordinate, like any other.
    lead[square == 0.0] = square[square == 0.0] = 1.0
    size = np.sqrt(np.square(lead.real) + np.square(lead.imag))
    phase = np.where(size == 0.0, 1.0, lead / np.where(size == 0.0, 1.0, size))
    length = np.sqrt(square)
    x[..., place, place] = lead + phase * length
    # |v|^2 / 2 = |x| (|x| + |x_1|), without cancellation; scaled to 1 but for the scale's rounding.
    half = length * (length + size)
    scale = (1.0 / np.sqrt(half)).astype(x.real.dtype)
    x *= scale[..., None]
    inner = np.triu((x @ x.swapaxes(-1, -2).conj()).astype(np.complex128))
    inner[..., place, place] = half * np.square(scale, dtype=np.float64)
    t = np.linalg.inv(inner)
    products = -t.swapaxes(-1, -2).conj().astype(x.dtype) @ x
    return x, products, -phase.astype(x.dtype)
