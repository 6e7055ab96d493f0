"""Formulas: values computed in float64 and rounded once (through float32 to the small formats)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.laws.formulas import values
from fanin.records.axes import Axes
from fanin.records.draw import Formula, Uniform
from fanin.sampling.cast import COMPLEX, encode
from fanin.sampling.recipe import check_reach
from fanin.sampling.structured_target import Source

__all__ = ["by_formula"]

_UNIT = Uniform(low=0.0, high=1.0)


def by_formula(out: NDArray[Any], draw: Formula, source: Source, axes: Axes | None, dtype: str) -> None:
    """Fill a stored tensor with a formula's values.

    A random formula takes element i's number from the weight's float64 uniform stream on (0, 1), so every
    dtype has the same numbers. They pass through the platform's logarithm: equal within one rounding of it.
    """
    if dtype in COMPLEX:
        raise InputError(
            explain(
                f"The formula '{draw.formula}' has no complex law",
                received=f"dtype {dtype}",
                rule="Its values are real numbers, made for a real weight",
                remedy="Draw it in float32 and add the imaginary part that is wanted, or use a scheme with a "
                "complex law: normal, uniform, truncated, orthogonal (unitary), identity, sparse or constant",
            )
        )
    uniforms = np.empty(0)
    if draw.random:
        order = tuple(range(out.ndim)) if axes is None else axes.logical_order
        flat = np.empty(out.size)
        source.fill(flat, _UNIT, 0, "float64")
        uniforms = flat.reshape([out.shape[i] for i in order]).transpose(np.argsort(order))
    found = values(draw, out.shape, axes, uniforms)
    reach = float(np.abs(found).max(initial=0.0))
    if not math.isnan(reach):
        check_reach(draw, reach, dtype)
    out[...] = found if dtype == "float64" else encode(found.astype(np.float32), dtype)
