"""Where the values of a Keras initializer come from: its seed, its name, and how often it was called.

Keras tells an initializer the shape of a variable and nothing else. So an instance counts its calls,
and hands the count on to its copies: layers such as MultiHeadAttention copy one initializer, through
its config, for several kernels.
"""

from __future__ import annotations

import contextlib
import operator
import random
from typing import Any

import keras
import numpy as np

from fanin.errors import InputError, explain

__all__ = ["Calls", "Config", "checked_seed", "seed_of", "stream_name"]


class Calls:
    """How many values an initializer and its copies have given."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def next(self) -> int:
        """Count one call; the first is number 1."""
        self.count += 1
        return self.count


class Config(dict[str, Any]):
    """A plain config that remembers, within this process, whose it is; JSON forgets it."""

    __slots__ = ("calls",)

    def __init__(self, values: dict[str, Any], calls: Calls) -> None:
        super().__init__(values)
        self.calls = calls


def checked_seed(seed: Any) -> Any:
    """A seed as Keras has them: a whole number, a SeedGenerator (or its config), or None for a random one."""
    if isinstance(seed, dict):
        seed = keras.saving.deserialize_keras_object(seed)
    if isinstance(seed, keras.random.SeedGenerator):
        return seed
    if seed is None:
        # Python's generator, as in Keras: keras.utils.set_random_seed governs it.
        return random.getrandbits(63)
    if not isinstance(seed, bool):
        with contextlib.suppress(TypeError):
            return operator.index(seed)
    raise InputError(
        explain(
            "The seed of an initializer is no seed",
            received=repr(seed),
            rule="It is a whole number, a keras.random.SeedGenerator, or None for a random one",
        )
    )


def seed_of(source: Any) -> int:
    """The seed of one call; a generator moves on."""
    if not isinstance(source, keras.random.SeedGenerator):
        return int(source)
    state = source.next()
    try:
        low, high = (int(word) & 0xFFFFFFFF for word in np.asarray(keras.ops.convert_to_numpy(state)))
    except Exception as error:
        # Each backend has an error of its own for a value that is being traced.
        raise InputError(
            explain(
                "A SeedGenerator cannot be asked inside a compiled function",
                received=type(error).__name__,
                rule="Weights are drawn on the host, from a seed that is known",
                remedy="Build the model outside of the function, or give a whole number",
            )
        ) from error
    return low | high << 32


def stream_name(
    given: tuple[str, ...] | None, scheme: str, shape: tuple[int, ...], call: int
) -> tuple[str, ...]:
    """Name of the stream of one call.

    The name that was given, or scheme and shape; from the second call on with the number of the call.
    Scheme and shape are in it so that one seed in several initializers is not one stream.
    """
    base = given if given is not None else (scheme, "x".join(map(str, shape)) or "scalar")
    return base if call == 1 else (*base, f"call {call}")
