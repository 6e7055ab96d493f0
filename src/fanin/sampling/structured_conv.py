"""Convolutions that keep lengths: delta-orthogonal, and orthogonal over all taps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.laws.sides import check_room
from fanin.records.draw import DeltaOrthogonal, OrthogonalConvolution
from fanin.sampling.structured_matrix import frames
from fanin.sampling.structured_products import product
from fanin.sampling.structured_target import Source, Target, check_gain

__all__ = ["convolution", "delta"]


def delta(target: Target, draw: DeltaOrthogonal, source: Source) -> None:
    """Fill every map with zeros, and at the middle tap a Haar matrix with orthonormal columns times the gain.

    References
    ----------
    L. Xiao et al., Dynamical isometry and a mean field theory of CNNs, ICML 2018, algorithm 2.
    """
    check_gain(draw, target.dtype)
    check_room("A delta-orthogonal kernel", target.sides)
    sides = target.sides
    for place, part in enumerate(target.slices()):
        made = np.empty((target.maps, sides.inputs, sides.outputs), target.precise)
        frames(made, source, place * target.maps)
        part[...] = 0
        target.put(target.centre(part), made.swapaxes(-1, -2), draw.gain)


def convolution(target: Target, draw: OrthogonalConvolution, source: Source) -> None:
    """Fill every map with a kernel whose convolution keeps the length of every input, times the gain.

    ``K = (product over steps i and dimensions d, i < k_d - 1, of [P_di, I - P_di] along d) F``: F is a
    Haar matrix with orthonormal columns, P_di the projection on some rows of a Haar matrix, each taken
    with probability one half. All in float64; complex weights have unitary matrices for Haar ones.

    References
    ----------
    L. Xiao et al., Dynamical isometry and a mean field theory of CNNs, ICML 2018, algorithm 1.
    """
    check_gain(draw, target.dtype)
    check_room("An orthogonal convolution", target.sides)
    sides = target.sides
    for place, part in enumerate(target.slices()):
        kernels = [_kernel(target, source, place * target.maps + j) for j in range(target.maps)]
        maps = np.stack(kernels).reshape(target.maps, sides.outputs, sides.columns)
        target.put(part, maps.astype(target.precise, copy=False), draw.gain)


def _kernel(target: Target, source: Source, number: int) -> NDArray[Any]:
    """One kernel, (outputs, inputs, taps)."""
    sides = target.sides
    precise = np.result_type(target.precise, np.float64)
    frame = np.empty((1, sides.inputs, sides.outputs), precise)
    frames(frame, source, number)
    made = np.zeros((sides.outputs, *target.kernel, sides.inputs), precise)
    first: Any = (slice(None), *(0 for _ in target.kernel))
    made[first] = frame[0].T
    for step in range(max(target.kernel, default=1) - 1):
        for axis, size in enumerate(target.kernel):
            if step >= size - 1:
                continue
            rows = _projection(sides.outputs, precise, source, number, f"projection {axis} {step}")
            # P K_t + (I - P) K_(t-1); the last tap is still empty, so rolling brings zeros to the front.
            before = np.roll(made, 1, axis + 1)
            change = product(rows, (made - before).reshape(sides.outputs, -1), source.threads)
            made = before + product(rows.conj().T, change, source.threads).reshape(made.shape)
    return made.reshape(sides.outputs, math.prod(target.kernel), sides.inputs).swapaxes(1, 2)


def _projection(size: int, precise: np.dtype[Any], source: Source, number: int, role: str) -> NDArray[Any]:
    """Orthonormal rows; their number is binomial, with probability one half."""
    rows = np.empty((1, size, size), precise)
    frames(rows, source, number, role)
    chosen = source.normals(number * size, (number + 1) * size, f"{role} rows") > 0.0
    kept: NDArray[Any] = rows[0][chosen]
    return kept
