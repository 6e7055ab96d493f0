"""Normal tail masses in exact integer and decimal arithmetic.

The bounds of a truncated draw decide which words its elements use, so their masses must be the
same on every machine. libm's erfc differs by an ulp between platforms; whole numbers do not.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal
from functools import lru_cache

__all__ = ["far_ratio", "lower_mass"]

_GUARD = 64
_DIGITS = Context(prec=60, Emin=-999999999, Emax=999999999)
_LEVELS = 400


@lru_cache(maxsize=256)
def lower_mass(x: float, bits: int) -> int:
    """``Phi(x) * 2**bits``, rounded to the nearest whole number.

    Law: ``Phi(x) = 1/2 + phi(x) (x + x**3/3 + x**5/(3*5) + ...)``; all terms have one sign, and the
    working precision covers the cancellation against 1/2 in the tails.
    """
    if x == 0.0:
        return 1 << (bits - 1)
    if abs(x) > math.sqrt(2.0 * (bits + 2) * math.log(2.0)):
        # Q(x) < exp(-x**2 / 2) / 2, less than half a unit of 2**-bits.
        return 0 if x < 0 else 1 << bits
    tail = _tail(abs(x), bits)
    return tail if x < 0 else (1 << bits) - tail


def _tail(x: float, bits: int) -> int:
    precision = 2 * bits + 4 * _GUARD
    one = 1 << precision
    numerator, denominator = x.as_integer_ratio()
    fixed = (numerator << precision) // denominator
    square = (fixed * fixed) >> precision
    term = total = fixed
    odd = 3
    while term:
        term = ((term * square) >> precision) // odd
        total += term
        odd += 2
    density = _exp_negative(square >> 1, precision) * one // math.isqrt(2 * _pi(precision) << precision)
    tail = (one >> 1) - ((density * total) >> precision)
    shift = precision - bits
    return (tail + (1 << (shift - 1))) >> shift


def _exp_negative(x: int, precision: int) -> int:
    """exp(-x) in fixed point, as 1 / exp(x), whose series has one sign."""
    term = total = 1 << precision
    k = 1
    while term:
        term = ((term * x) >> precision) // k
        total += term
        k += 1
    return (1 << (2 * precision)) // total


def _pi(precision: int) -> int:
    """Machin's formula: pi = 16 arctan(1/5) - 4 arctan(1/239)."""

    def arctan_inverse(n: int) -> int:
        power = total = (1 << (precision + _GUARD)) // n
        k, sign = 3, -1
        while power:
            power //= n * n
            total += sign * (power // k)
            k, sign = k + 2, -sign
        return total

    return (16 * arctan_inverse(5) - 4 * arctan_inverse(239)) >> _GUARD


@lru_cache(maxsize=256)
def far_ratio(near: float, far: float) -> tuple[float, float]:
    """``Q(far) / Q(near)`` and its complement to one, for 0 < near < far, each rounded once.

    Law: ``Q(x) = phi(x) M(x)`` with Mills' ratio ``M(x) = 1/(x + 1/(x + 2/(x + 3/(x + ...))))``.
    """
    if math.isinf(far):
        return 0.0, 1.0
    c = _DIGITS
    a, b = Decimal(near), Decimal(far)
    exponent = c.divide(c.multiply(c.subtract(b, a), c.add(b, a)), Decimal(2))
    if exponent > 1000:
        return 0.0, 1.0
    ratio = c.multiply(c.exp(c.minus(exponent)), c.divide(_mills(b), _mills(a)))
    return float(ratio), float(c.subtract(Decimal(1), ratio))


def _mills(x: Decimal) -> Decimal:
    c = _DIGITS
    level = x
    for k in range(_LEVELS, 0, -1):
        level = c.add(x, c.divide(Decimal(k), level))
    return c.divide(Decimal(1), level)
