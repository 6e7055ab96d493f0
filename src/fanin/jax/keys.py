"""From a JAX key to a stream of the engine."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from fanin.errors import InputError, explain
from fanin.jax.twin import JaxOps
from fanin.sampling.streams import stream_key
from fanin.sampling.twin_words import philox

__all__ = ["stream_words"]

_OPS = JaxOps()
_DOMAIN = stream_key(0, "jax.random key", role="front end")
"""Sets streams of keys apart from hashed ones; its version makes them change with the stream version."""


def stream_words(key: Any) -> jax.Array:
    """The four words that select a stream, as a function of a key's data alone.

    ``words = Philox4x32-10(counter = key data, padded with zeros; key = a constant)``: a bijection, so
    keys that differ have streams that differ, and keys that look alike (0, 1, 2) have unrelated ones.

    Parameters
    ----------
    key
        One key of `jax.random`, typed or raw: two or four uint32 words. May be traced, and a batch of keys
        under `jax.vmap`.

    Returns
    -------
    jax.Array
        uint32, shape (4,): two Philox key words, then two high counter words.

    Raises
    ------
    InputError
        Something that is no single key.

    Examples
    --------
    >>> words = stream_words(jax.random.key(0))
    >>> words.shape, bool((words == stream_words(jax.random.PRNGKey(0))).all())
    ((4,), True)

    References
    ----------
    Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    words: jax.Array = _mixed(_data(key))
    return words


def _data(key: Any) -> jax.Array:
    """A key's own words."""
    kind = getattr(key, "dtype", None)
    if kind is not None and jnp.issubdtype(kind, jax.dtypes.prng_key):
        raw = jax.random.key_data(key) if not key.shape else None
    else:
        raw = key if kind == jnp.uint32 else None
    if raw is None or raw.shape not in ((2,), (4,)):
        what = f"{type(key).__name__} of shape {key.shape}, {kind}" if hasattr(key, "shape") else repr(key)
        raise InputError(
            explain(
                "An initializer needs one JAX key",
                received=what,
                rule="It is a typed key, or two or four uint32 words",
                remedy="Pass jax.random.key(0); use jax.vmap for a batch of keys, or give the factory "
                "seed= and name=, which need no key",
            )
        )
    return jnp.asarray(raw)


@jax.jit
def _mixed(data: jax.Array) -> jax.Array:
    zero = jnp.zeros((), jnp.uint32)
    padded = (*data, zero, zero)[:4]
    with jax.enable_x64(True):
        return jnp.stack(philox(_OPS, padded, (jnp.uint32(_DOMAIN.key0), jnp.uint32(_DOMAIN.key1))))
