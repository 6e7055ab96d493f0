"""Which operator wrote a piece of memory last, and which parameters lie in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from fanin.graphs.sources import Layout, Source, layout_of, view
from fanin.torch.recording import Operand, Output

__all__ = [
    "Memory",
    "apart",
    "geometry_of",
    "laid_out",
    "output_of",
    "sources_of",
    "state_of",
    "storage_of",
]


@dataclass(slots=True)
class Memory:
    """What is known of one storage."""

    alive: Any
    writer: tuple[int, int] | None
    constant: bool
    layouts: tuple[Layout, ...]
    views: dict[tuple[Any, ...], tuple[int, int]]


def laid_out(tensor: torch.Tensor, sources: tuple[Source, ...]) -> tuple[Layout, ...]:
    """How parameters lie in memory that was just filled from them."""
    if not sources or tensor.layout is not torch.strided:
        return ()
    return tuple(layout_of(s, tensor.shape, tensor.stride(), int(tensor.storage_offset())) for s in sources)


def sources_of(layouts: tuple[Layout, ...], tensor: torch.Tensor) -> tuple[Source, ...]:
    """The parameters behind a view of memory."""
    if not layouts or tensor.layout is not torch.strided:
        return ()
    place = int(tensor.storage_offset())
    here = [x for x in layouts if x.offset <= place < x.offset + max(x.numel, 1)] or layouts[:1]
    return tuple(view(layout, tensor.shape, tensor.stride(), place) for layout in here)


def output_of(tensor: torch.Tensor) -> Output:
    """Where a tensor lies in its memory."""
    shape = tuple(tensor.shape)
    if tensor.layout is not torch.strided:
        return Output(shape=shape, strides=(0,) * len(shape), offset=0)
    return Output(shape=shape, strides=tensor.stride(), offset=int(tensor.storage_offset()))


def storage_of(tensor: torch.Tensor) -> tuple[int, Any]:
    """A key for the tensor's memory, and what must be held so that the key is not given away."""
    try:
        # A weak reference keeps the address taken but lets the memory go.
        alive = StorageWeakRef(tensor.untyped_storage())
    except (NotImplementedError, RuntimeError):
        return id(tensor), tensor
    return alive.cdata, alive


def geometry_of(tensor: torch.Tensor) -> tuple[Any, ...]:
    """A key for a view within its memory."""
    if tensor.layout is not torch.strided:
        return (id(tensor),)
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def state_of(memory: Memory, tensor: torch.Tensor) -> Operand:
    """All of a memory, as it is now."""
    op, index = memory.writer or (None, 0)
    size = tensor.untyped_storage().nbytes() // tensor.itemsize
    return Operand(op=op, index=index, shape=(size,), dtype=tensor.dtype, constant=memory.constant)


def apart(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two views of one memory, on the same lattice of strides, have no element in common."""
    if len(a) < 4 or len(b) < 4 or a[2] != b[2]:
        return False
    (low, shape, strides, _), (high, *_) = sorted((a, b), key=lambda view: view[0])
    rest = high - low
    for size, stride in sorted(zip(shape, strides, strict=True), key=lambda pair: -pair[1]):
        if stride <= 0:
            return False
        steps, rest = divmod(rest, stride)
        if steps >= size:
            return True
    return False
