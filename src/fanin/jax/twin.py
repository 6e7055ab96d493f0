"""What a twin asks of JAX. Products have 64 bits, so all of it runs under ``jax.enable_x64``."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from fanin.sampling.twin import TABLES

__all__ = ["JaxOps"]


class JaxOps:
    """`fanin.sampling.twin.Ops` for traced and for concrete arrays."""

    def word(self, value: int) -> Any:
        """A constant word."""
        return jnp.uint32(value)

    def multiply(self, word: Any, factor: Any) -> tuple[Any, Any]:
        """High and low word of a product."""
        # Not lax.mulhi, which JAX 0.10 cannot compile for more than one device.
        product = jnp.asarray(word, jnp.uint64) * jnp.asarray(factor, jnp.uint64)
        return (product >> 32).astype(jnp.uint32), product.astype(jnp.uint32)

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
