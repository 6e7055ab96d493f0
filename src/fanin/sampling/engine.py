"""The door to sampling: fill an array with a draw, as a pure function of seed, name and index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.records.axes import Axes
from fanin.records.draw import Constant, Draw, Structured
from fanin.sampling.backends import backend, draw_whole
from fanin.sampling.cast import COMPLEX, DTYPES, SERVED, rounded, storage_of
from fanin.sampling.components import fill_elements
from fanin.sampling.layout import flat_view, in_order
from fanin.sampling.outputs import array_of, check_threads, checked_output
from fanin.sampling.recipe import constant
from fanin.sampling.slices import Region, region
from fanin.sampling.streams import StreamKey, stream_key
from fanin.sampling.structured import fill_structured

__all__ = ["COMPLEX", "DTYPES", "SERVED", "backend", "fill", "fill_range", "fill_slice", "generate"]


def fill(
    out: object,
    draw: Draw,
    *,
    seed: int,
    name: str | tuple[str, ...],
    axes: Axes | None = None,
    dtype: str | None = None,
    threads: int | None = None,
) -> None:
    """Fill a stored tensor in place with a draw.

    ``out[...] = round(f(version, seed, name, i))``, i the row-major index in the logical tensor: the
    dimensions in the order ``axes.logical_order``, or as stored where `axes` is None.

    Parameters
    ----------
    out
        The tensor as stored, any strides: float32, float64, float16, complex64 or complex128 values, or
        uint16 / uint8 bit patterns of the format that `dtype` names. A NumPy array, whatever has
        ``__dlpack__`` (memory of the CPU, bfloat16 and float8 included) or the buffer protocol, or a
        `fanin.sampling.address.Memory`; never copied.
    draw
        What to draw.
    seed, name
        Select the stream; see `fanin.sampling.streams.stream_key`.
    axes
        Roles of the stored dimensions.
    dtype
        One of `SERVED`; needed for bit patterns only.
    threads
        Threads to use at most (all processors where None). Never changes a value.

    Raises
    ------
    InputError
        Anything that cannot be served; `out` is then untouched.

    Examples
    --------
    >>> from fanin.records.draw import Normal
    >>> weight = np.empty((2, 3), np.float32)
    >>> fill(weight, Normal(std=0.5), seed=0, name="layer.weight")
    >>> bool(np.isfinite(weight).all())
    True
    """
    if type(out) is not np.ndarray:
        out, dtype = array_of(out, dtype)
    if (
        (threads is None or threads >= 1)
        and (axes is None or in_order(axes, out.shape))
        and draw_whole(out, draw, seed, name, dtype, threads)
    ):
        return
    if isinstance(draw, Structured):
        dtype, _ = _checked(out, dtype, seed, name, threads)
        out = _patterns(out, dtype)
        fill_structured(out, draw, seed=seed, name=name, axes=axes, dtype=dtype, threads=threads)
    else:
        whole = tuple(slice(0, n) for n in out.shape)
        _fill_slice(out, draw, out.shape, whole, seed, name, axes, dtype, threads)


def fill_slice(
    out: object,
    draw: Draw,
    *,
    shape: tuple[int, ...],
    index: tuple[slice, ...],
    seed: int,
    name: str | tuple[str, ...],
    axes: Axes | None = None,
    dtype: str | None = None,
    threads: int | None = None,
) -> None:
    """Fill the part ``whole[index]`` of a tensor without making the tensor.

    ``out[i] = round(f(version, seed, name, j))``, j the index in the whole logical tensor of the element
    that part's element i is: the same numbers as ``fill`` and then ``[index]``, whatever the tensor's size.

    Parameters
    ----------
    out
        The part as stored, any strides; types as in `fill`.
    draw
        What to draw. A structured draw's elements depend on each other: it is made whole and then cut.
    shape
        Shape of the whole tensor as stored; up to 2**64 elements, of a complex tensor half as many.
    index
        One slice a stored dimension, with ``0 <= start <= stop <= extent`` and a step of at least 1; JAX's
        ``make_array_from_callback`` hands over just this.
    axes
        Roles of the stored dimensions, of the whole as of the part.
    seed, name, dtype, threads
        As in `fill`.

    Raises
    ------
    InputError
        Anything that cannot be served; `out` is then untouched.

    Examples
    --------
    >>> from fanin.records.draw import Normal
    >>> whole, shard = np.empty((6, 4), np.float32), np.empty((3, 4), np.float32)
    >>> fill(whole, Normal(std=1.0), seed=0, name="w")
    >>> cut = (slice(3, 6), slice(None))
    >>> fill_slice(shard, Normal(std=1.0), shape=(6, 4), index=cut, seed=0, name="w")
    >>> bool((shard == whole[cut]).all())
    True
    """
    out, dtype = array_of(out, dtype)
    if isinstance(draw, Structured):
        dtype, _ = _checked(out, dtype, seed, name, threads)
        out = _patterns(out, dtype)
        region(out, shape, index, axes)
        out[...] = generate(draw, shape, seed=seed, name=name, axes=axes, dtype=dtype)[index]
    else:
        _fill_slice(out, draw, shape, index, seed, name, axes, dtype, threads)


def fill_range(
    out: object,
    draw: Draw,
    *,
    seed: int,
    name: str | tuple[str, ...],
    begin: int,
    dtype: str | None = None,
    threads: int | None = None,
) -> None:
    """Fill a contiguous vector with the elements [begin, begin + out.size) of a draw's stream.

    Equal to the same range of the whole tensor in logical order, so a shard needs no other shard.

    Parameters
    ----------
    out
        One-dimensional, contiguous; types as in `fill`.
    draw
        An elementwise draw (none of `fanin.records.draw.Structured`).
    begin
        Logical index of the first element, in [0, 2**64); of a complex one in [0, 2**63).
    seed, name, dtype, threads
        As in `fill`.

    Raises
    ------
    InputError
        Anything that cannot be served; `out` is then untouched.

    Examples
    --------
    >>> from fanin.records.draw import Normal
    >>> whole, part = np.empty(10, np.float32), np.empty(3, np.float32)
    >>> fill(whole, Normal(std=1.0), seed=0, name="w")
    >>> fill_range(part, Normal(std=1.0), seed=0, name="w", begin=4)
    >>> bool((part == whole[4:7]).all())
    True
    """
    out, dtype = array_of(out, dtype)
    dtype, key = _checked(out, dtype, seed, name, threads)
    if out.ndim != 1 or flat_view(out) is None or isinstance(draw, Structured):
        raise InputError(
            explain(
                "A range is drawn element by element into a contiguous vector",
                received=f"{type(draw).__name__} into shape {out.shape}, strides {out.strides}",
                rule="out has one dimension and unit stride, and the draw is elementwise",
                remedy="Use fill for whole tensors",
            )
        )
    each = _each(dtype)
    if isinstance(begin, bool) or not 0 <= begin <= (1 << 64) // each - out.size:
        raise InputError(
            explain(
                "The range leaves the stream",
                received=f"begin={begin!r}, size {out.size}",
                rule=f"Element indices lie in [0, 2**{65 - each})",
            )
        )
    _fill_part(_patterns(out, dtype), (begin * each, (each,)), draw, key, dtype, threads)


def generate(
    draw: Draw,
    shape: tuple[int, ...],
    *,
    seed: int,
    name: str | tuple[str, ...],
    axes: Axes | None = None,
    dtype: str = "float32",
) -> NDArray[Any]:
    """Allocate a tensor of `shape` (as stored) and fill it; see `fill`.

    Returns
    -------
    NDArray
        Values of the dtype itself; uint16 (bfloat16) or uint8 (float8) bit patterns.

    Examples
    --------
    >>> generate(Constant(value=1.0), (2,), seed=0, name="norm.weight").tolist()
    [1.0, 1.0]
    """
    out = np.empty(shape, storage_of(dtype))
    fill(out, draw, seed=seed, name=name, axes=axes, dtype=dtype)
    return out


def _fill_slice(
    out: NDArray[Any],
    draw: Draw,
    shape: tuple[int, ...],
    index: tuple[slice, ...],
    seed: int,
    name: str | tuple[str, ...],
    axes: Axes | None,
    dtype: str | None,
    threads: int | None,
) -> None:
    dtype, key = _checked(out, dtype, seed, name, threads)
    part, place = region(_patterns(out, dtype), shape, index, axes, _each(dtype))
    _fill_part(part, place, draw, key, dtype, threads)


def _fill_part(
    part: NDArray[Any], place: Region, draw: Draw, key: StreamKey, dtype: str, threads: int | None
) -> None:
    if isinstance(draw, Constant):
        part[...] = rounded(np.array(constant(draw, dtype)), dtype)
    else:
        fill_elements(part, draw, key, place, dtype, threads)


def _each(dtype: str) -> int:
    """Elements of a stream that one number takes."""
    return 2 if dtype in COMPLEX else 1


def _checked(
    out: object, dtype: str | None, seed: int, name: str | tuple[str, ...], threads: int | None
) -> tuple[str, StreamKey]:
    named = checked_output(out, dtype)
    key = stream_key(seed, name)
    check_threads(threads)
    return named, key


def _patterns(out: NDArray[Any], dtype: str) -> NDArray[Any]:
    """An array of a dtype that NumPy does not have itself, seen as its bit patterns."""
    return out.view(storage_of(dtype)) if out.dtype.name == dtype else out
