"""The two backends behind the engine: the C++ kernel and the NumPy reference, with the same bits."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from fanin.errors import InputError, explain, nearest
from fanin.sampling.cast import DTYPES
from fanin.sampling.recipe import Recipe
from fanin.sampling.reference import elements
from fanin.sampling.streams import StreamKey

__all__ = ["VARIABLE", "backend", "fill_flat"]

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
    path = _path()
    kernel = None if path == "off" else _kernel()
    if kernel is None or made.far is not None:
        # Far tails are rare enough to have one implementation only.
        for first in range(0, flat.size, _REFERENCE_CHUNK):
            last = min(first + _REFERENCE_CHUNK, flat.size)
            flat[first:last] = elements(made, key, begin + first, begin + last, dtype)
        return
    if path != "auto" and path not in kernel.paths():
        raise InputError(
            explain(
                "This processor or build has no such kernel path",
                received=f"{VARIABLE}={path}",
                rule="Available here: " + ", ".join(kernel.paths()),
                remedy=f"Unset {VARIABLE}",
            )
        )
    kernel.fill(
        flat.view("u1"),
        DTYPES.index(dtype),
        begin,
        key.words,
        int(made.kind),
        made.wide,
        (made.scale, made.shift, made.low, made.high),
        made.start,
        made.width,
        max(1, min(threads or _processors(), flat.size // _PER_THREAD)),
        path,
    )


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
