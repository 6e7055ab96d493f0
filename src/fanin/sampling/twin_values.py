"""Values of a twin: from words to uniforms, normals and stored numbers, whatever a compiler fuses.

Two guards keep a compiler from contracting ``a * b + c``: the octave polynomials clear the lowest bit
of each product (as everywhere, it is part of the definition), and a product that is to be added to
afterwards has its sign flipped by data before and after, which changes no value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanin.sampling._table import NARROW, WIDE
from fanin.sampling.cast import format_of

if TYPE_CHECKING:
    from fanin.sampling.twin import Ops

__all__ = ["clamp", "encode", "flip", "normal", "scaled", "uniform"]


def uniform(ops: Ops, pattern: Any, *, wide: bool) -> Any:
    """Uniform on the open interval (-1, 1), an exact odd multiple of 2**-24 (wide: 2**-53)."""
    shift, unit = (10, 2.0**-53) if wide else (7, 2.0**-24)
    return ops.to_float((pattern >> shift) | 1, wide=wide) * unit


def normal(ops: Ops, pattern: Any, *, wide: bool) -> Any:
    """Standard normal by the inverse CDF; the steps of SPEC.md, section 4."""
    mantissa_bits, bias, top = (52, 1023, 63) if wide else (23, 127, 31)
    mask = (1 << mantissa_bits) - 1
    v = (pattern ^ (pattern >> top)) | 1
    bits = ops.pattern(ops.to_float(v, wide=wide), wide=wide)
    octave = (bits >> mantissa_bits) - bias
    r = ops.value((bits & mask) | (bias << mantissa_bits), wide=wide) - 1.5
    degree = len(WIDE if wide else NARROW) - 1
    t = ops.coefficient(degree, octave, wide=wide)
    for order in range(degree - 1, -1, -1):
        cut = ops.value(ops.pattern(t * r, wide=wide) & -2, wide=wide)
        t = ops.coefficient(order, octave, wide=wide) + cut
    return flip(ops, t, pattern, wide=wide)


def flip(ops: Ops, value: Any, sign: Any, *, wide: bool) -> Any:
    """Flip the sign where the integer `sign` is negative."""
    # The lowest integer, as a shifted one: -2**31 written out is no int32 for every library.
    lowest = -1 << (63 if wide else 31)
    return ops.value(ops.pattern(value, wide=wide) ^ (sign & lowest), wide=wide)


def scaled(ops: Ops, value: Any, scale: Any, sign: Any, *, wide: bool) -> Any:
    """``value * scale``, rounded once even where something is added to it later.

    Rounding to nearest is odd, so flipping the sign by data on both sides gives the same number, and
    no compiler can see a sum of a product across it.
    """
    return flip(ops, flip(ops, value, sign, wide=wide) * scale, sign, wide=wide)


def clamp(ops: Ops, value: Any, low: Any, high: Any) -> Any:
    """Clamp, keeping an equal value as it is (a minimum may answer either zero)."""
    value = ops.where(value < low, low, value)
    return ops.where(value > high, high, value)


def encode(ops: Ops, value: Any, dtype: str) -> Any:
    """Round float32 once to a small format, nearest and ties to even, subnormals kept.

    Nothing here overflows: recipes whose values do not fit are refused before anything is drawn.
    """
    kind = format_of(dtype)
    bits = ops.pattern(value, wide=False)
    size = bits & 0x7FFFFFFF
    dropped = 23 - kind.mantissa_bits
    rebias = (127 - kind.bias) << 23
    odd = (size >> dropped) & 1
    rounded = (size - rebias + ((1 << (dropped - 1)) - 1) + odd) >> dropped
    if rebias:
        # Subnormal numbers: the float32 adder rounds to the unit of a suitable power of two.
        exponent = 1 - kind.bias - kind.mantissa_bits + 23
        magic = ops.value(size, wide=False) + 2.0**exponent
        tiny = ops.pattern(magic, wide=False) - ((exponent + 127) << 23)
        rounded = ops.where(size < rebias + (1 << 23), tiny, rounded)
    negative = (bits >> 31) & (1 << (kind.exponent_bits + kind.mantissa_bits))
    return ops.stored(rounded | negative, dtype)
