"""Complex numbers: what is drawn for the real part and for the imaginary one."""

from __future__ import annotations

import math

from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform

__all__ = ["SHARE", "parts"]

SHARE = math.sqrt(0.5)
"""Of a complex number's std, what each component has: the variances of the two add up."""


def parts(draw: Draw) -> tuple[Draw, Draw]:
    """The draws of the real and of the imaginary part of a complex elementwise draw.

    ``Re z = mean + (x - mean) / sqrt(2)``, ``Im z = (y - mean) / sqrt(2)``, x and y independent samples of
    the real draw: then ``E[z] = mean`` and ``E|z - mean|^2 = std^2``, and a normal z is circular.

    Returns
    -------
    tuple
        Two draws; equal ones where the mean is 0.

    Examples
    --------
    >>> parts(Uniform(low=-2.0, high=2.0))[1]
    Uniform(low=-1.4142135623730951, high=1.4142135623730951)
    """
    match draw:
        case Normal():
            std = draw.std * SHARE
            return Normal(mean=draw.mean, std=std), Normal(std=std)
        case Uniform():
            half = (0.5 * draw.high - 0.5 * draw.low) * SHARE
            middle = 0.5 * draw.low + 0.5 * draw.high
            return Uniform(low=middle - half, high=middle + half), Uniform(low=-half, high=half)
        case TruncatedNormal():
            share = {
                "std": draw.std * SHARE,
                "parent_std": draw.parent_std * SHARE,
                "lower": draw.lower,
                "upper": draw.upper,
            }
            offset = (draw.parent_mean - draw.mean) * SHARE
            return (
                TruncatedNormal(mean=draw.mean, parent_mean=draw.mean + offset, **share),
                TruncatedNormal(mean=0.0, parent_mean=offset, **share),
            )
        case _:
            return draw, draw
