"""Draws that couple the elements of a matrix: orthogonal.

The one exception to bit-exactness: the QR factorization is LAPACK's, so values agree between
machines to about 1e-12 before the last rounding, not to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, Role, as_axes
from fanin.records.draw import Orthogonal
from fanin.sampling.recipe import check_reach

__all__ = ["haar", "orthogonal"]


def haar(normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Haar-distributed (semi-)orthogonal matrix from a matrix of standard normals.

    Law: ``G = Q R`` with a positive diagonal of R makes Q unique, hence Haar-distributed; a wide
    matrix is the transpose of a tall one, so rows (wide) or columns (tall) are orthonormal.

    Examples
    --------
    >>> q = haar(np.array([[3.0, 1.0], [4.0, 2.0]]))
    >>> bool(np.allclose(q.T @ q, np.eye(2)))
    True

    References
    ----------
    Mezzadri, "How to generate random matrices from the classical compact groups", Notices of the
    AMS 54, 2007, section 4.
    """
    rows, columns = normals.shape
    q, r = np.linalg.qr(normals if rows >= columns else normals.T)
    # Never sign(0) = 0, which would erase a column.
    q *= np.where(np.diagonal(r) < 0.0, -1.0, 1.0)
    return q if rows >= columns else q.T


def orthogonal(
    out: NDArray[Any],
    draw: Orthogonal,
    axes: Axes | None,
    dtype: str,
    normals: Callable[[int, int], NDArray[np.float32]],
    rounded: Callable[[NDArray[np.float64]], NDArray[Any]],
) -> None:
    """Fill a stored tensor with one Haar matrix (out x the rest) for each batch index and group.

    Parameters
    ----------
    out
        The stored tensor; None for `axes` means ``out in receptive ...``.
    draw
        The gain that multiplies the orthonormal matrix.
    dtype
        What `out` stores.
    normals
        ``normals(begin, end)``: elements of the parameter's standard normal stream.
    rounded
        Rounds float64 values once to what `out` stores.

    Raises
    ------
    InputError
        A tensor without two dimensions or without elements; a gain that is not positive or does not fit.
    """
    roles = as_axes(axes, out.shape)
    if roles is None or out.size == 0:
        raise InputError(
            explain(
                "An orthogonal draw needs a matrix",
                received=f"shape {out.shape}",
                rule="The tensor has two or more dimensions and at least one element",
                remedy="Use Normal or Constant for vectors",
            )
        )
    if not (math.isfinite(draw.gain) and draw.gain > 0.0):
        raise InputError(
            explain(
                "The gain of an orthogonal draw must be positive",
                received=f"gain={draw.gain!r}",
                rule="0 < gain < infinity",
            )
        )
    check_reach(draw, draw.gain, dtype)
    logical = out.transpose(roles.logical_order)
    leading = sum(role in (Role.BATCH, Role.GROUP) for role in roles.roles)
    rows = roles.size(out.shape, Role.OUT)
    size = math.prod(logical.shape[leading:])
    for place, index in enumerate(np.ndindex(logical.shape[:leading])):
        values = normals(place * size, (place + 1) * size).astype(np.float64).reshape(rows, -1)
        # Groups share the out dimension, or the in dimension of a transposed convolution.
        axis = 1 if roles.transposed else 0
        matrix = np.concatenate([haar(v) for v in np.split(values, roles.groups, axis)], axis)
        part = logical[index]
        part[...] = rounded(draw.gain * matrix).reshape(part.shape)
