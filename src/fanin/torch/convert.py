"""From a recording to neutral steps: views, copies and constants disappear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import Any

import torch

from fanin.graphs.derived import row_major
from fanin.graphs.sources import Layout, Source, entire, layout_of, view
from fanin.graphs.steps import Form, Part, Read, Step
from fanin.torch.ops import (
    ADDS,
    CONTRACTIONS,
    MULTIPLIES,
    SUBTRACTS,
    UNIFORM,
    parts_of,
)
from fanin.torch.record import Op, Operand, Output, Recording
from fanin.torch.settings import settings_of

__all__ = ["converted"]

_GATHERS = frozenset({"index", "gather", "index_select", "take", "take_along_dim"})
_SAME_ELEMENTS = frozenset({"clone", "contiguous", "detach", "_to_copy", "alias", "lift_fresh", "copy_"})
_RESHAPES = frozenset({"view", "_unsafe_view", "reshape", "_reshape_copy"})
_OVERWRITES = frozenset(
    {"copy_", "index_put", "index_put_", "_unsafe_index_put", "index_copy", "index_copy_"}
)
_SCATTERS = frozenset({"index_add", "index_add_", "scatter_add", "scatter_add_", "scatter", "scatter_"})
_WRITES = _OVERWRITES | _SCATTERS
_RANDOM = ("bernoulli", "rand", "dropout", "normal")


@dataclass(slots=True, kw_only=True)
class _Value:
    """What the output of an operator is: a (part of a) step's output, a parameter, or a constant."""

    step: int | None = None
    place: Source | None = None
    layout: Layout | None = None
    signal: bool = False
    random: bool = False
    uniform: bool = False
    sources: tuple[Source, ...] = ()


_NOTHING = _Value()
"""A constant, or a parameter, of which the operand says all there is to say."""


def converted(recording: Recording) -> tuple[tuple[Step, ...], tuple[Read, ...]]:
    """Turn a recording into steps and the reads that are the model's outputs."""
    buffers = frozenset(entry.name for entry in recording.tensors if entry.buffer)
    work = _Conversion(buffers, recording.ops)
    for op in recording.ops:
        work.add(op)
    outputs = tuple(work.read(operand, 0) for operand in recording.outputs)
    return tuple(work.steps[id] for id in sorted(work.steps)), outputs


class _Conversion:
    def __init__(self, buffers: frozenset[str], ops: tuple[Op, ...]) -> None:
        self.steps: dict[int, Step] = {}
        self._ops = ops
        self._values: dict[tuple[int, int], _Value] = {}
        self._buffers = buffers

    def add(self, op: Op) -> None:
        if op.facts is None:
            self._emit(op, Form.INPUT, "input", ())
            return
        name = op.facts.base
        if op.constant:
            random = name.startswith(_RANDOM) or any(self._of(o).random for o in op.operands)
            same = bool(op.operands) and all(self._uniform(o) for o in op.operands)
            uniform = name in UNIFORM or same
            self._set(op, _Value(random=random, uniform=uniform and not random))
            return
        if op.sources:  # a form of the parameters; whoever reads it is told its sources
            self._set(op, _NOTHING)
            return
        form = op.facts.form
        if form is None and not self._moved(op, name):
            form = Form.LOOKUP
        if form is None:
            return
        if name in _WRITES and self._written(op, name):
            return
        reads = tuple(self._reads(op, name, form))
        if name in _OVERWRITES and op.before is None:
            form = Form.CONCAT
        self._emit(op, form, name, reads)

    def read(self, operand: Operand, position: int, part: Part = Part.ANY, labels: str = "") -> Read:
        value = self._of(operand)
        sources = operand.sources or value.sources
        return Read(
            step=None if sources else value.step,
            place=None if sources else value.place,
            shape=() if value.uniform and not sources else operand.shape,
            signal=value.signal and not sources,
            constant=not sources and value.step is None,
            random=value.random,
            sources=sources,
            labels=labels if len(labels) == len(operand.shape) else "",
            part=part,
            operand=position,
        )

    def _of(self, operand: Operand) -> _Value:
        if operand.op is None:
            return _NOTHING
        if operand.index == -1:
            return self._patched(self._ops[operand.op])
        value = self._values.get((operand.op, operand.index), _NOTHING)
        if value.place is not None and len(value.place.dims) != len(operand.shape):
            # Memory written in place under another shape: whole, but its dimensions are not known.
            return replace(value, place=None, layout=None)
        return value

    def _patched(self, op: Op) -> _Value:
        """A memory of which this operator wrote a part: what was there before, and what was written."""
        if (op.id, -1) in self._values:
            return self._values[op.id, -1]
        if op.before is None:  # (index -1 is given to partial writes only)
            return self._values.get((op.id, 0), _NOTHING)
        new, old = self._values.get((op.id, 0), _NOTHING), self._of(op.before)
        value = replace(new if new.step is not None else old, place=None, layout=None, sources=())
        if new.step is not None and old.step is not None and new.step != old.step:
            reads = (self.read(op.before, 0), self._read(new, op.shape))
            if op.id in self.steps:
                self.steps[op.id] = replace(
                    self.steps[op.id], form=Form.CONCAT, reads=(reads[0], *self.steps[op.id].reads)
                )
            else:
                self._emit(op, Form.CONCAT, "copy_", reads)
            value = replace(value, step=op.id)
        self._values[op.id, -1] = value
        return value

    @staticmethod
    def _read(value: _Value, shape: tuple[int, ...]) -> Read:
        return Read(step=value.step, place=value.place, shape=shape, signal=value.signal)

    def _uniform(self, operand: Operand) -> bool:
        if prod(operand.shape) == 1 and operand.constant:
            return True
        return self._of(operand).uniform

    def _set(self, op: Op, value: _Value) -> None:
        for index in range(len(op.outputs)):
            self._values[op.id, index] = value

    def _emit(self, op: Op, form: Form, name: str, reads: tuple[Read, ...]) -> None:
        signal = op.dtype.is_floating_point or op.dtype.is_complex
        groups, stride, transposed = _geometry(op) if form == Form.CONVOLUTION else (1, 1, False)
        self.steps[op.id] = Step(
            id=op.id,
            form=form,
            name=str(op.name),
            reads=reads,
            module=op.module,
            call=op.call,
            shape=op.shape,
            dtype=_name(op.dtype),
            signal=signal,
            adds=name in ADDS,
            subtracts=name in SUBTRACTS,
            multiplies=name in MULTIPLIES,
            groups=groups,
            stride=stride,
            transposed=transposed,
            settings=settings_of(op, form, self._ops),
        )
        for index, output in enumerate(op.outputs):
            whole = entire(str(op.id) if index == 0 else f"{op.id}.{index}", output.shape)
            self._values[op.id, index] = _Value(
                step=op.id,
                place=whole,
                layout=_laid(whole, output),
                signal=signal,
            )

    def _moved(self, op: Op, name: str) -> bool:
        """Follow elements through an operator that only moves them; false if it looks up a table."""
        first = op.operands[0]
        value = self._of(first)
        sources = first.sources or value.sources
        if sources:
            if name not in _GATHERS:
                self._set_all_views(op, _Value(sources=sources, place=sources[0]), name)
                return True
            if sources[0].name in self._buffers:
                self._set(op, _NOTHING)
                return True
            if len(first.shape) < 3:
                return False
            self._set_rows(op, sources[0], name)
            return True
        if value.step is None and name in _GATHERS:
            self._set(op, _Value(random=value.random))
            return True
        if not value.signal and op.dtype.is_floating_point and value.step is not None and name == "_to_copy":
            self._emit(op, Form.POINTWISE, name, (self.read(first, 0),))
            return True
        self._set_all_views(op, value, name)
        return True

    def _set_all_views(self, op: Op, value: _Value, name: str) -> None:
        base = op.operands[0]
        for index, output in enumerate(op.outputs):
            place: Source | None = None
            layout: Layout | None = None
            if op.view and value.layout is not None:
                layout = value.layout
                place = view(layout, output.shape, output.strides, output.offset)
            elif name in _SAME_ELEMENTS and value.place is not None and base.shape == output.shape:
                place = value.place
                layout = _laid(place, output)
            elif name in _RESHAPES and value.place is not None:
                flat = layout_of(value.place, base.shape, row_major(base.shape), 0)
                place = view(flat, output.shape, row_major(output.shape), 0)
                layout = _laid(place, output)
            elif value.step is not None:
                # Rolled, padded, gathered: another tensor of the same step, with a name of its own.
                place = entire(f"{value.step}~{op.id}.{index}", output.shape)
                layout = _laid(place, output)
            kept = (place,) if value.sources and place is not None else ()
            self._values[op.id, index] = _Value(
                step=value.step,
                place=place,
                layout=layout,
                signal=value.signal,
                random=value.random,
                uniform=value.uniform,
                sources=kept,
            )

    def _set_rows(self, op: Op, source: Source, name: str) -> None:
        """Stacked weights picked by an index: still weights, without the dimension that was indexed."""
        output = op.outputs[0]
        place = 0
        if name == "index_select":
            place = op.args[1] % len(source.dims)
            kept = [() if i == place else spans for i, spans in enumerate(source.dims)]
        else:
            rest = list(source.dims[1:])
            kept = [()] * (len(output.shape) - len(rest)) + rest
        picked = source._replace(dims=tuple(kept[-len(output.shape) :]), derived=True)
        self._values[op.id, 0] = _Value(sources=(picked,), place=picked, layout=_laid(picked, output))

    def _written(self, op: Op, name: str) -> bool:
        """Writing into memory that holds nothing yet is only a move of what is written."""
        own = self._of(op.operands[0])
        pasted = [o for o in op.operands[1:] if self._of(o).step is not None and self._of(o).signal]
        fresh = own.step is None and not op.operands[0].sources
        whole = name == "copy_"
        if not pasted or not (fresh or whole):
            return False
        value = self._of(pasted[-1])
        output = op.outputs[0]
        if whole and value.place is not None and pasted[-1].shape == output.shape:
            layout = _laid(value.place, output)
            self._values[op.id, 0] = replace(value, layout=layout)
        else:
            moved = entire(f"{value.step}~{op.id}", output.shape)
            self._values[op.id, 0] = replace(value, place=moved, layout=_laid(moved, output))
        return True

    def _reads(self, op: Op, name: str, form: Form) -> Iterator[Read]:
        parts = parts_of(name, form, len(op.args))
        labels = _labels(op, name, form)
        matrices = 0
        for position, (operand, where) in enumerate(_located(op)):
            part = parts.get(where, Part.ANY) if isinstance(where, int) else Part.ANY
            if form == Form.RECURRENCE and operand.sources and part == Part.ANY:
                if len(operand.sources[0].shape) < 2:
                    part = Part.RECURRENT_BIAS
                else:
                    part = Part.RECURRENT_STATE if matrices % 2 else Part.RECURRENT_INPUT
                    matrices += 1
            if form == Form.CONTRACTION and labels.get(position) and position == min(labels):
                right = op.operands[position + 1 : position + 2]
                if operand.sources and right and right[0].sources:
                    part = Part.DATA
            yield self.read(operand, position, part, labels.get(position, ""))


def _located(op: Op) -> list[tuple[Operand, int | str]]:
    """Tensor operands with the place of the argument that holds them."""
    found: list[tuple[Operand, int | str]] = []

    def look(value: Any, place: int | str) -> None:
        if isinstance(value, Operand):
            found.append((value, place))
        elif isinstance(value, list | tuple):
            for item in value:
                look(item, place)

    for place, value in enumerate(op.args):
        look(value, place)
    for key, value in op.kwargs.items():
        look(value, key)
    return found


def _labels(op: Op, name: str, form: Form) -> dict[int, str]:
    """Letters for the dimensions of the factors, by position among the operands."""
    shapes = [operand.shape for operand in op.operands]
    if form == Form.CONVOLUTION and len(shapes) > 1:
        spatial = "r" * (len(shapes[1]) - 2)
        return {1: ("co" if _geometry(op)[2] else "oc") + spatial}
    if form != Form.CONTRACTION:
        return {}
    if name in {"_grouped_mm", "_scaled_grouped_mm"}:
        return {0: "xc" if len(shapes[0]) == 2 else "bxc", 1: "cw" if len(shapes[1]) == 2 else "bcw"}
    if name == "_trilinear":  # the operator behind nn.Bilinear sums over both of its inputs
        return {1: "occ"}
    if name == "matmul":
        return {0: "b" * (len(shapes[0]) - 2) + "xc", 1: "b" * (len(shapes[1]) - 2) + "cw"}
    if name not in CONTRACTIONS:
        return {}
    first, left, right = CONTRACTIONS[name]
    if name == "linear":
        left = "x" * (len(shapes[0]) - 1) + "c"
    return {first: left, first + 1: right}


def _geometry(op: Op) -> tuple[int, int, bool]:
    given = {**dict(zip(op.facts.arguments if op.facts else (), op.args, strict=False)), **op.kwargs}
    strides = given.get("stride", ())
    strides = list(strides) if isinstance(strides, list | tuple) else [strides]
    spatial = len(op.operands[1].shape) - 2
    if len(strides) == 1:
        strides *= spatial
    transposed = bool(given.get("transposed", "transpose" in op.name))
    return int(given.get("groups", 1)), prod(strides), transposed


@cache
def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _laid(place: Source, output: Output) -> Layout | None:
    if len(place.dims) != len(output.shape):
        return None
    return layout_of(place, output.shape, output.strides, output.offset)
