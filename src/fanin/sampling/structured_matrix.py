"""Orthogonal matrices, one for each map or block of a weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.records.draw import Normal, Orthogonal
from fanin.sampling.structured_haar import haar_from
from fanin.sampling.structured_target import Source, Target, check_gain
from fanin.sampling.structured_unitary import unitary_from

__all__ = ["frames", "matrices"]

_NORMAL = Normal(std=1.0)
_TOGETHER = 1 << 18
"""Elements of small matrices that are worked on at once, so that many cost little more than one."""


def matrices(target: Target, draw: Orthogonal, source: Source) -> None:
    """Fill every block of every map (out x the rest) with a Haar matrix of its own times the gain.

    Matrices count in logical order; number j owns the normals ``[j s l, (j + 1) s l)`` of the weight's
    stream, s and l its shorter and its longer side; a complex one twice as many, two a number.
    """
    check_gain(draw, target.dtype)
    blocks, sides = draw.blocks, target.sides
    if blocks < 1 or sides.outputs % blocks:
        raise InputError(
            explain(
                "The blocks do not divide the outputs",
                received=f"blocks={blocks}, {sides.outputs} outputs",
                rule="The out dimension holds a whole number of rows for each block",
            )
        )
    rows, columns = sides.outputs // blocks, sides.columns
    short, long = min(rows, columns), max(rows, columns)
    slices, each = target.slices(), target.maps * blocks
    together = max(1, _TOGETHER // (each * short * long))
    for first in range(0, len(slices), together):
        parts = slices[first : first + together]
        view = (
            target.plain(parts[0], blocks) if len(parts) == 1 and rows <= columns and target.direct else None
        )
        if view is not None:
            frames(view, source, first * each)
            if draw.gain != 1.0:
                view *= view.dtype.type(draw.gain)
            continue
        made = np.empty((len(parts), each, short, long), target.precise)
        frames(made.reshape(-1, short, long), source, first * each)
        for part, maps in zip(parts, made if rows <= columns else made.swapaxes(-1, -2), strict=True):
            target.put(part, maps, draw.gain)


def frames(out: NDArray[Any], source: Source, number: int, role: str = "weight") -> None:
    """Write Haar matrices with orthonormal rows, (matrices, s, l), counted from `number`."""
    count, short, long = out.shape
    if out.dtype.kind == "c":
        unitary_from(out, _complex_rows(out, source, number, role), threads=source.threads)
        return

    def rows(first: int, last: int) -> NDArray[Any]:
        if last - first == short:
            flat = source.normals(number * short * long, (number + count) * short * long, role)
            return flat.reshape(out.shape).astype(out.dtype, copy=False)
        values = np.empty((count, last - first, long), np.float32)
        for place, part in enumerate(values):
            begin = ((number + place) * short + first) * long
            source.fill(part.reshape(-1), _NORMAL, begin, "float32", role)
        return values.astype(out.dtype, copy=False)

    haar_from(out, rows, threads=source.threads)


def _complex_rows(
    out: NDArray[Any], source: Source, number: int, role: str
) -> Callable[[int, int], NDArray[Any]]:
    """Rows of the complex normals of some matrices, as they are needed."""
    count, short, long = out.shape

    def rows(first: int, last: int) -> NDArray[Any]:
        values = np.empty((count, last - first, 2 * long), np.float32)
        for place, part in enumerate(values):
            begin = ((number + place) * short + first) * 2 * long
            source.fill(part.reshape(-1), _NORMAL, begin, "float32", role)
        return values.view(np.complex64).astype(out.dtype, copy=False)

    return rows
