"""Memory of other libraries by DLPack, seen by NumPy without a copy, whether or not NumPy knows its dtype."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from fanin.errors import InputError, explain
from fanin.sampling.address import Memory

__all__ = ["SupportsDLPack", "memory_of"]

_CPU = MappingProxyType({1: "CPU", 3: "CUDA host", 11: "ROCm host"})
"""Devices of dlpack.h whose memory the processor writes."""
_DTYPES = MappingProxyType(
    {
        (2, 32): "float32",
        (2, 64): "float64",
        (2, 16): "float16",
        (4, 16): "bfloat16",
        (10, 8): "float8_e4m3fn",
        (12, 8): "float8_e5m2",
        (5, 64): "complex64",
        (5, 128): "complex128",
        (1, 16): "uint16",
        (1, 8): "uint8",
    }
)
"""Type codes and bits of dlpack.h; whole numbers without sign hold patterns whose format the caller names."""
_MAJOR = 1
"""Version of dlpack.h from which an exporter says whether memory is read-only."""
_READ_ONLY, _COPIED = 1, 2


@runtime_checkable
class SupportsDLPack(Protocol):
    """What hands out its memory by DLPack."""

    def __dlpack__(self, *, stream: Any = None) -> Any:
        """A capsule of the array's memory."""

    def __dlpack_device__(self) -> tuple[int, int]:
        """Kind and number of the device."""


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("number", ctypes.c_int32)]


class _Type(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


_IS_VALID = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_GET_POINTER = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def memory_of(source: SupportsDLPack) -> Memory:
    """The memory that an object exports by DLPack, which the result keeps alive.

    The capsule is borrowed, never taken: whoever made it frees what belongs to it when the result goes.

    Raises
    ------
    InputError
        Memory of another device, read-only memory, a copy instead of the memory, a dtype that holds no
        weights, or an exporter that refuses.

    Examples
    --------
    >>> import numpy as np
    >>> source = np.zeros((2, 3), np.float32)
    >>> found = memory_of(source)
    >>> found.address == source.ctypes.data, found.shape, found.dtype
    (True, (2, 3), 'float32')
    """
    kind = _exported(source.__dlpack_device__, source)[0]
    if kind not in _CPU:
        raise InputError(
            explain(
                "The output lies on another device",
                received=f"{_name(source)} on DLPack device {kind}",
                rule="fill writes memory of the CPU",
                remedy="Fill an array of the host and copy it, or use fanin.torch or fanin.jax",
            )
        )
    capsule = _exported(lambda: _capsule(source), source)
    if _IS_VALID(capsule, b"dltensor_versioned"):
        managed = _Versioned.from_address(_GET_POINTER(capsule, b"dltensor_versioned"))
        if managed.major != _MAJOR:
            raise _refused(source, f"its DLPack version is {managed.major}.{managed.minor}")
        if managed.flags & _READ_ONLY:
            raise _read_only(source)
        if managed.flags & _COPIED:
            raise _refused(source, "it exports a copy of its memory")
        tensor = managed.tensor
    elif _IS_VALID(capsule, b"dltensor"):
        # Old capsules do not say whether their memory may be written.
        if _immutable(source):
            raise _read_only(source)
        tensor = _Tensor.from_address(_GET_POINTER(capsule, b"dltensor"))
    else:
        raise _refused(source, "its __dlpack__ gives no DLPack capsule")
    if tensor.device.kind not in _CPU:
        raise _refused(source, f"it exports memory of DLPack device {tensor.device.kind}")
    named = _DTYPES.get((tensor.dtype.code, tensor.dtype.bits)) if tensor.dtype.lanes == 1 else None
    if named is None:
        parts = f"code {tensor.dtype.code}, {tensor.dtype.bits} bits, {tensor.dtype.lanes} lanes"
        raise _refused(source, f"its items (DLPack {parts}) hold no weights")
    bytes_each = tensor.dtype.bits // 8
    ndim = tensor.ndim
    strides = tuple(n * bytes_each for n in tensor.strides[:ndim]) if tensor.strides else None
    return Memory(
        address=(tensor.data or 0) + tensor.byte_offset,
        shape=tuple(tensor.shape[:ndim]),
        dtype=named,
        strides=strides,
        owner=(source, capsule),
    )


def _capsule(source: Any) -> Any:
    for options in ({"max_version": (_MAJOR, 0), "copy": False}, {"max_version": (_MAJOR, 0)}, {}):
        try:
            return source.__dlpack__(**options)
        except TypeError:
            # An exporter older than these options.
            if not options:
                raise
    return None


def _exported(ask: Callable[[], Any], source: object) -> Any:
    try:
        return ask()
    except (BufferError, RuntimeError, TypeError, ValueError, AttributeError) as problem:
        text = str(problem).strip()
        read_only = "readonly" in text.replace("-", "").lower()
        raise (_read_only(source) if read_only else _refused(source, f"it says: {text}")) from problem


def _immutable(source: object) -> bool:
    """Whether an object shows otherwise that its memory must not be written."""
    try:
        return memoryview(source).readonly  # type: ignore[arg-type]
    except (TypeError, BufferError, ValueError):
        # Arrays that functions never change have no items to set.
        return not hasattr(source, "__setitem__") or type(source).__module__.partition(".")[0] in _FROZEN


_FROZEN = frozenset({"jax", "jaxlib"})
"""Libraries whose arrays have `__setitem__` only to raise."""


def _read_only(source: object) -> InputError:
    return InputError(
        explain(
            "The output is read-only",
            received=_name(source),
            rule="fill writes in place",
            remedy="Pass writable memory, or use generate",
        )
    )


def _refused(source: object, why: str) -> InputError:
    return InputError(
        explain(
            "The output's memory cannot be had by DLPack",
            received=f"{_name(source)}; {why}",
            rule="An output is dense writable memory of the CPU, in one of the served dtypes",
        )
    )


def _name(source: object) -> str:
    return f"{type(source).__module__}.{type(source).__qualname__}"
