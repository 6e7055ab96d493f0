"""The two backends behind the engine: the C++ kernel and the NumPy reference, with the same bits."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain, nearest
from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.cast import COMPLEX, DTYPES, SERVED, storage_of
from fanin.sampling.parts import parts
from fanin.sampling.recipe import FarTail, Recipe, recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import StreamKey

__all__ = [
    "VARIABLE",
    "backend",
    "chosen",
    "draw_at",
    "draw_many",
    "draw_whole",
    "fill_flat",
    "fill_region",
    "lowered_each",
    "tasks_of",
    "workers",
]

VARIABLE = "FANIN_KERNEL"
"""Environment variable that forces a path: off, portable, avx2, avx512 or neon (unset or auto: the best)."""

_PATHS = ("auto", "portable", "avx2", "avx512", "neon")
_REFERENCE_CHUNK = 1 << 16
"""Elements at a time in the reference: its temporaries stay in the cache."""
_PER_THREAD = 1 << 16
"""Elements a thread must have to be worth its start (tens of microseconds)."""
_RECIPES = 4096
"""Lowered recipes that are kept: more than a model has different draws."""

_NAMES = {np.dtype(name): name for name in ("float32", "float64", "float16", *COMPLEX)}
_STORED = {name: np.dtype(storage_of(name)) for name in DTYPES}
_NEAR = FarTail(near=0.0, ratio=0.0, complement=0.0, mirrored=False)
"""What the kernel takes for a draw that is no far tail."""
_ELEMENTWISE = (Normal, Uniform, TruncatedNormal)
_SEED_END = 1 << 64


@lru_cache(maxsize=1)
def _kernel() -> ModuleType | None:
    try:
        # Late, so that a build without the kernel still imports.
        from fanin import _kernel  # noqa: PLC0415
    except ImportError:
        return None
    return _kernel


def _path() -> str:
    wanted = os.environ.get(VARIABLE, "").lower() or "auto"
    if wanted != "off" and wanted not in _PATHS:
        raise nearest(wanted, ("off", *_PATHS), kind=f"{VARIABLE} path")
    return wanted


def backend() -> str:
    """``"kernel"`` where the C++ kernel is built and not switched off, otherwise ``"reference"``."""
    return "reference" if _path() == "off" or _kernel() is None else "kernel"


def draw_whole(
    out: NDArray[Any], draw: Draw, seed: object, name: object, dtype: str | None, threads: int | None
) -> bool:
    """Take the short way for a whole array of one run of memory: one call, key and all.

    False where anything asks for the long way, which checks each argument and says what is wrong; the
    output is then untouched.
    """
    if type(seed) is not int or not 0 <= seed < _SEED_END or type(draw) not in _ELEMENTWISE or name is None:
        return False
    lowered = _lowered_draw(draw, dtype, out.dtype)
    if lowered is None:
        return False
    try:
        if out.dtype.kind == "c":
            # The components of one run of memory are one run too; of other memory this is an error.
            out = out.view(COMPLEX[out.dtype.name])
        size = out.size
        count = 1 if size < 2 * _PER_THREAD else workers(threads, size)
        # A recipe is lowered only where there is a kernel.
        return bool(_kernel().draw(out, lowered, seed, name, count))  # type: ignore[union-attr]
    except (ValueError, BufferError):
        return False


def draw_at(address: int, size: int, draw: Draw, dtype: str, seed: object, name: object) -> bool:
    """`draw_whole` for one run of memory by its address, which the caller vouches for and holds.

    Parameters
    ----------
    address, size
        Of the first element, and how many there are.
    dtype
        One of `DTYPES`.
    """
    if type(seed) is not int or not 0 <= seed < _SEED_END or type(draw) not in _ELEMENTWISE:
        return False
    lowered = _lowered_draw(draw, dtype, _STORED[dtype])
    if lowered is None:
        return False
    count = 1 if size < 2 * _PER_THREAD else workers(None, size)
    return bool(_kernel().draw_memory(address, size, lowered, seed, name, count))  # type: ignore[union-attr]


def lowered_each(
    arrays: Sequence[NDArray[Any]], draws: Sequence[Draw], dtypes: Sequence[str | None]
) -> list[Any]:
    """The recipe of each array as the kernel holds it, or None where `fill` has to look at it."""
    known: dict[tuple[int, str | None, np.dtype[Any]], Any] = {}

    def lowered(array: NDArray[Any], draw: Draw, dtype: str | None) -> Any:
        place = (id(draw), dtype, array.dtype)
        if place not in known:
            elementwise = type(draw) in _ELEMENTWISE and array.dtype.kind != "c"
            known[place] = _lowered_draw(draw, dtype, array.dtype) if elementwise else None
        return known[place]

    one = [*draws[:1]] * len(arrays) == draws and len(set(dtypes)) == len({a.dtype for a in arrays}) == 1
    if one:
        return [lowered(arrays[0], draws[0], dtypes[0])] * len(arrays)
    return [lowered(*each) for each in zip(arrays, draws, dtypes, strict=True)]


def tasks_of(
    arrays: list[NDArray[Any]], recipes: list[Any], names: list[str | tuple[str, ...]], seed: object
) -> Any:
    """Whole arrays as one piece of work for the kernel; None if any of them cannot be.

    Parameters
    ----------
    arrays
        Dimensions in logical order, any strides.
    recipes
        Of `lowered_each`, none of them None.

    Returns
    -------
    object
        What `draw_many` takes. Nothing can fail in it any more: the memory is there, held and apart.
    """
    kernel, _ = chosen()
    if kernel is None or type(seed) is not int or not 0 <= seed < _SEED_END:
        return None
    try:
        return kernel.Tasks(arrays, recipes, names, seed)
    except (ValueError, BufferError):
        return None


def draw_many(tasks: Any, size: int, threads: int | None) -> None:
    """Fill the arrays of `tasks_of`, of `size` elements together."""
    tasks.fill(1 if threads == 1 else workers(threads, size), chosen()[1])


def fill_flat(
    flat: NDArray[Any], made: Recipe, key: StreamKey, begin: int, dtype: str, threads: int | None
) -> None:
    """Write elements [begin, begin + flat.size) of a stream to a vector."""
    fill_region(flat, made, key, begin, (1,), dtype, threads)


def fill_region(
    out: NDArray[Any],
    made: Recipe,
    key: StreamKey,
    begin: int,
    steps: tuple[int, ...],
    dtype: str,
    threads: int | None,
) -> None:
    """Write the elements ``begin + sum(index * steps)`` of a stream to an array of any strides.

    Parameters
    ----------
    out
        Dimensions in logical order; items as `dtype` is stored.
    steps
        For each dimension, how many elements of the stream neighbours are apart.
    """
    kernel, path = chosen()
    if kernel is None:
        _fill_by_reference(out, made, key, begin, steps, dtype)
    else:
        lowered = _lowered(made, dtype)
        kernel.fill(out, lowered, key.words, begin, list(steps), workers(threads, out.size), path)


def _fill_by_reference(
    out: NDArray[Any], made: Recipe, key: StreamKey, begin: int, steps: tuple[int, ...], dtype: str
) -> None:
    if out.size == 0:
        return
    # Dimensions that continue each other are one run of the stream, evenly spaced.
    depth, step = out.ndim, steps[-1] if steps else 1
    while depth > 0 and steps[depth - 1] == step * math.prod(out.shape[depth:]):
        depth -= 1
    run = math.prod(out.shape[depth:])
    # What lies between is drawn and not used, unless it is too much.
    at_once = max(1, _REFERENCE_CHUNK // step)
    for index in itertools.product(*map(range, out.shape[:depth])):
        first = begin + sum(i * apart for i, apart in zip(index, steps, strict=False))
        place: Any = (*index, ...)
        part = out[place]
        for start in range(0, run, at_once):
            end = min(start + at_once, run)
            values = elements(made, key, first + start * step, first + (end - 1) * step + 1, dtype)[::step]
            if end - start == run:
                part[...] = values.reshape(part.shape)
            else:
                part.flat[start:end] = values


def chosen() -> tuple[ModuleType | None, str]:
    """The kernel, unless it is missing or switched off, and the wanted path."""
    path = _path()
    kernel = None if path == "off" else _kernel()
    if kernel is not None and path != "auto" and path not in kernel.paths():
        raise InputError(
            explain(
                "This processor or build has no such kernel path",
                received=f"{VARIABLE}={path}",
                rule="Available here: " + ", ".join(kernel.paths()),
                remedy=f"Unset {VARIABLE}",
            )
        )
    return kernel, path


@lru_cache(maxsize=_RECIPES)
def _lowered_draw(draw: Draw, dtype: str | None, stored: np.dtype[Any]) -> Any:
    """A draw as the kernel holds it, or None where the long way has something to say."""
    named = _NAMES.get(stored) if dtype is None else dtype
    if named not in SERVED or stored != np.dtype(storage_of(named)) or not stored.isnative:
        return None
    real = COMPLEX.get(named, named)
    made = recipe(draw, real)
    if named in COMPLEX:
        made, imaginary = (recipe(part, real) for part in parts(draw))
        if imaginary != made:
            return None
    return _lowered(made, real)


@lru_cache(maxsize=_RECIPES)
def _lowered(made: Recipe, dtype: str) -> Any:
    """A recipe as the kernel holds it."""
    kernel, far = _kernel(), made.far or _NEAR
    return kernel and kernel.Recipe(
        dtype=DTYPES.index(dtype),
        kind=int(made.kind),
        wide=made.wide,
        scale=made.scale,
        shift=made.shift,
        low=made.low,
        high=made.high,
        # A far tail begins where 64 bits end, and has no use for its window.
        start=0 if made.far else made.start,
        width=made.width,
        near=far.near,
        ratio=far.ratio,
        complement=far.complement,
        mirrored=far.mirrored,
    )


def workers(threads: int | None, size: int, each: int = _PER_THREAD) -> int:
    """Threads for some work: as many as were asked for, or as processors, that have enough to do."""
    return max(1, min(threads or _processors(), size // each))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
