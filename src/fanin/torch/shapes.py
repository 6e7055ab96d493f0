"""Operators on fake tensors, whose outputs' shapes torch is asked for once in each case.

A model asks for the same few operators on the same few shapes again and again, and the rules by which
torch answers cost far more than to make the tensors. What an operator returns for tensors of given
shapes, strides and types is therefore noted when torch has answered: which outputs are new, which are
views of what was read, which are an operand itself. The next time it is made by that note. The
conditions are those under which torch keeps such notes of its own: nothing that depends on values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from fanin.torch.fakes import Mint
from fanin.torch.memory import Geometry
from fanin.torch.ops import facts_of

__all__ = ["Shapes"]

_MOST = 1 << 14
"""Notes that are kept; when there are more, all are thrown away."""

_PLAIN = frozenset({str, torch.dtype, torch.device, torch.layout, torch.memory_format, type(None)})
"""Types of arguments that equal only their like."""

_CHOOSERS = (torch.bool, torch.uint8, torch.int8)
"""Types of indices that choose by value how many rows there are."""

_BY_VALUE = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.inplace_view}
_LIFT = torch.ops.aten.lift_fresh.default
_LIFTS = {_LIFT, torch.ops.aten.lift_fresh_copy.default, torch.ops.aten.lift.default}


@dataclass(frozen=True, slots=True)
class _Out:
    """One output: operand `same` itself, a view of operand `base`, or (both None) a new tensor."""

    same: int | None = None
    base: int | None = None
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    offset: int = 0
    dtype: torch.dtype = torch.float32
    device: torch.device | None = None


_Note: TypeAlias = tuple[type | None, tuple[_Out, ...]]
"""The type of the container (None for a bare tensor), and the outputs."""


class Shapes:
    """Runs operators on the fake tensors of one mode."""

    def __init__(self, mode: FakeTensorMode) -> None:
        self._mode = mode
        self._mint = Mint(mode)

    def run(
        self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], places: Sequence[Geometry]
    ) -> Any:
        """The operator's output; the mode is on the stack of modes.

        Parameters
        ----------
        func, args, kwargs
            The operator and its arguments.
        places
            Geometry of each tensor among them, in order.
        """
        kept = _kept(func)
        if not kept:
            if func is _LIFT and type(args[0]) is torch.Tensor and args[0].numel() == 0:
                return self._lifted(args[0])
            return func(*args, **kwargs)
        tensors: list[FakeTensor] = []
        key: list[Any] = [func, torch.get_default_dtype(), torch.is_inference_mode_enabled()]
        ahead = iter(places)
        known = _told(args, key, tensors, ahead)
        if kwargs and known:
            key += kwargs
            known = _told(kwargs.values(), key, tensors, ahead)
        if not known or not _by_shape(func, tensors):
            return func(*args, **kwargs)
        notes = _notes()
        place = tuple(key)
        if place not in notes:
            out = func(*args, **kwargs)
            if len(notes) >= _MOST:
                notes.clear()
            notes[place] = self._noted(tensors, out)
            return out
        note = notes[place]
        if note is None:
            return func(*args, **kwargs)
        container, outs = note
        with torch._C._DisableTorchDispatch():
            made = [self._made(x, tensors) for x in outs]
        return made[0] if container is None else container(made)

    def _lifted(self, tensor: torch.Tensor) -> FakeTensor:
        """A fake for a tensor that was just made of nothing, as caches are at their start."""
        with torch._C._DisableTorchDispatch():
            bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
            return self._mint.fake(bare, tensor.device)

    def _made(self, out: _Out, tensors: list[FakeTensor]) -> FakeTensor:
        if out.same is not None:
            return tensors[out.same]
        if out.base is None:
            bare = torch.empty_strided(out.shape, out.strides, dtype=out.dtype, device="meta")
        else:
            bare = torch.empty(0, dtype=out.dtype, device="meta")
            bare.set_(tensors[out.base].untyped_storage(), out.offset, out.shape, out.strides)
        return self._mint.fake(bare, out.device)

    def _noted(self, tensors: list[FakeTensor], out: Any) -> _Note | None:
        """What is to be remembered of an output; None if it is not to be made by a note."""
        if isinstance(out, FakeTensor):
            one = self._out(tensors, out)
            return None if one is None else (None, (one,))
        if type(out) not in (tuple, list):
            return None
        found = [self._out(tensors, x) if isinstance(x, FakeTensor) else None for x in out]
        several = tuple(x for x in found if x is not None)
        return (type(out), several) if len(several) == len(found) else None

    def _out(self, tensors: list[FakeTensor], out: FakeTensor) -> _Out | None:
        for place, tensor in enumerate(tensors):
            if tensor is out:
                return _Out(same=place)
        if out.constant is not None or out.layout is not torch.strided:
            return None
        memory = out.untyped_storage()._cdata
        bases = [i for i, tensor in enumerate(tensors) if tensor.untyped_storage()._cdata == memory]
        if len(bases) > 1:
            return None
        note = _Out(
            base=bases[0] if bases else None,
            shape=tuple(out.shape),
            strides=out.stride(),
            offset=int(out.storage_offset()),
            dtype=out.dtype,
            device=out.fake_device,
        )
        with torch._C._DisableTorchDispatch():
            trial = self._made(note, tensors)
        same = torch._C._dispatch_key_set(trial) == torch._C._dispatch_key_set(out)
        sized = bases or out.untyped_storage().nbytes() == trial.untyped_storage().nbytes()
        return note if same and sized and trial.storage_offset() == note.offset else None


@cache
def _notes() -> dict[tuple[Any, ...], _Note | None]:
    """Notes by operator and arguments; no tensor is among them, and a run does not change what they say."""
    return {}


@cache
def _kept(func: Any) -> bool:
    """Whether notes are kept of an operator: one of torch's own whose shapes follow from shapes."""
    if not isinstance(func, torch._ops.OpOverload) or func.namespace != "aten" or func in _LIFTS:
        return False
    if func is torch.ops.aten.index.Tensor:
        return True  # see `_by_shape`
    return not _BY_VALUE & set(func.tags)


def _by_shape(func: Any, tensors: list[FakeTensor]) -> bool:
    """Whether these operands' shapes decide; torch computes with values that it knows (constants)."""
    if func is torch.ops.aten.index.Tensor and any(tensor.dtype in _CHOOSERS for tensor in tensors):
        return False
    constants = sum(tensor.constant is not None for tensor in tensors)
    return constants == 0 or (constants < len(tensors) and not facts_of(func).written)


def _told(
    values: Iterable[Any], key: list[Any], tensors: list[FakeTensor], places: Iterator[Geometry]
) -> bool:
    """Write arguments into a key, tensors by what their shape is; false if one cannot be written."""
    for x in values:
        kind = type(x)
        if kind is FakeTensor:
            place = next(places)
            if len(place) == 1 or x.is_neg() or x.is_conj():
                return False
            tensors.append(x)
            key += (place, x.fake_device, x.requires_grad)
        elif kind is int or kind in _PLAIN:
            key.append(x)
        elif kind is bool or kind is float or kind is complex:
            key.append((kind, x))
        elif kind is list or kind is tuple:
            key.append((kind, len(x)))
            if not _told(x, key, tensors, places):
                return False
        else:
            return False
    return True
