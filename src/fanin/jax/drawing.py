"""Elements of a draw for a stream whose words may be traced."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, NamedSharding, Sharding
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.jax.engine import _arrays, _compiled, _dtype, _programs, elementwise
from fanin.records.axes import Axes
from fanin.records.draw import Constant, Draw
from fanin.sampling.cast import COMPLEX
from fanin.sampling.engine import SERVED, generate
from fanin.sampling.streams import StreamKey

__all__ = ["constant", "drawn", "laid_out"]

_NO_KEY = StreamKey(key0=0, key1=0, counter2=0, counter3=0)
"""Stands for the words, which are handed over apart."""


def drawn(
    draw: Draw,
    words: jax.Array,
    sizes: tuple[int, ...],
    roles: Axes | None,
    dtype: Any,
    sharding: Sharding | None,
) -> jax.Array:
    """Draw from the stream that four words select; the same function of them in and out of `jax.jit`.

    Draws that couple elements (orthogonal and the like) and far tails are drawn on the host: at once
    where the words are known, else by a callback when the compiled program runs.

    Raises
    ------
    InputError
        A draw or dtype that cannot be served.
    """
    kind = _dtype(dtype)
    made = elementwise(draw, kind)
    if not made:
        return _from_host(draw, words, sizes, roles, kind)
    order = tuple(range(len(sizes))) if roles is None else roles.logical_order
    _, window, reals = _arrays(made, _NO_KEY, kind)
    out: jax.Array = _compiled(_programs(made, kind), sizes, order, sharding)(words, window, reals)
    return out


def constant(draw: Constant, sizes: tuple[int, ...], dtype: Any) -> jax.Array:
    """A constant in any dtype: nothing is drawn, so whole numbers hold it too."""
    kind = jnp.dtype(dtype)
    if kind.name in SERVED:
        value = generate(draw, (), seed=0, name="constant", dtype=_dtype(kind)).view(kind)
        return jnp.full(sizes, value)
    value = np.asarray(draw.value).astype(kind)
    if value != draw.value:
        raise InputError(
            explain(
                "The dtype does not hold the constant",
                received=f"{draw.value} as {kind.name}",
                rule="In a dtype that no weight is drawn in, a constant is held exactly",
                remedy="Use a floating-point dtype",
            )
        )
    return jnp.full(sizes, value)


def _from_host(
    draw: Draw,
    words: jax.Array,
    sizes: tuple[int, ...],
    roles: Axes | None,
    kind: str,
) -> jax.Array:
    real = jnp.dtype(COMPLEX.get(kind, kind))
    storage = np.dtype(f"u{real.itemsize}")
    # Components of complex numbers, in a last dimension.
    extents = (*sizes, 2) if kind in COMPLEX else sizes

    def patterns(given: Any) -> NDArray[Any]:
        first, second, third, fourth = (int(word) for word in np.asarray(given))
        bits: NDArray[Any] = generate(
            draw,
            sizes,
            seed=first | second << 32,
            name=("jax.random key", f"{third:08x}{fourth:08x}"),
            axes=roles,
            dtype=kind,
        )
        return bits.reshape(-1).view(real).view(storage).reshape(extents)

    if not isinstance(words, jax.core.Tracer):
        return jnp.asarray(patterns(words).view(jnp.dtype(kind)).reshape(sizes))
    shape = jax.ShapeDtypeStruct(extents, storage)  # type: ignore[no-untyped-call]
    bits = jax.pure_callback(patterns, shape, words, vmap_method="sequential")
    out: jax.Array = lax.bitcast_convert_type(bits, real)
    return lax.complex(out[..., 0], out[..., 1]) if kind in COMPLEX else out


def laid_out(out: jax.Array, sharding: Sharding | None) -> jax.Array:
    """The same values over devices, in and out of `jax.jit`; as they are where that is so already."""
    if sharding is None:
        return out
    if isinstance(sharding, NamedSharding) and AxisType.Explicit in sharding.mesh.axis_types:
        # Explicit axes have types of their own; a constraint would only compare them.
        typed: jax.Array = jax.sharding.reshard(out, sharding)  # type: ignore[no-untyped-call]
        return typed
    laid: jax.Array = lax.with_sharding_constraint(out, sharding)  # type: ignore[no-untyped-call]
    return laid
