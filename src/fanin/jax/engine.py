"""The door to sampling in JAX: arrays of a draw, traceable and shardable, with the kernel's bits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, NamedSharding, Sharding

from fanin.errors import InputError, explain
from fanin.jax.twin import JaxOps
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Constant, Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.cast import COMPLEX, SERVED
from fanin.sampling.engine import generate
from fanin.sampling.parts import parts
from fanin.sampling.recipe import Recipe, recipe
from fanin.sampling.streams import StreamKey, stream_key
from fanin.sampling.twin import Numbers, Program, block_words, numbers, program, transform
from fanin.sampling.twin_words import place
from fanin.schemes.base import Scheme
from fanin.schemes.fit import check_memory, check_rounding
from fanin.schemes.sample import draw_of, sizes_of

__all__ = ["dtype_word", "elementwise", "sample", "sampled", "traced"]

_OPS = JaxOps()
_ONE_WORD = 1 << 32
"""Tensors up to this size count their elements in one word."""


def sample(
    scheme: Scheme | Draw | str,
    shape: Sequence[int] | int,
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
        float32, bfloat16, float16, float8_e4m3fn, float8_e5m2, complex64, or float64 and complex128 where
        x64 is enabled.
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

    Warns
    -----
    PrecisionWarning
        As `fanin.sample`; in a compiled function once, when it is traced.

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
    sizes = sizes_of(shape)
    kind = _dtype(dtype)
    roles = as_axes(axes, sizes)
    stream_key(seed, name)  # refuses what is no seed or no name, for an empty weight too
    if math.prod(sizes) == 0:
        # An empty weight has no law to break.
        return jnp.zeros(sizes, kind, device=sharding)
    draw = draw_of(scheme, sizes, roles, kind)
    check_rounding(draw, kind)
    if sharding is None and not traced():
        check_memory(sizes, jnp.dtype(kind).itemsize)
    return sampled(draw, sizes, seed=seed, name=name, axes=roles, dtype=kind, sharding=sharding)


def sampled(
    draw: Draw,
    sizes: tuple[int, ...],
    *,
    seed: int,
    name: str | tuple[str, ...],
    axes: Axes | None,
    dtype: Any,
    sharding: Sharding | None,
) -> jax.Array:
    """A weight that is not empty, of a draw that is known to suit its dtype."""
    kind, roles, key = _dtype(dtype), axes, stream_key(seed, name)
    if isinstance(draw, Constant):
        value = generate(draw, (), seed=seed, name=name, dtype=kind).view(jnp.dtype(kind))
        return jnp.full(sizes, value, device=sharding)
    made = elementwise(draw, kind)
    if not made:
        bits = generate(draw, sizes, seed=seed, name=name, axes=roles, dtype=kind)
        return jnp.asarray(bits.view(jnp.dtype(kind)), device=sharding)
    order = tuple(range(len(sizes))) if roles is None else roles.logical_order
    out: jax.Array = _compiled(_programs(made, kind), sizes, order, sharding)(*_arrays(made, key, kind))
    return out


def elementwise(draw: Draw, dtype: str) -> tuple[Recipe, ...]:
    """The recipe of each component (two of a complex number); none where the host has to draw.

    Raises
    ------
    InputError
        A draw that the dtype cannot hold.
    """
    if not isinstance(draw, Uniform | Normal | TruncatedNormal):
        return ()
    real = COMPLEX.get(dtype, dtype)
    made: tuple[Recipe, ...] = (recipe(draw, real),)
    if dtype in COMPLEX:
        made = tuple(recipe(part, real) for part in parts(draw))
    return () if any(one.far is not None for one in made) else made


def _programs(made: Sequence[Recipe], dtype: str) -> tuple[Program, ...]:
    return tuple(program(one, COMPLEX.get(dtype, dtype)) for one in made)


def dtype_word(dtype: Any) -> str:
    """Name of a dtype.

    Raises
    ------
    InputError
        What is no dtype.
    """
    try:
        return str(jnp.dtype(dtype).name)
    except TypeError:
        raise InputError(
            explain("This is no dtype", received=repr(dtype), rule="It is one of " + ", ".join(SERVED))
        ) from None


def traced(*values: Any) -> bool:
    """Whether this is being compiled, mapped or only shaped: then no memory is asked for yet."""
    # A new array is traced too where a trace is in force that none of the values belongs to.
    return any(isinstance(value, jax.core.Tracer) for value in (*values, jnp.zeros(())))


def _dtype(dtype: Any) -> str:
    name = dtype_word(dtype)
    if name not in SERVED or jax.dtypes.canonicalize_dtype(name) != name:
        raise InputError(
            explain(
                "Weights cannot be drawn in this dtype",
                received=name,
                rule="It is one of " + ", ".join(SERVED) + "; float64 and complex128 need jax_enable_x64",
                remedy="Use float32, or jax.config.update('jax_enable_x64', True)",
            )
        )
    return name


def _arrays(made: Sequence[Recipe], key: StreamKey, dtype: str) -> tuple[np.ndarray[Any, Any], ...]:
    """The numbers of a draw as run-time arguments, so that one compilation serves all names and scales."""
    given = [numbers(one, key) for one in made]
    real = np.float64 if COMPLEX.get(dtype, dtype) == "float64" else np.float32
    return (
        np.array(given[0].key, np.uint32),
        # A whole 2**32 words (2**64) are a plain normal, so a width fits. Components share their window.
        np.array([*given[0].start, *given[0].width], np.uint32),
        np.array([[one.scale, one.shift, one.low, one.high] for one in given], real),
    )


@lru_cache(maxsize=1024)
def _compiled(
    what: tuple[Program, ...], shape: tuple[int, ...], order: tuple[int, ...], sharding: Sharding | None
) -> Any:
    def drawn(key: jax.Array, window: jax.Array, reals: jax.Array) -> jax.Array:
        given = [
            Numbers(
                key=tuple(key),
                start=(window[0], window[1]),
                width=(window[2], window[3]),
                scale=one[0],
                shift=one[1],
                low=one[2],
                high=one[3],
            )
            for one in reals
        ]
        # Inside there are products of 64 bits, whatever the user's arrays are.
        with jax.enable_x64(True):
            return _elements(what, given, shape, order)

    if sharding is None:
        return jax.jit(drawn)
    if isinstance(sharding, NamedSharding) and AxisType.Explicit in sharding.mesh.axis_types:
        # Explicit axes would have every operation whole on each device; the compiler cuts better.
        return jax.jit(jax.sharding.auto_axes(drawn, out_sharding=sharding), out_shardings=sharding)
    return jax.jit(drawn, out_shardings=sharding)


def _elements(
    what: Sequence[Program], given: Sequence[Numbers], shape: tuple[int, ...], order: tuple[int, ...]
) -> jax.Array:
    """All elements, each computed alone at its stored place.

    Sharing a block's four words among neighbours would be no faster (XLA fuses the generator into
    each use) and would move data where a shard cuts a block. The two components of a complex number are
    neighbours in one block.
    """
    places = [lax.broadcasted_iota(jnp.uint32, shape, d) for d in range(len(shape))]
    high, low = _index(places, shape, order)
    if len(what) == 2:
        high, low = (high << jnp.uint32(1)) | (low >> jnp.uint32(31)), low << jnp.uint32(1)
    block = high >> jnp.uint32(2), (low >> jnp.uint32(2)) | (high << jnp.uint32(30))
    groups = block_words(_OPS, what[0], given[0], block)
    found = []
    for component, (one, its) in enumerate(zip(what, given, strict=True)):
        lane = (low & jnp.uint32(3)) | jnp.uint32(component)
        first, second = (g if g is None else _picked(g, lane) for g in groups)
        found.append(transform(_OPS, one, its, first, second))
    out: jax.Array = found[0] if len(found) == 1 else lax.complex(*found)
    return out


def _index(
    places: Sequence[jax.Array], shape: tuple[int, ...], order: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """High and low word of the row-major index, in logical order, of places in a stored tensor."""
    high = low = jnp.uint32(0)
    stride = 1
    narrow = math.prod(shape) <= _ONE_WORD
    for d in reversed(order):
        if narrow:
            low = low + places[d] * jnp.uint32(stride % _ONE_WORD)
        else:
            top, bottom = place(_OPS, places[d], stride)
            low, carry = _OPS.add(low, bottom)
            high = high + top + carry
        stride *= shape[d]
    return high, low


def _picked(parts: tuple[Any, ...], lane: jax.Array) -> jax.Array:
    odd, upper = (lane & jnp.uint32(1)) != 0, lane > jnp.uint32(1)
    low, high = jnp.where(odd, parts[1], parts[0]), jnp.where(odd, parts[3], parts[2])
    return jnp.where(upper, high, low)
