"""Which stream a parameter draws from: 128 hashed bits for each (version, seed, name, role)."""

from __future__ import annotations

import hashlib
import operator
import struct
from dataclasses import dataclass

from fanin.errors import InputError, explain

__all__ = ["STREAM_VERSION", "StreamKey", "stream_key"]

STREAM_VERSION = 1
"""Version of the whole map from (seed, name, index) to numbers; see SPEC.md."""

_DOMAIN = b"fanin stream"
_SEED_END = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamKey:
    """Four uint32 words that select one stream: two Philox key words, two high counter words."""

    key0: int
    key1: int
    counter2: int
    counter3: int

    @property
    def words(self) -> tuple[int, int, int, int]:
        """The four words in hash order."""
        return self.key0, self.key1, self.counter2, self.counter3


def stream_key(seed: int, name: str | tuple[str, ...], role: str = "weight") -> StreamKey:
    """Hash a seed and a parameter's name to the key of its stream.

    ``key = BLAKE2b-128("fanin stream", version, seed, number of parts, each part and the role with
    its length in front)``, read as four little-endian uint32 words.

    Parameters
    ----------
    seed
        Whole number in [0, 2**64).
    name
        The parameter's name; a tuple names a part of it, and ``"w"`` is the same as ``("w",)``.
    role
        What the stream is for, so that one parameter can own several.

    Returns
    -------
    StreamKey
        The key; distinct inputs clash with probability 2**-128 a pair.

    Raises
    ------
    InputError
        A seed out of range, or a name that is no text.

    Examples
    --------
    >>> stream_key(0, "layer.0.weight") == stream_key(0, ("layer.0.weight",))
    True

    References
    ----------
    Saarinen and Aumasson, RFC 7693 (BLAKE2).
    """
    seed = _checked_seed(seed)
    parts = _checked_parts(name)
    text = [_encoded(part, "name") for part in parts]
    message = [_DOMAIN, struct.pack("<IQI", STREAM_VERSION, seed, len(text))]
    for part in [*text, _encoded(role, "role")]:
        message += [struct.pack("<I", len(part)), part]
    digest = hashlib.blake2b(b"".join(message), digest_size=16).digest()
    key0, key1, counter2, counter3 = struct.unpack("<4I", digest)
    return StreamKey(key0=key0, key1=key1, counter2=counter2, counter3=counter3)


def _checked_seed(seed: object) -> int:
    try:
        value = -1 if isinstance(seed, bool) else operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        value = -1
    if not 0 <= value < _SEED_END:
        raise InputError(
            explain(
                "The seed is out of range",
                received=repr(seed),
                rule="A seed is a whole number in [0, 2**64)",
                remedy="Pass an int such as seed=0",
            )
        )
    return value


def _checked_parts(name: object) -> tuple[str, ...]:
    parts = (name,) if isinstance(name, str) else name
    if not isinstance(parts, tuple) or not parts or not all(isinstance(p, str) and p for p in parts):
        raise InputError(
            explain(
                "The name of a stream is no text",
                received=repr(name),
                rule="A name is a non-empty str, or a non-empty tuple of them",
                remedy="Pass the parameter's name, for example name='layers.0.weight'",
            )
        )
    return parts


def _encoded(text: str, what: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(
            explain(
                f"The {what} of a stream cannot be encoded",
                received=ascii(text),
                rule=f"A {what} is valid Unicode text, hashed as UTF-8",
            )
        ) from None
