"""What a twin asks of JAX: words in uint32, and 64-bit numbers where `jax.enable_x64` is on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fanin.sampling.twin import TABLES

__all__ = ["JaxOps", "multiply_high"]


def multiply_high(word: Any, factor: Any) -> jax.Array:
    """High word of a product of two words, by 16-bit limbs: for a JAX without `lax.mulhi`."""
    low, high = jnp.uint32(0xFFFF), jnp.uint32(16)
    cross = (word & low) * (factor >> high)
    middle = (((word & low) * (factor & low)) >> high) + (cross & low) + (word >> high) * (factor & low)
    product: jax.Array = (word >> high) * (factor >> high) + (cross >> high) + (middle >> high)
    return product


_high: Callable[[Any, Any], jax.Array] = getattr(lax, "mulhi", multiply_high)


class JaxOps:
    """`fanin.sampling.twin.Ops` for traced and for concrete arrays."""

    def word(self, value: int) -> Any:
        """A constant word."""
        return jnp.uint32(value)

    def multiply(self, word: Any, factor: Any) -> tuple[Any, Any]:
        """High and low word of a product."""
        word, factor = jnp.broadcast_arrays(jnp.asarray(word), jnp.asarray(factor))
        return _high(word, factor), word * factor

    def add(self, word: Any, other: Any) -> tuple[Any, Any]:
        """Sum and carry."""
        total = word + other
        return total, (total < other).astype(jnp.uint32)

    def signed(self, word: Any) -> Any:
        """The same bits as int32."""
        return lax.bitcast_convert_type(word, jnp.int32)

    def joined(self, high: Any, low: Any) -> Any:
        """Two words as int64."""
        return (self.signed(high).astype(jnp.int64) << 32) | low.astype(jnp.int64)

    def to_float(self, integer: Any, *, wide: bool) -> Any:
        """The nearest float, ties to even."""
        return integer.astype(jnp.float64 if wide else jnp.float32)

    def pattern(self, value: Any, *, wide: bool) -> Any:
        """A float's bits."""
        return lax.bitcast_convert_type(value, jnp.int64 if wide else jnp.int32)

    def value(self, pattern: Any, *, wide: bool) -> Any:
        """The float with these bits."""
        return lax.bitcast_convert_type(pattern, jnp.float64 if wide else jnp.float32)

    def coefficient(self, order: int, octave: Any, *, wide: bool) -> Any:
        """A row of the tables, looked up."""
        return jnp.asarray(TABLES[wide][order]).at[octave].get(mode="promise_in_bounds")

    def narrowed(self, value: Any) -> Any:
        """Float64 to float32."""
        return value.astype(jnp.float32)

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        """Choose by element."""
        return jnp.where(condition, yes, no)

    def stored(self, pattern: Any, dtype: str) -> Any:
        """The array with these bits."""
        kind = jnp.dtype(dtype)
        storage = np.dtype(f"u{kind.itemsize}")
        return lax.bitcast_convert_type(pattern.astype(storage), kind)
