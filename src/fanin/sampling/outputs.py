"""What may be filled: the checks of outputs and threads that every door of the engine makes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.sampling.address import Memory, array_at
from fanin.sampling.cast import SERVED, storage_of
from fanin.sampling.dlpack import SupportsDLPack, memory_of

__all__ = ["array_of", "check_threads", "checked_output"]


def array_of(out: object, dtype: str | None) -> tuple[NDArray[Any], str | None]:
    """An output's own memory as a NumPy array, and the dtype to write if it is said.

    Served are NumPy arrays, `Memory`, whatever has ``__dlpack__`` (memory of the CPU) and whatever has the
    buffer protocol. Nothing is copied, so what is written is written to `out`.

    Raises
    ------
    InputError
        No memory that could be written, or memory of another dtype than was said.

    Examples
    --------
    >>> from array import array
    >>> numbers = array("f", [1.0, 2.0])
    >>> found, _ = array_of(numbers, None)
    >>> found[1] = 5.0
    >>> numbers
    array('f', [1.0, 5.0])
    """
    if isinstance(out, np.ndarray):
        return out, dtype
    if isinstance(out, Memory):
        return _at(out, dtype)
    if isinstance(out, SupportsDLPack):
        return _at(memory_of(out), dtype)
    try:
        view = memoryview(out)  # type: ignore[arg-type]
        return np.asarray(view), dtype
    except (TypeError, ValueError, BufferError) as problem:
        raise InputError(
            explain(
                "The output is no memory that can be filled",
                received=type(out).__name__,
                rule="fill writes in place into a numpy.ndarray, what has __dlpack__ or the buffer protocol, "
                "or a fanin.sampling.address.Memory",
            )
        ) from problem


def _at(memory: Memory, dtype: str | None) -> tuple[NDArray[Any], str | None]:
    found = array_at(memory)
    if memory.dtype == found.dtype.name:
        return found, dtype
    # NumPy does not say which format its patterns have.
    if dtype is not None and dtype != memory.dtype:
        raise InputError(
            explain(
                "The output's dtype does not match",
                received=f"memory of {memory.dtype} for dtype {dtype!r}",
                rule="What is written has the dtype of the memory",
            )
        )
    return found, memory.dtype


def checked_output(out: object, dtype: str | None) -> str:
    """The name of the dtype to write, or an error.

    Raises
    ------
    InputError
        No NumPy array, items that do not hold `dtype`, read-only memory, or elements that share memory.
    """
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
    if dtype is None and stored not in SERVED:
        raise InputError(
            explain(
                "The output's dtype says no floating-point format",
                received=f"an array of {stored} without dtype",
                rule="Served are " + ", ".join(SERVED),
                remedy="For bit patterns name the format, for example dtype='bfloat16'",
            )
        )
    storage = storage_of(wanted)
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
    if _overlaps(out):
        raise InputError(
            explain(
                "Elements of the output share memory",
                received=f"an array of shape {out.shape} with strides {out.strides}",
                rule="Each element has memory of its own, or its value would depend on the order of writing",
                remedy="Pass a copy, or use generate",
            )
        )
    return wanted


def check_threads(threads: int | None) -> None:
    """Refuse numbers of threads that are not positive."""
    if threads is not None and (isinstance(threads, bool) or threads < 1):
        raise InputError(
            explain(
                "The number of threads is not positive",
                received=f"threads={threads!r}",
                rule="threads is a whole number of at least 1, or None for all processors",
            )
        )


def _overlaps(out: NDArray[np.generic]) -> bool:
    """Whether some step is shorter than what lies within it (enough, for arrays that slicing makes)."""
    if out.flags.c_contiguous or out.size == 0:
        return False
    reach = out.itemsize
    for step, extent in sorted((abs(s), n) for s, n in zip(out.strides, out.shape, strict=True) if n > 1):
        if step < reach:
            return True
        reach = step * (extent - 1) + reach
    return False
