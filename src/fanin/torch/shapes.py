"""Operators on fake tensors, whose outputs' shapes torch is asked for once in each case.

A model asks for the same few operators on the same few shapes again and again, and the rules by which
torch answers cost far more than to make the tensors. What an operator returns for tensors of given
shapes, strides and types is therefore noted when torch has answered: which outputs are new, which are
views of what was read, which are an operand itself. The next time it is made by that note. The
conditions are those under which torch keeps such notes of its own: nothing that depends on values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from fanin.torch.fakes import Mint
from fanin.torch.memory import Geometry, Memory, geometry_of, output_of
from fanin.torch.ops import Facts
from fanin.torch.recording import Operand, Output

__all__ = ["Made", "Note", "Seen", "Shapes"]

_MOST = 1 << 14
"""Notes that are kept; when there are more, all are thrown away."""

_CHOOSERS = (torch.bool, torch.uint8, torch.int8)
"""Types of indices that choose by value how many rows there are."""

_META = torch.device("meta")
_INDEX = "aten.index.Tensor"
_LIFT = torch.ops.aten.lift_fresh.default


@dataclass(slots=True)
class Seen:
    """The arguments of one call: tensors in order, their operands and memories.

    `key` says all that the shapes of outputs can depend on, unless `told` is false.
    """

    tensors: list[Any] = field(default_factory=list)
    operands: list[Operand] = field(default_factory=list)
    memories: list[Memory | None] = field(default_factory=list)
    key: list[Any] = field(default_factory=list)
    told: bool = True

    def add(self, tensor: torch.Tensor, place: Geometry, operand: Operand, memory: Memory | None) -> None:
        """Note a tensor."""
        self.tensors.append(tensor)
        self.operands.append(operand)
        self.memories.append(memory)
        if type(tensor) is FakeTensor and len(place) > 1:
            self.key += (place, tensor.fake_device, tensor.requires_grad)
            if not (tensor.is_neg() or tensor.is_conj()):
                return
        self.told = False


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """How one output is made: operand `same` itself, a view of operand `base`, or (both None) a new tensor.

    `place` is its geometry, `outputs` what a recording says of it.
    """

    same: int | None
    base: int | None
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    dtype: torch.dtype
    device: torch.device
    place: Geometry
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Note:
    """What an operator returns.

    `container` is None for a bare tensor; `one` is how it is made, if it is a tensor that was not there.
    """

    container: type | None
    outs: tuple[Made, ...]
    one: Made | None


class Shapes:
    """Runs operators on the fake tensors of one mode."""

    def __init__(self, mode: FakeTensorMode) -> None:
        self._mode = mode
        self._mint = Mint(mode)

    def run(
        self,
        func: Any,
        facts: Facts,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        seen: Seen,
    ) -> tuple[Any, Note | None]:
        """The operator's output, and the note that it was made by; the mode is on the stack of modes.

        Parameters
        ----------
        func, facts, args, kwargs
            The operator, what is known of it, and its arguments.
        seen
            What was seen of the arguments.
        """
        if not facts.by_shape:
            if func is _LIFT and type(args[0]) is torch.Tensor and args[0].numel() == 0:
                return self._lifted(args[0]), None
            return func(*args, **kwargs), None
        tensors: list[FakeTensor] = seen.tensors
        if not seen.told or not _by_shape(facts, tensors):
            return func(*args, **kwargs), None
        notes = _notes()
        key = (facts, torch.get_default_dtype(), torch.is_inference_mode_enabled(), *seen.key)
        if key not in notes:
            out = func(*args, **kwargs)
            if len(notes) >= _MOST:
                notes.clear()
            notes[key] = self._noted(tensors, out)
            return out, None
        note = notes[key]
        if note is None:
            return func(*args, **kwargs), None
        with torch._C._DisableTorchDispatch():
            if note.one is not None:
                return self._made(note.one, tensors), note
            made = [self._made(x, tensors) for x in note.outs]
        return made[0] if note.container is None else note.container(made), note

    def _lifted(self, tensor: torch.Tensor) -> FakeTensor:
        """A fake for a tensor that was just made of nothing, as caches are at their start."""
        with torch._C._DisableTorchDispatch():
            bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
            return self._mint.fake(bare, tensor.device)

    def _made(self, out: Made, tensors: list[FakeTensor]) -> FakeTensor:
        if out.same is not None:
            return tensors[out.same]
        if out.base is None:
            bare = torch.empty_strided(out.shape, out.strides, dtype=out.dtype, device=_META)
        else:
            bare = torch.empty(0, dtype=out.dtype, device=_META)
            bare.set_(tensors[out.base].untyped_storage(), out.offset, out.shape, out.strides)
        return self._mint.fake(bare, out.device)

    def _noted(self, tensors: list[FakeTensor], out: Any) -> Note | None:
        """What is to be remembered of an output; None if it is not to be made by a note."""
        if isinstance(out, FakeTensor):
            one = self._how(tensors, out)
            return None if one is None else Note(None, (one,), one if one.same is None else None)
        if type(out) not in (tuple, list):
            return None
        found = [self._how(tensors, x) if isinstance(x, FakeTensor) else None for x in out]
        outs = tuple(x for x in found if x is not None)
        fresh = [
            x.untyped_storage()._cdata
            for x, made in zip(out, found, strict=True)
            if made is not None and made.same is None and made.base is None
        ]
        # New tensors that share one memory, or something else than tensors: too rare to be worth a rule.
        return (
            Note(type(out), outs, None) if len(outs) == len(found) and len(set(fresh)) == len(fresh) else None
        )

    def _how(self, tensors: list[FakeTensor], out: FakeTensor) -> Made | None:
        if out.layout is not torch.strided:
            return None
        same = next((i for i, tensor in enumerate(tensors) if tensor is out), None)
        memory = out.untyped_storage()._cdata
        bases = [i for i, tensor in enumerate(tensors) if tensor.untyped_storage()._cdata == memory]
        made = Made(
            same=same,
            base=bases[0] if bases else None,
            shape=tuple(out.shape),
            strides=out.stride(),
            offset=int(out.storage_offset()),
            dtype=out.dtype,
            device=out.fake_device,
            place=geometry_of(out),
            outputs=(output_of(out),),
        )
        if same is not None:
            return made
        if out.constant is not None or len(bases) > 1:
            return None
        with torch._C._DisableTorchDispatch():
            trial = self._made(made, tensors)
        alike = torch._C._dispatch_key_set(trial) == torch._C._dispatch_key_set(out)
        sized = bases or out.untyped_storage().nbytes() == trial.untyped_storage().nbytes()
        return made if alike and sized and trial.storage_offset() == made.offset else None


@cache
def _notes() -> dict[tuple[Any, ...], Note | None]:
    """Notes by operator and arguments; no tensor is among them, and a run does not change what they say."""
    return {}


def _by_shape(facts: Facts, tensors: list[FakeTensor]) -> bool:
    """Whether the shapes of these operands decide; with constants alone torch computes."""
    constants = 0
    for tensor in tensors:
        constants += tensor.constant is not None
    if constants and (constants == len(tensors) or facts.written):
        return False
    return facts.name != _INDEX or not any(tensor.dtype in _CHOOSERS for tensor in tensors)
