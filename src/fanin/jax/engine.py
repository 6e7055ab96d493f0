"""The door to sampling in JAX: arrays of a draw, traceable and shardable, with the kernel's bits."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Sharding

from fanin.errors import InputError, explain
from fanin.jax.twin import JaxOps
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Constant, Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.cast import DTYPES
from fanin.sampling.engine import generate
from fanin.sampling.recipe import Recipe, recipe
from fanin.sampling.streams import StreamKey, stream_key
from fanin.sampling.twin import Numbers, Program, block_words, numbers, program, transform
from fanin.sampling.twin_words import place
from fanin.schemes import registry
from fanin.schemes.base import Scheme

__all__ = ["sample"]

_OPS = JaxOps()
_ONE_WORD = 1 << 32
"""Tensors up to this size count their elements in one word."""


def sample(
    scheme: Scheme | Draw | str,
    shape: Sequence[int],
    *,
    seed: int,
    name: str | tuple[str, ...],
    axes: Axes | str | Iterable[str] | None = None,
    dtype: Any = jnp.float32,
    sharding: Sharding | None = None,
) -> jax.Array:
    """Draw one weight as a JAX array, bit for bit what `fanin.sample` draws.

    ``x[i] = f(version, seed, name, i)``: an elementwise function of each element's index, so under
    ``jax.jit`` every device computes its own shard and nothing else, and no sharding changes a bit.

    Parameters
    ----------
    scheme
        A scheme, the name of one, or a draw with all its numbers.
    shape
        Global shape of the weight.
    seed, name
        Select the stream. They are hashed on the host, so they are no traced values.
    axes
        Roles of the dimensions; None means ``out in receptive ...``.
    dtype
        float32, bfloat16, float16, float8_e4m3fn, float8_e5m2, or float64 where x64 is enabled.
    sharding
        How the result is laid out over devices; None leaves it to JAX.

    Returns
    -------
    jax.Array
        An array of that shape and dtype.

    Raises
    ------
    InputError
        A draw, shape, name or dtype that cannot be served.

    Notes
    -----
    Draws that couple elements (orthogonal and the like), and truncated normals with both bounds beyond seven
    sigma, are drawn on the host and handed over.

    Examples
    --------
    >>> import jax, fanin
    >>> draw = jax.jit(lambda: sample("he_normal", (8, 4), seed=0, name="fc1.weight"))
    >>> bool((draw() == fanin.sample("he_normal", (8, 4), seed=0, name="fc1.weight")).all())
    True
    """
    sizes = tuple(int(n) for n in shape)
    kind = _dtype(dtype)
    roles = as_axes(axes, sizes)
    key = stream_key(seed, name)
    draw = _draw(scheme, sizes, roles)
    if math.prod(sizes) == 0 or isinstance(draw, Constant):
        value = generate(draw, (), seed=seed, name=name, dtype=kind) if isinstance(draw, Constant) else 0
        return _handed(
            np.full(sizes, np.asarray(value).view(kind) if math.prod(sizes) else 0, kind), sharding
        )
    made = recipe(draw, kind) if isinstance(draw, Uniform | Normal | TruncatedNormal) else None
    if made is None or made.far is not None:
        bits = generate(draw, sizes, seed=seed, name=name, axes=roles, dtype=kind)
        return _handed(bits.view(jnp.dtype(kind)), sharding)
    order = tuple(range(len(sizes))) if roles is None else roles.logical_order
    out: jax.Array = _compiled(program(made, kind), sizes, order, sharding)(*_arrays(made, key, kind))
    return out


def _draw(scheme: Scheme | Draw | str, sizes: tuple[int, ...], roles: Axes | None) -> Draw:
    if isinstance(scheme, str):
        scheme = registry.get(scheme)
    return scheme.draw(sizes, roles) if isinstance(scheme, Scheme) else scheme


def _dtype(dtype: Any) -> str:
    name = str(jnp.dtype(dtype).name)
    if name not in DTYPES or jax.dtypes.canonicalize_dtype(name) != name:
        raise InputError(
            explain(
                "Weights cannot be drawn in this dtype",
                received=name,
                rule="It is one of " + ", ".join(DTYPES) + "; float64 needs jax_enable_x64",
                remedy="Use float32, or jax.config.update('jax_enable_x64', True)",
            )
        )
    return name


def _handed(values: np.ndarray[Any, Any], sharding: Sharding | None) -> jax.Array:
    return jnp.asarray(values) if sharding is None else jax.device_put(values, sharding)


def _arrays(made: Recipe, key: StreamKey, dtype: str) -> tuple[np.ndarray[Any, Any], ...]:
    """The numbers of a draw as run-time arguments, so that one compilation serves all names and scales."""
    given = numbers(made, key)
    real = np.float64 if dtype == "float64" else np.float32
    return (
        np.array(given.key, np.uint32),
        # A whole 2**32 words (2**64) are a plain normal, so a width fits.
        np.array([*given.start, *given.width], np.uint32),
        np.array([given.scale, given.shift, given.low, given.high], real),
    )


@lru_cache(maxsize=1024)
def _compiled(
    what: Program, shape: tuple[int, ...], order: tuple[int, ...], sharding: Sharding | None
) -> Any:
    def drawn(key: jax.Array, window: jax.Array, reals: jax.Array) -> jax.Array:
        given = Numbers(
            key=tuple(key),
            start=(window[0], window[1]),
            width=(window[2], window[3]),
            scale=reals[0],
            shift=reals[1],
            low=reals[2],
            high=reals[3],
        )
        # Draws from two words need float64 inside, whatever the user's arrays are.
        with jax.enable_x64(True) if what.wide else contextlib.nullcontext():
            return _elements(what, given, shape, order)

    return jax.jit(drawn) if sharding is None else jax.jit(drawn, out_shardings=sharding)


def _elements(what: Program, given: Numbers, shape: tuple[int, ...], order: tuple[int, ...]) -> jax.Array:
    """All elements, computed at their stored places."""
    last = order[-1] if order else 0
    if order and shape[last] % 4 == 0:
        # Four neighbours make a block, which one run of the generator serves.
        index = _index(tuple(n // 4 if d == last else n for d, n in enumerate(shape)), order)
        groups = block_words(_OPS, what, given, index)
        first, second = (g if g is None else jnp.stack(g, last + 1).reshape(shape) for g in groups)
    else:
        high, low = _index(shape, order)
        block = high >> jnp.uint32(2), (low >> jnp.uint32(2)) | (high << jnp.uint32(30))
        groups = block_words(_OPS, what, given, block)
        first, second = (g if g is None else _picked(g, low & jnp.uint32(3)) for g in groups)
    out: jax.Array = transform(_OPS, what, given, first, second)
    return out


def _index(grid: tuple[int, ...], order: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """High and low word of each place's row-major index in logical order."""
    high = low = jnp.zeros(grid, jnp.uint32)
    stride = 1
    narrow = math.prod(grid) <= _ONE_WORD
    for d in reversed(order):
        here = lax.broadcasted_iota(jnp.uint32, grid, d)
        if narrow:
            low = low + here * jnp.uint32(stride % _ONE_WORD)
        else:
            top, bottom = place(_OPS, here, stride)
            low, carry = _OPS.add(low, bottom)
            high = high + top + carry
        stride *= grid[d]
    return high, low


def _picked(parts: tuple[Any, ...], lane: jax.Array) -> jax.Array:
    odd, upper = (lane & jnp.uint32(1)) != 0, lane > jnp.uint32(1)
    low, high = jnp.where(odd, parts[1], parts[0]), jnp.where(odd, parts[3], parts[2])
    return jnp.where(upper, high, low)
