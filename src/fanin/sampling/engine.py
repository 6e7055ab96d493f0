"""The door to sampling: fill an array with a draw, as a pure function of seed, name and index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.records.axes import Axes
from fanin.records.draw import Constant, Draw, Structured
from fanin.sampling.backends import backend, fill_flat, fill_turned
from fanin.sampling.cast import DTYPES, encode, format_of
from fanin.sampling.layout import blocks, flat_view, logical_view, turned_view
from fanin.sampling.recipe import Recipe, constant, recipe
from fanin.sampling.streams import StreamKey, stream_key
from fanin.sampling.structured import fill_structured

__all__ = ["DTYPES", "backend", "fill", "fill_range", "generate"]


def fill(
    out: NDArray[Any],
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
        The tensor as stored, any strides: float32, float64 or float16 values, or uint16 / uint8 bit
        patterns of the format that `dtype` names.
    draw
        What to draw.
    seed, name
        Select the stream; see `fanin.sampling.streams.stream_key`.
    axes
        Roles of the stored dimensions.
    dtype
        One of `DTYPES`; needed for bit patterns only.
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
    dtype = _checked_output(out, dtype)
    key = stream_key(seed, name)
    _check_threads(threads)
    out = out.view(format_of(dtype).storage) if out.dtype.name == dtype else out
    logical = logical_view(out, axes)
    if isinstance(draw, Constant):
        out[...] = _rounded(np.array(constant(draw, dtype)), dtype)
    elif isinstance(draw, Structured):
        fill_structured(out, draw, seed=seed, name=name, axes=axes, dtype=dtype, threads=threads)
    else:
        _fill_elementwise(logical, recipe(draw, dtype), key, dtype, threads)


def fill_range(
    out: NDArray[Any],
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
        Logical index of the first element, in [0, 2**64).
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
    dtype = _checked_output(out, dtype)
    key = stream_key(seed, name)
    _check_threads(threads)
    if out.ndim != 1 or flat_view(out) is None or isinstance(draw, Structured):
        raise InputError(
            explain(
                "A range is drawn element by element into a contiguous vector",
                received=f"{type(draw).__name__} into shape {out.shape}, strides {out.strides}",
                rule="out has one dimension and unit stride, and the draw is elementwise",
                remedy="Use fill for whole tensors",
            )
        )
    if isinstance(begin, bool) or not 0 <= begin <= (1 << 64) - out.size:
        raise InputError(
            explain(
                "The range leaves the stream",
                received=f"begin={begin!r}, size {out.size}",
                rule="Element indices lie in [0, 2**64)",
            )
        )
    out = out.view(format_of(dtype).storage) if out.dtype.name == dtype else out
    if isinstance(draw, Constant):
        out[...] = _rounded(np.array(constant(draw, dtype)), dtype)
    else:
        fill_flat(out, recipe(draw, dtype), key, begin, dtype, threads)


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
        float32, float64 or float16 values; uint16 (bfloat16) or uint8 (float8) bit patterns.

    Examples
    --------
    >>> generate(Constant(value=1.0), (2,), seed=0, name="norm.weight").tolist()
    [1.0, 1.0]
    """
    out = np.empty(shape, format_of(dtype).storage)
    fill(out, draw, seed=seed, name=name, axes=axes, dtype=dtype)
    return out


def _fill_elementwise(
    logical: NDArray[Any], made: Recipe, key: StreamKey, dtype: str, threads: int | None
) -> None:
    flat = flat_view(logical)
    if flat is not None:
        fill_flat(flat, made, key, 0, dtype, threads)
        return
    turned = turned_view(logical)
    if turned is not None and fill_turned(turned, made, key, dtype, threads):
        return
    for begin, part in blocks(logical):
        values = np.empty(part.shape, part.dtype)
        fill_flat(values.reshape(-1), made, key, begin, dtype, threads)
        part[...] = values


def _rounded(values: NDArray[np.float64], dtype: str) -> NDArray[Any]:
    """Round float64 values to what `dtype` stores; the small formats go through float32."""
    return values if dtype == "float64" else encode(values.astype(np.float32), dtype)


def _checked_output(out: object, dtype: str | None) -> str:
    """The name of the dtype to write, or an error."""
    if not isinstance(out, np.ndarray):
        raise InputError(
            explain(
                "The output is no NumPy array",
                received=type(out).__name__,
                rule="fill writes into a numpy.ndarray in place",
            )
        )
    stored = out.dtype.name
    wanted = stored if dtype is None else dtype
    if dtype is None and stored not in DTYPES:
        raise InputError(
            explain(
                "The output's dtype says no floating-point format",
                received=f"an array of {stored} without dtype",
                rule="Served are " + ", ".join(DTYPES),
                remedy="For bit patterns name the format, for example dtype='bfloat16'",
            )
        )
    storage = format_of(wanted).storage
    if stored not in (wanted, storage) or not out.dtype.isnative:
        raise InputError(
            explain(
                "The output's dtype does not match",
                received=f"an array of {out.dtype.str} ({stored}) for dtype {wanted!r}",
                rule=f"{wanted} is stored as native {storage}",
                remedy=f"Pass an array of {storage}",
            )
        )
    if not out.flags.writeable:
        raise InputError(
            explain(
                "The output is read-only",
                received=f"an array of shape {out.shape} with writeable=False",
                rule="fill writes in place",
                remedy="Pass a writeable array, or use generate",
            )
        )
    return wanted


def _check_threads(threads: int | None) -> None:
    if threads is not None and (isinstance(threads, bool) or threads < 1):
        raise InputError(
            explain(
                "The number of threads is not positive",
                received=f"threads={threads!r}",
                rule="threads is a whole number of at least 1, or None for all processors",
            )
        )
