"""Which operator wrote a piece of memory last, and which parameters lie in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from fanin.graphs.sources import Layout, Source, layout_of, view
from fanin.torch.recording import Operand, Output

__all__ = [
    "Geometry",
    "Memory",
    "apart",
    "geometry_of",
    "key_of",
    "laid_out",
    "output_at",
    "output_of",
    "sources_of",
    "state_of",
    "storage_of",
]

Geometry: TypeAlias = tuple[Any, ...]
"""Which view of its memory a tensor is: offset, shape, strides, type; one that has no strides is itself."""


@dataclass(slots=True)
class Memory:
    """What is known of one storage.

    `views` says which output of which operator each view is, `writer` which one wrote the whole.
    `operands` are the reads that were described already; see `rewritten`.
    """

    alive: Any
    writer: tuple[int, int] | None
    constant: bool
    layouts: tuple[Layout, ...]
    views: dict[Geometry, tuple[int, int]] = field(default_factory=dict)
    operands: dict[Geometry, Operand] = field(default_factory=dict)
    sources: dict[Geometry, tuple[Source, ...]] = field(default_factory=dict)

    def operand(self, tensor: torch.Tensor, place: Geometry) -> Operand:
        """What a view of this memory is at present."""
        found = self.operands.get(place)
        if found is None:
            op, index = self.views.get(place) or self.writer or (None, 0)
            found = self.operands[place] = Operand(
                op=op,
                index=index,
                shape=tuple(tensor.shape),
                dtype=tensor.dtype,
                sources=self.behind(tensor, place),
                constant=self.constant,
            )
        return found

    def behind(self, tensor: torch.Tensor, place: Geometry) -> tuple[Source, ...]:
        """The parameters behind a view."""
        if not self.layouts:
            return ()
        found = self.sources.get(place)
        if found is None:
            found = self.sources[place] = sources_of(self.layouts, tensor)
        return found

    def viewed(self, place: Geometry, by: tuple[int, int]) -> None:
        """Note that an operator made this view."""
        self.views[place] = by
        self.operands.pop(place, None)

    def rewritten(self) -> None:
        """Forget descriptions of reads: what the memory holds has changed."""
        self.operands.clear()
        self.sources.clear()


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
    return output_at(tensor, geometry_of(tensor))


def output_at(tensor: torch.Tensor, place: Geometry) -> Output:
    """Where a tensor of this geometry lies in its memory."""
    if len(place) == 1:
        shape = tuple(tensor.shape)
        return Output(shape=shape, strides=(0,) * len(shape), offset=0)
    offset, shape, strides, _ = place
    return Output(shape=tuple(shape), strides=strides, offset=offset)


def key_of(tensor: torch.Tensor) -> int:
    """The key of `storage_of` alone, for a memory that is held already or need not be."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return id(tensor)


def storage_of(tensor: torch.Tensor) -> tuple[int, Any]:
    """A key for the tensor's memory, and what must be held so that the key is not given away."""
    try:
        storage = tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return id(tensor), tensor
    if storage.device.type == "meta":
        return storage._cdata, storage  # takes no memory
    # A weak reference keeps the address taken but lets the memory go.
    return storage._cdata, StorageWeakRef(storage)


def geometry_of(tensor: torch.Tensor) -> Geometry:
    """A key for a view within its memory."""
    if tensor.layout is not torch.strided:
        return (id(tensor),)
    return tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype


def state_of(memory: Memory, tensor: torch.Tensor) -> Operand:
    """All of a memory, as it is now."""
    op, index = memory.writer or (None, 0)
    size = tensor.untyped_storage().nbytes() // tensor.itemsize
    return Operand(op=op, index=index, shape=(size,), dtype=tensor.dtype, constant=memory.constant)


def apart(a: Geometry, b: Geometry) -> bool:
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
