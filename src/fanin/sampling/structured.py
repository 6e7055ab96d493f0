"""Draws whose elements depend on each other or on their place: one door for all of them.

Orthogonal and unitary ones are equal to the last bit wherever the kernel is; a build without it takes
matrix products of the machine's BLAS, so those values agree to a stated tolerance (see `TOLERANCE`).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.laws.sides import Sides, sides
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import (
    DeltaOrthogonal,
    Formula,
    Identity,
    Orthogonal,
    OrthogonalConvolution,
    Sparse,
    Structured,
)
from fanin.sampling.structured_conv import convolution, delta
from fanin.sampling.structured_formula import by_formula
from fanin.sampling.structured_haar import TOLERANCE
from fanin.sampling.structured_matrix import matrices
from fanin.sampling.structured_places import identity
from fanin.sampling.structured_sparse import sparse
from fanin.sampling.structured_target import Source, Target

__all__ = ["TOLERANCE", "fill_structured"]


def fill_structured(
    out: NDArray[Any],
    draw: Structured,
    *,
    seed: int,
    name: str | tuple[str, ...],
    axes: Axes | None,
    dtype: str,
    threads: int | None,
) -> None:
    """Fill a stored tensor with a structured draw.

    Parameters
    ----------
    out
        The tensor as stored, in the storage type of `dtype`.
    draw
        What to draw.
    seed, name
        Select the streams.
    axes
        Roles of the stored dimensions; None means ``out in receptive ...``.
    dtype, threads
        As in `fanin.sampling.engine.fill`; threads change no value.

    Raises
    ------
    InputError
        A tensor without such a structure; a gain that is not positive or does not fit.
    """
    source = Source(seed=seed, name=name, threads=threads)
    if isinstance(draw, Formula):
        by_formula(out, draw, source, axes, dtype)
        return
    target = Target.of(out, as_axes(axes, out.shape), _sides(out, draw, axes), dtype)
    match draw:
        case Orthogonal():
            matrices(target, draw, source)
        case DeltaOrthogonal():
            delta(target, draw, source)
        case OrthogonalConvolution():
            convolution(target, draw, source)
        case Identity():
            identity(target, draw)
        case Sparse():
            sparse(target, draw, source)


def _sides(out: NDArray[Any], draw: Structured, axes: Axes | None) -> Sides:
    if out.size == 0 or (axes is None and out.ndim < 2):
        label = "An orthogonal" if isinstance(draw, Orthogonal) else f"A {type(draw).__name__}"
        raise InputError(
            explain(
                f"{label} draw needs a matrix",
                received=f"shape {out.shape}",
                rule="The tensor has two or more dimensions and at least one element",
                remedy="Use Normal or Constant for vectors",
            )
        )
    return sides(out.shape, axes)
