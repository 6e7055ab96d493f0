"""Fill memory with an elementwise draw, real or complex."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fanin.records.draw import Draw
from fanin.sampling.backends import fill_region
from fanin.sampling.cast import COMPLEX
from fanin.sampling.parts import parts
from fanin.sampling.recipe import recipe
from fanin.sampling.slices import Region
from fanin.sampling.streams import StreamKey

__all__ = ["fill_elements"]


def fill_elements(
    out: NDArray[Any], draw: Draw, key: StreamKey, place: Region, dtype: str, threads: int | None
) -> None:
    """Write the elements of a stream that belong to an array of any strides.

    Number i of a complex tensor takes the elements 2 i (real part) and 2 i + 1 (imaginary part).

    Parameters
    ----------
    out
        Dimensions in logical order.
    place
        First element of the stream, and for each dimension the elements from neighbour to neighbour; of
        complex arrays those of the real parts.

    Raises
    ------
    InputError
        A draw that `dtype` cannot hold; nothing is written then.
    """
    begin, steps = place
    real = COMPLEX.get(dtype, dtype)
    made = recipe(draw, real)
    if dtype not in COMPLEX:
        fill_region(out, made, key, begin, steps, dtype, threads)
        return
    first, second = (recipe(part, real) for part in parts(draw))
    if first == second:
        fill_region(out[..., None].view(real), first, key, begin, (*steps, 1), real, threads)
    else:
        fill_region(out.real, first, key, begin, steps, real, threads)
        fill_region(out.imag, second, key, begin + 1, steps, real, threads)
