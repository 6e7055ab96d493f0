"""Round float32 once, to nearest with ties to even, to the small formats, as bit patterns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import nearest

__all__ = ["COMPLEX", "DTYPES", "SERVED", "Format", "decode", "encode", "format_of", "rounded", "storage_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A floating-point format: its storage and its numbers.

    `finite_only` formats have no infinity: what overflows becomes NaN.
    """

    storage: str
    exponent_bits: int
    mantissa_bits: int
    finite_only: bool = False

    @property
    def bias(self) -> int:
        """Offset of the stored exponent."""
        return int(2 ** (self.exponent_bits - 1)) - 1

    @property
    def largest(self) -> float:
        """The largest finite number."""
        if self.finite_only:
            return float((2.0 - 2.0 ** (1 - self.mantissa_bits)) * 2.0 ** (self.bias + 1))
        return float((2.0 - 2.0**-self.mantissa_bits) * 2.0**self.bias)


_FORMATS = {
    "float32": Format(storage="float32", exponent_bits=8, mantissa_bits=23),
    "float64": Format(storage="float64", exponent_bits=11, mantissa_bits=52),
    "float16": Format(storage="float16", exponent_bits=5, mantissa_bits=10),
    "bfloat16": Format(storage="uint16", exponent_bits=8, mantissa_bits=7),
    "float8_e4m3fn": Format(storage="uint8", exponent_bits=4, mantissa_bits=3, finite_only=True),
    "float8_e5m2": Format(storage="uint8", exponent_bits=5, mantissa_bits=2),
}

DTYPES: tuple[str, ...] = tuple(_FORMATS)
"""Names of the formats of real numbers."""

COMPLEX: Mapping[str, str] = MappingProxyType({"complex64": "float32", "complex128": "float64"})
"""Complex dtypes, and the format of their components."""

SERVED: tuple[str, ...] = (*DTYPES, *COMPLEX)
"""Names of all dtypes that a weight is drawn in."""


def format_of(dtype: str) -> Format:
    """The format of a dtype name, of a complex one that of its components, or an error with the nearest."""
    real = COMPLEX.get(dtype, dtype)
    if real not in _FORMATS:
        raise nearest(str(dtype), SERVED, kind="dtype")
    return _FORMATS[real]


def storage_of(dtype: str) -> str:
    """NumPy's name for what a dtype's items are stored as.

    Examples
    --------
    >>> storage_of("bfloat16"), storage_of("complex64")
    ('uint16', 'complex64')
    """
    return dtype if dtype in COMPLEX else format_of(dtype).storage


def encode(values: NDArray[np.float32], dtype: str) -> NDArray[np.generic]:
    """Round float32 values once to `dtype`.

    Returns
    -------
    NDArray
        The values for float32, float64 and float16; uint16 or uint8 bit patterns otherwise.

    Examples
    --------
    >>> encode(np.array([1.0, 0.1], np.float32), "bfloat16").tolist()
    [16256, 15821]
    """
    kind = format_of(dtype)
    if dtype in ("float32", "float64"):
        return values.astype(dtype, copy=False)
    return _round(values, kind).astype(f"u{np.dtype(kind.storage).itemsize}").view(kind.storage)


def rounded(values: NDArray[np.float64], dtype: str) -> NDArray[Any]:
    """Round float64 values to what a dtype of `SERVED` stores; the small formats go through float32."""
    real = COMPLEX.get(dtype, dtype)
    return values if real == "float64" else encode(values.astype(np.float32), real)


def decode(patterns: NDArray[np.generic], dtype: str) -> NDArray[np.float64]:
    """The numbers behind bit patterns (or values), in float64, exactly."""
    kind = format_of(dtype)
    if kind.storage.startswith("float"):
        return patterns.astype(np.float64)
    bits = patterns.astype(np.int64)
    fraction = bits & ((1 << kind.mantissa_bits) - 1)
    exponent = (bits >> kind.mantissa_bits) & ((1 << kind.exponent_bits) - 1)
    normal = exponent > 0
    size = np.ldexp(
        (fraction + (normal << kind.mantissa_bits)).astype(np.float64),
        np.maximum(exponent, 1) - kind.bias - kind.mantissa_bits,
    )
    top = exponent == (1 << kind.exponent_bits) - 1
    if kind.finite_only:
        size = np.where(top & (fraction == (1 << kind.mantissa_bits) - 1), np.nan, size)
    else:
        size = np.where(top, np.where(fraction == 0, np.inf, np.nan), size)
    sign = bits >> (kind.exponent_bits + kind.mantissa_bits)
    return np.where(sign == 1, -size, size)


def _round(values: NDArray[np.float32], kind: Format) -> NDArray[np.uint32]:
    bits = np.ascontiguousarray(values).view(np.uint32)
    size = bits & np.uint32(0x7FFFFFFF)
    sign = (bits >> np.uint32(31)) << np.uint32(kind.exponent_bits + kind.mantissa_bits)
    dropped = 23 - kind.mantissa_bits
    # Normal numbers: rebias the exponent, then add just under half a unit, plus one when odd.
    odd = (size >> np.uint32(dropped)) & np.uint32(1)
    rebias = np.uint32((127 - kind.bias) << 23)
    rounded = (size - rebias + np.uint32((1 << (dropped - 1)) - 1) + odd) >> np.uint32(dropped)
    # Subnormal numbers: adding a power of two whose unit is the format's smallest step makes the
    # float32 adder round; what it appends to that power's pattern is the result.
    magic = np.float32(2.0 ** (1 - kind.bias - kind.mantissa_bits + 23))
    smallest = np.uint32((127 - kind.bias + 1) << 23)
    with np.errstate(over="ignore", invalid="ignore"):
        tiny = (size.view(np.float32) + magic).view(np.uint32) - magic.view(np.uint32)
    if kind.bias != 127:
        rounded = np.where(size < smallest, tiny, rounded)
    all_ones = (1 << (kind.exponent_bits + kind.mantissa_bits)) - 1
    infinity = all_ones if kind.finite_only else all_ones - ((1 << kind.mantissa_bits) - 1)
    nan = all_ones if kind.finite_only else infinity | 1 << (kind.mantissa_bits - 1)
    exceeds = (size >= smallest) & (rounded > np.uint32(infinity))
    rounded = np.where(exceeds | (size == np.uint32(0x7F800000)), np.uint32(infinity), rounded)
    rounded = np.where(size > np.uint32(0x7F800000), np.uint32(nan), rounded)
    return rounded | sign
