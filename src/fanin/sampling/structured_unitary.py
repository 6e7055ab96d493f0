"""Haar unitary matrices from complex normals: the reflections of `structured_haar`, with phases for signs.

Every product of matrices is a chain of fused multiply-adds (`structured_products`), and all else is done
element by element on real and imaginary parts, since NumPy's own complex product differs between machines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.sampling.structured_products import product

__all__ = ["unitary", "unitary_from"]

_PANEL = 96
"""Reflections in a block: fewer make the products slow, more make the work within a block grow."""
_TAIL = 4 * _PANEL
"""Vectors up to this long are nearly dependent: float32 would show in the last digits of a block of them."""
_ROWS = 256
"""Rows updated at a time, so that what is between takes little memory."""


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
    stack = normals.reshape(-1, *normals.shape[-2:])
    unitary_from(out.reshape(stack.shape), lambda first, last: np.array(stack[:, first:last]))
    return out


def unitary_from(
    out: NDArray[Any], rows: Callable[[int, int], NDArray[Any]], *, threads: int | None = None
) -> None:
    """Write `unitary` of normals that are made as they are needed.

    Parameters
    ----------
    out
        ``(matrices, s, l)``, complex64 or complex128.
    rows
        ``rows(first, last)``: rows [first, last) of the normals, all columns, in a fresh array
        of the same type, which is used up.
    threads
        How many, at most; None for as many as there are processors. They change no value.
    """
    short, long = out.shape[-2:]
    starts = range(0, short, _PANEL)
    tail = next((first for first in starts if long - first <= _TAIL), short)
    # The last block first: then the block [first:, first:] is all that has been touched.
    precise = np.empty((len(out), short - tail, long - tail), np.complex128)
    for first in reversed(starts):
        x = rows(first, min(first + _PANEL, short))[..., first:]
        if first >= tail:
            _widen(precise[:, first - tail :, first - tail :], x.astype(np.complex128), threads)
        if first == tail:
            out[:, tail:, tail:] = precise
        if first < tail:
            _widen(out[:, first:, first:], np.ascontiguousarray(x), threads)


def _widen(out: NDArray[Any], x: NDArray[Any], threads: int | None) -> None:
    """Multiply by a block, in place: ``diag(D, W) H_b ... H_1``, W what ``out[:, b:, b:]`` holds."""
    v, y, phase = _block(x, threads)
    count = v.shape[-2]
    place = np.arange(count)
    head = _products(_times(phase[..., :, None], _conjugate(v[..., :count])), y, threads)
    head[..., place, place] += phase
    out[..., :count, :] = head
    rest = out[..., count:, count:]
    w = _products(rest, _conjugate(v[..., count:]), threads)
    for first in range(0, rest.shape[-2], _ROWS):
        rows = slice(first, first + _ROWS)
        update = _products(w[..., rows, :], y, threads)
        out[..., count:, :count][..., rows, :] = update[..., :count]
        rest[..., rows, :] += update[..., count:]


def _block(x: NDArray[Any], threads: int | None) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """V and ``-T* V`` of ``H_1 ... H_b = I - V* T V``, and D, from the rows of `x`, which are used up.

    ``T^-1 = striu(V V*) + diag(V V*) / 2`` makes ``I - V* T V`` unitary whatever V is (the UT transform).
    """
    count, real = x.shape[-2], x.real.dtype
    place = np.arange(count)
    x[..., :count] = np.triu(x[..., :count])
    # The lengths scale everything that follows, so they are summed in float64.
    parts = x.view(real).astype(np.float64)
    square = product(np.square(parts).reshape(-1, parts.shape[-1]), np.ones((parts.shape[-1], 1)), threads)
    square = square.reshape(x.shape[:-1])
    lead = x[..., place, place].astype(np.complex128)
    # A row of zeros reflects along its first coordinate, like any other.
    lead[square == 0.0] = square[square == 0.0] = 1.0
    size = np.sqrt(np.square(lead.real) + np.square(lead.imag))
    phase = np.ones_like(lead)
    some = size > 0.0
    phase.real[some], phase.imag[some] = lead.real[some] / size[some], lead.imag[some] / size[some]
    length = np.sqrt(square)
    x.real[..., place, place] = lead.real + phase.real * length
    x.imag[..., place, place] = lead.imag + phase.imag * length
    # |v|^2 / 2 = |x| (|x| + |x_1|), without cancellation; scaled to 1 but for the scale's rounding.
    half = length * (length + size)
    scale = (1.0 / np.sqrt(half)).astype(real)
    x.view(real)[...] *= scale[..., None]
    upper = np.triu(_products(x, _conjugate(x), threads).astype(np.complex128))
    t = _inverse(upper, half * np.square(scale, dtype=np.float64))
    return x, _products(_conjugate(-t).astype(x.dtype), x, threads), -phase.astype(x.dtype)


def _inverse(upper: NDArray[np.complex128], diagonal: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Inverse of upper triangular matrices with this diagonal (theirs is not looked at), column by column."""
    rest = np.zeros_like(upper)
    place = np.arange(diagonal.shape[-1])
    rest.real[..., place, place] = 1.0
    for k in range(diagonal.shape[-1]):
        # What is left of column k, divided; then taken out of the columns after it.
        column = rest[..., : k + 1, k, None]
        column.view(np.float64)[...] *= (1.0 / diagonal[..., k])[..., None, None]
        rest[..., : k + 1, k + 1 :] -= _times(column, upper[..., None, k, k + 1 :])
    return rest


def _products(left: NDArray[Any], right: NDArray[Any], threads: int | None) -> NDArray[Any]:
    """Products of two stacks of matrices."""
    out = np.empty((*left.shape[:-1], right.shape[-1]), left.dtype)
    for one, first, second in zip(out, left, right, strict=True):
        one[...] = product(first, second, threads)
    return out


def _conjugate(x: NDArray[Any]) -> NDArray[Any]:
    """The conjugate transpose."""
    turned: NDArray[Any] = x.swapaxes(-1, -2).conj()
    return turned


def _times(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Element by element, three roundings for each part."""
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), a.dtype)
    out.real = a.real * b.real - a.imag * b.imag
    out.imag = a.real * b.imag + a.imag * b.real
    return out
