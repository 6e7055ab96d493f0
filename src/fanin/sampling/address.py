"""Memory by its address: what an output is where no array says it."""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.sampling.cast import SERVED, storage_of

__all__ = ["Memory", "array_at"]

_END = 1 << 63
_PATTERNS = ("uint16", "uint8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Writable memory of this process, for which the caller vouches.

    Parameters
    ----------
    address
        Of the element whose indices are all 0.
    shape
        Extents.
    dtype
        A name of `fanin.sampling.engine.SERVED`; or uint16 or uint8, patterns of a format named later.
    strides
        Bytes from neighbour to neighbour; None where elements lie one after the other in row-major order.
    owner
        Is kept alive as long as the memory is in use.

    Examples
    --------
    >>> import ctypes
    >>> from fanin.records.draw import Normal
    >>> from fanin.sampling.engine import fill
    >>> buffer = (ctypes.c_uint16 * 6)()
    >>> memory = Memory(address=ctypes.addressof(buffer), shape=(2, 3), dtype="bfloat16", owner=buffer)
    >>> fill(memory, Normal(std=1.0), seed=0, name="w")
    >>> any(buffer)
    True
    """

    address: int
    shape: tuple[int, ...]
    dtype: str
    strides: tuple[int, ...] | None = None
    owner: object = None


def array_at(memory: Memory) -> NDArray[Any]:
    """A NumPy array of the memory itself, in the dtype's storage.

    Raises
    ------
    InputError
        Numbers that describe no memory, or an address or strides that do not fit the items.

    Examples
    --------
    >>> numbers = np.arange(4.0)
    >>> array_at(Memory(address=numbers.ctypes.data, shape=(4,), dtype="float64", owner=numbers)).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    stored = np.dtype(memory.dtype if memory.dtype in _PATTERNS else storage_of(memory.dtype))
    shape = _whole(memory.shape, "shape")
    if any(n < 0 for n in shape):
        raise _described("The shape of the memory has a negative extent", f"shape={memory.shape!r}")
    strides = _packed(shape, stored.itemsize) if memory.strides is None else _whole(memory.strides, "strides")
    if len(strides) != len(shape):
        raise _described(
            "The strides of the memory do not fit its shape", f"strides={strides} for shape {shape}"
        )
    (address,) = _whole((memory.address,), "address")
    if 0 in shape:
        return np.empty(shape, stored)
    reaches = [step * (extent - 1) for step, extent in zip(strides, shape, strict=True)]
    first = address + sum(min(reach, 0) for reach in reaches)
    end = address + sum(max(reach, 0) for reach in reaches) + stored.itemsize
    if not 0 < first < end < _END:
        raise _described("There is no memory at the address", f"bytes {first} to {end}")
    moving = [step for step, extent in zip(strides, shape, strict=True) if extent > 1]
    # NumPy aligns complex numbers to their components.
    if any(number % stored.alignment for number in (address, *moving)):
        raise InputError(
            explain(
                "The memory of the output is misaligned",
                received=f"address {address:#x}, strides {strides} for {memory.dtype}",
                rule=f"Address and strides are multiples of {stored.alignment} bytes",
            )
        )
    block: Any = (ctypes.c_char * (end - first)).from_address(first)
    # Arrays hold the block, so the block holds what must outlive them.
    block.owner = memory.owner
    return np.ndarray(shape, stored, buffer=block, offset=address - first, strides=strides)


def _packed(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    return tuple(itemsize * math.prod(shape[k + 1 :]) for k in range(len(shape)))


def _whole(numbers: Iterable[Any], what: str) -> tuple[int, ...]:
    try:
        return tuple(operator.index(n) for n in numbers)
    except TypeError:
        raise _described(f"The {what} of the memory is not in whole numbers", repr(numbers)) from None


def _described(what: str, received: str) -> InputError:
    return InputError(
        explain(
            what,
            received=received,
            rule="Memory is an address, extents from 0 on, one stride in bytes a dimension, and one of "
            + ", ".join(SERVED),
        )
    )
