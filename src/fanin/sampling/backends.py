"""The two backends behind the engine: the C++ kernel and the NumPy reference, with the same bits."""

from __future__ import annotations

import math
import os
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from fanin.errors import InputError, explain, nearest
from fanin.sampling.cast import DTYPES
from fanin.sampling.layout import Turned
from fanin.sampling.recipe import Recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import StreamKey

__all__ = ["VARIABLE", "backend", "fill_flat", "fill_turned"]

VARIABLE = "FANIN_KERNEL"
"""Environment variable that forces a path: off, portable, avx2 or avx512 (unset or auto: the best)."""

_PATHS = ("auto", "portable", "avx2", "avx512")
_REFERENCE_CHUNK = 1 << 16
"""Elements at a time in the reference: its temporaries stay in the cache."""
_PER_THREAD = 1 << 16
"""Elements a thread must have to be worth its start (tens of microseconds)."""


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


def fill_flat(
    flat: NDArray[Any], made: Recipe, key: StreamKey, begin: int, dtype: str, threads: int | None
) -> None:
    """Write elements [begin, begin + flat.size) of a stream to a contiguous aligned run of memory."""
    kernel, path = _chosen()
    if kernel is None or made.far is not None:
        # Far tails are rare enough to have one implementation only.
        for first in range(0, flat.size, _REFERENCE_CHUNK):
            last = min(first + _REFERENCE_CHUNK, flat.size)
            flat[first:last] = elements(made, key, begin + first, begin + last, dtype)
        return
    arguments = _arguments(made, key, begin, dtype, _workers(threads, flat.size))
    kernel.fill(flat.view("u1"), **arguments, path=path)


def fill_turned(turned: Turned, made: Recipe, key: StreamKey, dtype: str, threads: int | None) -> bool:
    """Write a whole turned tensor by tiles, if the kernel is there; say whether it was."""
    kernel, path = _chosen()
    if kernel is None or made.far is not None:
        return False
    size = turned.rows * math.prod(turned.shape)
    for place, origin in enumerate(turned.origins):
        kernel.fill_turned(
            turned.memory.view("u1"),
            **_arguments(made, key, place * size, dtype, _workers(threads, size)),
            path=path,
            origin=origin,
            rows=turned.rows,
            shape=list(turned.shape),
            strides=list(turned.strides),
        )
    return True


def _chosen() -> tuple[ModuleType | None, str]:
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


def _arguments(made: Recipe, key: StreamKey, begin: int, dtype: str, threads: int) -> dict[str, Any]:
    """What both fills of the kernel take."""
    return {
        "dtype": DTYPES.index(dtype),
        "begin": begin,
        "key": key.words,
        "kind": int(made.kind),
        "wide": made.wide,
        "numbers": (made.scale, made.shift, made.low, made.high),
        "start": made.start,
        "width": made.width,
        "threads": threads,
    }


def _workers(threads: int | None, size: int) -> int:
    return max(1, min(threads or _processors(), size // _PER_THREAD))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
