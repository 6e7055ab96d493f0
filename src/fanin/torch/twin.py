"""The engine's arithmetic on tensors, for devices that the kernel does not reach, with its bits.

Words are kept in int64, since PyTorch has no unsigned arithmetic; every intermediate result stays
below 2**63, so that nothing depends on how an overflow ends.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch

from fanin.sampling.cast import format_of
from fanin.sampling.recipe import Recipe
from fanin.sampling.streams import StreamKey
from fanin.sampling.twin import TABLES, Numbers, Program, block_words, numbers, program, transform

__all__ = ["TorchOps", "draw_into", "elements", "serves"]

_LOW = 0xFFFFFFFF
_CHUNK = 1 << 20
"""Elements at a time: enough to keep a device busy, few enough that temporaries (some 100 bytes an
element) do not matter beside a model."""
_NO_FLOAT64 = frozenset({"mps"})


class TorchOps:
    """`fanin.sampling.twin.Ops` for tensors of one device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def word(self, value: int) -> Any:
        """A constant word."""
        return value

    def multiply(self, word: Any, factor: Any) -> tuple[Any, Any]:
        """High and low word of a product, from two products of 48 bits."""
        low = word * (factor & 0xFFFF)
        high = word * (factor >> 16) + (low >> 16)
        return high >> 16, ((high & 0xFFFF) << 16) | (low & 0xFFFF)

    def add(self, word: Any, other: Any) -> tuple[Any, Any]:
        """Sum and carry."""
        total = word + other
        return total & _LOW, total >> 32

    def signed(self, word: Any) -> Any:
        """The same bits as int32."""
        return ((word ^ (1 << 31)) - (1 << 31)).to(torch.int32)

    def joined(self, high: Any, low: Any) -> Any:
        """Two words as int64."""
        return ((high ^ (1 << 31)) - (1 << 31)) * (1 << 32) | low

    def to_float(self, integer: Any, *, wide: bool) -> Any:
        """The nearest float, ties to even."""
        return integer.to(torch.float64 if wide else torch.float32)

    def pattern(self, value: Any, *, wide: bool) -> Any:
        """A float's bits."""
        return value.view(torch.int64 if wide else torch.int32)

    def value(self, pattern: Any, *, wide: bool) -> Any:
        """The float with these bits."""
        return pattern.view(torch.float64 if wide else torch.float32)

    def coefficient(self, order: int, octave: Any, *, wide: bool) -> Any:
        """A row of the tables, looked up."""
        return _table(self.device, wide)[order][octave]

    def narrowed(self, value: Any) -> Any:
        """Float64 to float32."""
        return value.to(torch.float32)

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        """Choose by element."""
        return torch.where(condition, yes, no)

    def stored(self, pattern: Any, dtype: str) -> Any:
        """The tensor with these bits."""
        kind: torch.dtype = getattr(torch, dtype)
        sign = 1 << (8 * kind.itemsize - 1)
        # As a number in the range of the signed type: what a conversion out of range gives is not defined.
        number = (pattern ^ sign) - sign
        return number.to(torch.int8 if kind.itemsize == 1 else torch.int16).view(kind)


@lru_cache(maxsize=32)
def _table(device: torch.device, wide: bool) -> torch.Tensor:  # noqa: FBT001 - a cache has no keywords
    return torch.from_numpy(TABLES[wide]).to(device)


def serves(made: Recipe, device: torch.device) -> bool:
    """Whether the twin can carry out a recipe on a device; otherwise it is drawn on the host."""
    return made.far is None and not (made.wide and device.type in _NO_FLOAT64)


def elements(
    made: Recipe, key: StreamKey, begin: int, end: int, dtype: str, device: torch.device
) -> torch.Tensor:
    """Elements [begin, end) of a stream, made on a device.

    Examples
    --------
    >>> from fanin.records.draw import Normal
    >>> from fanin.sampling.recipe import recipe
    >>> from fanin.sampling.streams import stream_key
    >>> elements(
    ...     recipe(Normal(std=1.0), "float16"), stream_key(0, "w"), 3, 9, "float16", torch.device("cpu")
    ... ).shape
    torch.Size([6])
    """
    return _elements(program(made, dtype), numbers(made, key), begin, end, device)


def _elements(what: Program, given: Numbers, begin: int, end: int, device: torch.device) -> torch.Tensor:
    ops = TorchOps(device)
    first, last = begin >> 2, ((end - 1) >> 2) + 1
    # Counted from zero, because block numbers may need 62 bits and offsets within a call do not.
    low, carry = ops.add(torch.arange(last - first, dtype=torch.int64, device=device), first & _LOW)
    high = carry + (first >> 32)
    groups = block_words(ops, what, given, (high, low))
    word, second = (None if g is None else torch.stack(g, dim=-1).reshape(-1) for g in groups)
    out: torch.Tensor = transform(ops, what, given, word, second)
    return out[begin - 4 * first : end - 4 * first]


def draw_into(logical: torch.Tensor, made: Recipe, key: StreamKey) -> None:
    """Fill a tensor, seen in its logical order, on the device it lies on.

    Parameters
    ----------
    logical
        A view with its dimensions in logical order, of any strides.
    """
    dtype = str(logical.dtype).removeprefix("torch.")
    what, given = program(made, dtype), numbers(made, key)
    for begin, part in _parts(logical):
        end = begin + part.numel()
        values = _elements(what, given, begin, end, logical.device).reshape(part.shape)
        # Bits, not numbers: few devices copy eight-bit floats.
        part.view(_raw(logical.dtype)).copy_(values.view(_raw(logical.dtype)))


def _raw(dtype: torch.dtype) -> torch.dtype:
    storage = format_of(str(dtype).removeprefix("torch.")).storage
    return {"uint16": torch.int16, "uint8": torch.uint8, "float16": torch.int16}.get(storage, dtype)


def _parts(logical: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
    """Consecutive parts of about `_CHUNK` elements, as (first index, view)."""
    if logical.numel() <= _CHUNK or logical.ndim == 0:
        return [(0, logical)]
    if logical.is_contiguous() and logical.ndim > 1:
        return _parts(logical.view(-1))
    inner = math.prod(logical.shape[1:])
    if inner > _CHUNK:
        return [
            (place * inner + begin, part)
            for place in range(logical.shape[0])
            for begin, part in _parts(logical[place])
        ]
    rows = max(1, _CHUNK // inner)
    return [(first * inner, logical[first : first + rows]) for first in range(0, logical.shape[0], rows)]
