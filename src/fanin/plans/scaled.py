"""A draw times a constant."""

from __future__ import annotations

import math
from dataclasses import replace

from fanin.records.draw import (
    Constant,
    DeltaOrthogonal,
    Draw,
    Formula,
    Identity,
    Normal,
    Orthogonal,
    OrthogonalConvolution,
    Sparse,
    TruncatedNormal,
    Uniform,
)

__all__ = ["scaled"]


def scaled(draw: Draw, factor: float) -> Draw | None:
    """The draw of ``factor * w``, for a positive factor; None for a formula, which has no such number.

    Examples
    --------
    >>> print(scaled(Uniform(low=-1.0, high=1.0), 0.5))
    U(±0.5)
    """
    match draw:
        case Constant():
            return Constant(value=draw.value * factor)
        case Uniform():
            return Uniform(low=draw.low * factor, high=draw.high * factor)
        case Normal():
            return Normal(mean=draw.mean * factor, std=draw.std * factor)
        case TruncatedNormal():
            # The bounds are in units of the parent, which grows with the factor.
            return replace(
                draw,
                mean=draw.mean * factor,
                std=draw.std * factor,
                parent_mean=draw.parent_mean * factor,
                parent_std=draw.parent_std * factor,
            )
        case Orthogonal() | DeltaOrthogonal() | OrthogonalConvolution():
            return replace(draw, gain=draw.gain * factor, std=draw.std * factor)
        case Identity():
            return replace(draw, gain=draw.gain * factor, mean=draw.mean * factor, std=draw.std * factor)
        case Sparse():
            return replace(draw, parent_std=draw.parent_std * factor, std=draw.std * factor)
        case Formula():
            return None if not math.isclose(factor, 1.0) else draw
