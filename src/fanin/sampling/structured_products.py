"""The matrix products behind structured draws: in the kernel, where every bit is promised, or in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.sampling import structured_reflections
from fanin.sampling.backends import chosen, workers

__all__ = ["product", "reflect"]

_PER_THREAD = 1 << 24
"""Multiply-adds that a thread must have to be worth its start, about 0.2 ms."""


def reflect(out: NDArray[Any], normals: NDArray[Any], threads: int | None = None) -> None:
    """Multiply what a stack of matrices holds by a block of reflections, in place.

    Parameters
    ----------
    out
        ``(matrices, m, l)``, float32 or float64; the block ``[b:, b:]`` holds the matrices so far.
    normals
        ``(matrices, b, l)`` of the same type, b the least of m and the kernel's block; used up.
    """
    kernel, path = chosen()
    if kernel is None:
        structured_reflections.reflect(out, normals)
        return
    count = workers(threads, out.size * normals.shape[1], _PER_THREAD)
    kernel.haar(out, np.ascontiguousarray(normals), count, path)


def product(left: NDArray[Any], right: NDArray[Any], threads: int | None = None) -> NDArray[Any]:
    """The product of two matrices of one type, (m, k) and (k, n).

    A complex one is the real product of ``[a_re a_im ...]`` and ``[[b_re b_im ...], [-b_im b_re ...], ...]``:
    real and imaginary parts in turn, each one chain.
    """
    if left.dtype.kind == "c":
        turned = np.empty((right.shape[0], 2, right.shape[1]), right.dtype)
        turned[:, 0], turned[:, 1].real, turned[:, 1].imag = right, -right.imag, right.real
        rows = turned.reshape(2 * right.shape[0], right.shape[1]).view(left.real.dtype)
        parts = product(np.ascontiguousarray(left).view(left.real.dtype), rows, threads)
        both: NDArray[Any] = parts.view(left.dtype)
        return both
    kernel, path = chosen()
    if kernel is None:
        result: NDArray[Any] = left @ right
        return result
    out = np.empty((left.shape[0], right.shape[1]), left.dtype)
    count = workers(threads, out.size * left.shape[1], _PER_THREAD)
    kernel.product(out, np.ascontiguousarray(left), np.ascontiguousarray(right), count, path)
    return out
