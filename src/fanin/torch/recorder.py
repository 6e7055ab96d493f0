"""The dispatch mode that writes operators down while a model runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from fanin.graphs.sources import Source, root
from fanin.torch.derive import derive
from fanin.torch.interrupts import Interrupts
from fanin.torch.memory import (
    Memory,
    apart,
    geometry_of,
    key_of,
    laid_out,
    output_at,
    output_of,
    state_of,
    storage_of,
)
from fanin.torch.ops import Facts, facts_of
from fanin.torch.recording import Observer, Op, Operand, Output
from fanin.torch.sandbox import Guard
from fanin.torch.shadows import Shadows
from fanin.torch.shapes import Made, Seen

__all__ = ["Recorder"]

_SMALL = 64
"""Largest number of elements of an outside constant that a recording keeps."""

_PLAIN = frozenset({str, torch.dtype, torch.device, torch.layout, torch.memory_format, type(None)})
"""Types of arguments that equal only their like."""

_DEVICE = torch.ops.prim.device.default
"""Asked by fake tensors more often than anything else."""


class Recorder(TorchDispatchMode):
    """The dispatch mode that writes operators down."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # No operator is compiled while a model is recorded: there is no need to keep the compiler off.
        return False

    def __init__(self, observer: Observer | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops: list[Op] = []
        self.module, self.call = "", 0
        self.strangers: dict[int, torch.Tensor] = {}
        self.interrupts = Interrupts()
        self.guard: Guard | None = None
        self._observer = observer
        self._memory: dict[int, Memory] = {}
        self._buffers: set[str] = set()
        self._originals: Mapping[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._shadows: Shadows | None = None

    def register(self, name: str, tensor: torch.Tensor, *, buffer: bool) -> None:
        """Make the storage of a parameter or buffer known."""
        if buffer:
            self._buffers.add(name)
        strides = tensor.stride() if tensor.layout is torch.strided else ()
        key, alive = storage_of(tensor)
        memory = self._memory.setdefault(key, Memory(alive, None, False, ()))
        if len(strides) == tensor.ndim:
            new = root(name, tensor.shape, strides, int(tensor.storage_offset()))
            memory.layouts = (*memory.layouts, new)
            memory.rewritten()

    def stand_ins(
        self, originals: Mapping[int, tuple[torch.Tensor, torch.Tensor]], mode: FakeTensorMode
    ) -> None:
        """Say which real tensor each fake one (by its id) stands for; both are kept alive by the pair."""
        self._originals = originals
        self._shadows = Shadows(mode, originals.values())

    def input(self, tensor: torch.Tensor) -> None:
        """Make an input of the model known."""
        id = len(self.ops)
        self._remember(tensor, id, 0, constant=False, sources=())
        self.ops.append(
            Op(
                id=id,
                name="input",
                func=None,
                args=(),
                kwargs={},
                operands=(),
                module="",
                call=0,
                shape=tuple(tensor.shape),
                dtype=tensor.dtype,
                outputs=(output_of(tensor),),
            )
        )
        if self._observer is not None:
            self._observer.after(id, tensor)

    def operand(self, tensor: torch.Tensor) -> Operand:
        """What is known of a tensor now."""
        memory = self._memory.get(key_of(tensor))
        if memory is not None:
            return memory.operand(tensor, geometry_of(tensor))
        if tensor.requires_grad and tensor.is_leaf:
            self.strangers[id(tensor)] = tensor
        return Operand(
            op=None,
            shape=tuple(tensor.shape),
            dtype=tensor.dtype,
            constant=True,
            value=self._value(tensor),
        )

    def _value(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """The numbers of a small constant, also if a fake stands in for it."""
        if tensor.numel() > _SMALL:
            return None
        real = self._originals.get(id(tensor)) or (tensor, tensor)
        known = real[1].constant if isinstance(real[1], FakeTensor) else real[1]
        # (Not detached: under the fake mode that would make another fake.)
        return None if known is None or known.is_meta else known

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is _DEVICE and type(args[0]) is FakeTensor:
            return args[0].fake_device
        kwargs = kwargs or {}
        if func.namespace == "prim":  # questions such as "which device?", asked by fake tensors only
            return func(*args, **kwargs)
        facts = facts_of(func)
        if self.interrupts.waiting and facts.form is not None:
            # (Not in a question such as "is it contiguous?", which C++ asks where no error may pass.)
            self.interrupts.deliver()
        seen = Seen()
        noted_args = self._noted(args, seen)
        noted_kwargs: dict[str, Any] = {}
        if kwargs:
            seen.key += kwargs
            noted_kwargs = dict(zip(kwargs, self._noted(kwargs.values(), seen), strict=True))
        operands = seen.operands
        written = _written(facts, args, kwargs) if facts.written else []
        if self.guard is not None:
            for tensor in written:
                self.guard.save(tensor)
        if self._observer is not None:
            for tensor in written:
                known = self.operand(tensor)
                if known.op is not None:
                    self._observer.before_mutation(known.op, tensor)
        if self._shadows is None:
            out = func(*args, **kwargs)
        else:
            out = _shape_rule(facts, args)
            if out is None:
                out, note = self._shadows.run(func, facts, args, kwargs, seen)
                if note is not None and note.one is not None and not written and self._observer is None:
                    base = seen.memories[note.one.base] if note.one.base is not None else None
                    if base is not None or note.one.base is None:
                        self._write_one(func, facts, noted_args, noted_kwargs, operands, out, note.one, base)
                        return out
        if isinstance(out, torch.Tensor):
            results = [out]
        elif isinstance(out, list | tuple):
            results = [x for x in out if isinstance(x, torch.Tensor)]
        else:
            results = []
        if not results and not written:
            return out
        self._write_down(func, facts, noted_args, noted_kwargs, operands, written, results)
        # (Zeros that forward-mode differentiation makes have no memory: whoever reads them ends the process.)
        if self._observer is not None and results and not results[0]._is_zerotensor():
            self._observer.after(len(self.ops) - 1, results[0])
        return out

    def _noted(self, values: Iterable[Any], seen: Seen) -> tuple[Any, ...]:
        """Arguments with an operand for each tensor."""
        noted: list[Any] = []
        for x in values:
            kind = type(x)
            if kind is int or kind in _PLAIN:
                seen.key.append(x)
                noted.append(x)
            elif kind is bool or kind is float:
                seen.key.append((kind, x))  # (1, 1.0 and True are equal)
                noted.append(x)
            elif kind is list or kind is tuple:
                seen.key.append((kind, len(x)))
                noted.append(kind(self._noted(x, seen)))
            elif isinstance(x, torch.Tensor):
                place = geometry_of(x)
                memory = self._memory.get(key_of(x))
                operand = self.operand(x) if memory is None else memory.operand(x, place)
                seen.add(x, place, operand, memory)
                noted.append(operand)
            else:
                seen.told = False
                noted.append(x)
        return tuple(noted)

    def _write_down(
        self,
        func: Any,
        facts: Facts,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        operands: list[Operand],
        written: list[torch.Tensor],
        results: list[torch.Tensor],
    ) -> None:
        id = len(self.ops)
        constant, alone = _nature(facts, operands)
        first = (results or written)[0]
        is_view = False
        outputs: list[Output] = []
        for index, tensor in enumerate(results):
            place = geometry_of(tensor)
            outputs.append(output_at(tensor, place))
            memory = self._memory.get(key_of(tensor))
            if memory is None:
                sources = self._derived(func, args, operands, tensor) if alone else ()
                self._remember(tensor, id, index, constant=constant, sources=sources)
            elif not written:
                is_view = is_view or index == 0
                memory.viewed(place, (id, index))
        before: Operand | None = None
        for tensor in written:
            memory = self._memory.get(key_of(tensor))
            if memory is None:
                self._remember(tensor, id, 0, constant=constant, sources=())
                continue
            if tensor.numel() * tensor.itemsize < tensor.untyped_storage().nbytes():
                before = state_of(memory, tensor)
            self._overwrite(
                memory,
                tensor,
                id,
                func,
                args,
                operands,
                constant=constant,
                alone=alone,
                part=before is not None,
            )
        known = self._memory.get(key_of(first))
        self.ops.append(
            Op(
                id=id,
                name=facts.name,
                func=func,
                facts=facts,
                args=args,
                kwargs=kwargs,
                operands=tuple(operands),
                module=self.module,
                call=self.call,
                shape=tuple(first.shape),
                dtype=first.dtype,
                outputs=tuple(outputs) or (output_of(first),),
                sources=known.behind(first, geometry_of(first)) if known and known.layouts else (),
                constant=known.constant if known else constant,
                view=is_view,
                mutates=bool(written),
                before=before,
            )
        )

    def _write_one(
        self,
        func: Any,
        facts: Facts,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        operands: list[Operand],
        out: torch.Tensor,
        made: Made,
        base: Memory | None,
    ) -> None:
        """What `_write_down` does, for an output of which a note says that it is new or a view of `base`."""
        id = len(self.ops)
        constant, alone = _nature(facts, operands)
        if base is not None:
            memory = base
            memory.viewed(made.place, (id, 0))
        else:
            sources = self._derived(func, args, operands, out) if alone else ()
            storage = out.untyped_storage()
            layouts = laid_out(out, sources) if sources else ()
            memory = self._memory[storage._cdata] = Memory(storage, (id, 0), constant, layouts)
        self.ops.append(
            Op(
                id=id,
                name=facts.name,
                func=func,
                facts=facts,
                args=args,
                kwargs=kwargs,
                operands=tuple(operands),
                module=self.module,
                call=self.call,
                shape=made.shape,
                dtype=made.dtype,
                outputs=made.outputs,
                sources=memory.behind(out, made.place) if memory.layouts else (),
                constant=memory.constant,
                view=base is not None,
            )
        )

    def _derived(
        self, func: Any, args: tuple[Any, ...], operands: list[Operand], out: torch.Tensor
    ) -> tuple[Source, ...]:
        shapes = [(o.shape, o.sources) for o in operands]
        return derive(func, args, shapes, tuple(out.shape), self._buffers) or ()

    def _overwrite(
        self,
        memory: Memory,
        tensor: torch.Tensor,
        id: int,
        func: Any,
        args: tuple[Any, ...],
        operands: list[Operand],
        *,
        constant: bool,
        alone: bool,
        part: bool,
    ) -> None:
        pristine = memory.writer is None and bool(memory.layouts)
        if pristine and (constant or alone or facts_of(func).base == "embedding_renorm_"):
            # A buffer that follows from parameters (power iteration, a counter), or a table whose rows are
            # shortened (max_norm), stays itself.
            return
        here = geometry_of(tensor)
        memory.views = {there: made for there, made in memory.views.items() if part and apart(here, there)}
        memory.views[here] = (id, 0)
        memory.writer = (id, -1 if part else 0)
        memory.constant = memory.constant and constant
        memory.layouts = laid_out(tensor, self._derived(func, args, operands, tensor)) if alone else ()
        memory.rewritten()

    def _known(self, tensor: torch.Tensor) -> bool:
        return key_of(tensor) in self._memory

    def _remember(
        self, tensor: torch.Tensor, id: int, index: int, *, constant: bool, sources: tuple[Source, ...]
    ) -> None:
        key, alive = storage_of(tensor)
        self._memory[key] = Memory(alive, (id, index), constant, laid_out(tensor, sources))


def _shape_rule(facts: Facts, args: tuple[Any, ...]) -> torch.Tensor | None:
    """Shapes where torch has no rule for fake tensors: grouped products in float32."""
    if facts.name != "aten._grouped_mm.default" or not isinstance(args[0], FakeTensor):
        return None
    left, right = args[0], args[1]
    return left.new_empty((*left.shape[:-1], right.shape[-1])) if right.ndim == 3 else None


def _nature(facts: Facts, operands: list[Operand]) -> tuple[bool, bool]:
    """Whether an output depends on nothing but constants, and whether on nothing but them and parameters."""
    constant = True
    for operand in operands:
        if not operand.constant:
            constant = False
            if not operand.sources:
                return facts.shape_only, False
    constant = constant or facts.shape_only
    return constant, not constant


def _written(facts: Facts, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for place, name in facts.written:
        value = args[place] if place < len(args) else kwargs.get(name)
        found += [
            t for t in (value if isinstance(value, list | tuple) else (value,)) if isinstance(t, torch.Tensor)
        ]
    return found
