"""From a flat recording to neutral steps: views, copies and constants disappear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fanin.graphs.derived import Sources, row_major
from fanin.graphs.regions import part_of
from fanin.graphs.sources import Source, entire, layout_of, view
from fanin.graphs.steps import Form, Part, Read, Step
from fanin.jax.derive import Tensor, derive, picked
from fanin.jax.leaves import Leaf
from fanin.jax.patterns import batch_norm, batch_norm_shift, dropout, mean
from fanin.jax.primitives import (
    ADDS,
    CHOICES,
    MULTIPLIES,
    SAME,
    SUBTRACTS,
    View,
    form_of,
    settings_of,
    views_of,
)
from fanin.jax.recording import Op, Operand, Recording

__all__ = ["converted"]

_FLOATS = ("float", "bfloat", "complex")

_LAYERS = frozenset({Form.CONTRACTION, Form.CONVOLUTION, Form.LOOKUP})


@dataclass(slots=True, kw_only=True)
class _Value:
    """What an output is: a (part of a) step's output, a form of parameters, or a constant."""

    step: int | None = None
    place: Source | None = None
    signal: bool = False
    random: bool = False
    uniform: bool = False
    sources: Sources = ()


def converted(recording: Recording, leaves: Sequence[Leaf]) -> tuple[tuple[Step, ...], tuple[Read, ...]]:
    """Turn a recording into steps and the reads that are the function's outputs."""
    work = _Conversion(recording, leaves)
    for op in recording.ops:
        work.add(op)
    outputs = tuple(work.read(operand, 0) for operand in recording.outputs)
    return tuple(work.steps[id] for id in sorted(work.steps)), outputs


class _Conversion:
    def __init__(self, recording: Recording, leaves: Sequence[Leaf]) -> None:
        self.steps: dict[int, Step] = {}
        self.ops = recording.ops
        self._leaves = leaves
        self._values: dict[tuple[int, int], _Value] = {}
        self.buffers = frozenset(leaf.name for leaf in leaves if leaf.buffer)
        self.statistics = frozenset(leaf.name for leaf in leaves if leaf.role.startswith("statistics"))
        self.readers: dict[int, int] = {}
        for op in recording.ops:
            for id in {o.op for o in op.operands if o.op is not None}:
                self.readers[id] = self.readers.get(id, 0) + 1
        for operand in recording.outputs:
            if operand.op is not None:
                self.readers[operand.op] = self.readers.get(operand.op, 0) + 1

    # ------------------------------------------------------------------ values
    def add(self, op: Op) -> None:
        """Take in the next operation."""
        if op.constant:
            found = [self.of(o) for o in op.operands]
            uniform = op.name != "iota" and not op.random and all(value.uniform for value in found)
            self._set(op, _Value(random=op.random, uniform=uniform and bool(found)))
        elif op.name == "input":
            self.emit(op, Form.INPUT, "input", ())
        elif op.stands_for:
            for index, operand in enumerate(op.stands_for):
                self._values[op.id, index] = self._standing(operand, op.outputs[index].shape)
        elif not self._derived(op):
            form = form_of(op.name)
            if form is None and self._moved(op):
                return
            self._step(op, form or Form.LOOKUP)

    def of(self, operand: Operand) -> _Value:
        if operand.op is not None:
            return self._values.get((operand.op, operand.index), _Value())
        if operand.parameter is not None:
            leaf = self._leaves[operand.parameter]
            if not leaf.dtype.startswith(_FLOATS):  # counters and the like: no part of the computation
                return _Value()
            whole = entire(leaf.name, leaf.shape)
            return _Value(place=whole, sources=(whole,))
        value = operand.value
        same = value is not None and value.size > 0 and bool((value == value.flat[0]).all())
        return _Value(uniform=same)

    def _standing(self, operand: Operand, shape: tuple[int, ...]) -> _Value:
        value = self.of(operand)
        if operand.shape == shape or value.step is None:
            return value
        return replace(value, place=entire(f"{value.step}~stack", shape))

    def _set(self, op: Op, value: _Value) -> None:
        for index in range(len(op.outputs)):
            self._values[op.id, index] = value

    def read(self, operand: Operand, position: int, part: Part = Part.ANY, labels: str = "") -> Read:
        """An operand as a step reads it."""
        value = self.of(operand)
        sources = value.sources
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

    # ------------------------------------------------------------------ parameters alone
    def _derived(self, op: Op) -> bool:
        """Follow parameters through operations that read nothing else; false if it makes a signal."""
        values = [self.of(o) for o in op.operands]
        if any(value.step is not None for value in values) or not any(value.sources for value in values):
            return False
        tensors = [
            Tensor(shape=o.shape, sources=v.sources, constant=o.constant)
            for o, v in zip(op.operands, values, strict=True)
        ]
        found = derive(op, tensors, self.buffers)
        if found is None:
            return False
        for index, made in enumerate(found):
            sources = tuple(s._replace(stacked=s.stacked + 1) for s in made) if op.row else made
            place = sources[0] if sources else None
            self._values[op.id, index] = _Value(sources=sources, place=place)
        return True

    # ------------------------------------------------------------------ moves
    def _moved(self, op: Op) -> bool:
        """Follow a signal's elements; false if the operation looks something up in a parameter."""
        value = self.of(op.operands[0])
        if value.sources:
            table = Tensor(shape=op.operands[0].shape, sources=value.sources, constant=False)
            found = picked(op, table, self.buffers) if op.name in {"gather", "dynamic_slice"} else None
            if found is not None:
                self._set(op, _Value(sources=found[0], place=found[0][0] if found[0] else None))
            return found is not None
        if op.name == "convert_element_type" and not value.signal and value.step is not None:
            if op.dtype.startswith(_FLOATS):
                self.emit(op, Form.POINTWISE, "convert_element_type", (self.read(op.operands[0], 0),))
            else:
                self._set(op, value)
            return True
        if value.step is None:  # a constant, picked by a signal
            self._set(op, _Value(random=value.random))
            if any(self.of(o).step is not None for o in op.operands[1:]):
                self._step(op, Form.OTHER)
            return True
        if op.name in SAME:
            self._set(op, value)
            return True
        views = views_of(op)
        for index, aval in enumerate(op.outputs):
            if views is not None and value.place is not None:
                place = _viewed(value.place, op.operands[0].shape, views[index])
            else:
                place = entire(f"{value.step}~{op.id}.{index}", aval.shape)
            self._values[op.id, index] = replace(value, place=place)
        return True

    # ------------------------------------------------------------------ steps
    def _step(self, op: Op, form: Form) -> None:
        reads = tuple(self._reads(op, form))
        if op.name == "concatenate" and self._rolled(op, reads):
            return
        if op.name in CHOICES and reads[0].constant and reads[1].step is not None:
            # Writing into memory that holds nothing yet is only a move of what is written.
            value = self.of(op.operands[1])
            self._set(op, replace(value, place=entire(f"{value.step}~{op.id}", op.shape)))
            return
        if op.name == "select_n" and dropout(self, op, reads):
            return
        if op.name in {"div", "mul"} and (mean(self, op) or batch_norm(self, op, reads)):
            return
        if op.name == "add" and batch_norm_shift(self, op, reads):
            return
        name = f"{op.name}.embedding" if form == Form.LOOKUP else op.name
        self.emit(op, form, name, reads, settings_of(op, form))

    def emit(
        self,
        op: Op,
        form: Form,
        name: str,
        reads: tuple[Read, ...],
        settings: tuple[tuple[str, tuple[float, ...]], ...] = (),
        *,
        multiplies: bool = False,
    ) -> None:
        derived = any(s.derived and len(s.shape) > 1 for read in reads for s in read.sources)
        if derived and form in (Form.CONTRACTION, Form.CONVOLUTION, Form.POINTWISE):
            settings = (*settings, ("derived", (1.0,)))
        convolution = form == Form.CONVOLUTION
        dilation = op.params["lhs_dilation"] if convolution else ()
        transposed = any(step > 1 for step in dilation)
        strides = (dilation if transposed else op.params["window_strides"]) if convolution else ()
        place = op.params["dimension_numbers"].out_spec[1] if convolution else _units(op, reads)
        if place is not None and not convolution:
            settings = (*settings, ("units", (float(place),)))
        self.steps[op.id] = Step(
            id=op.id,
            form=form,
            name=name,
            reads=reads,
            module=op.module or self._owner(form, reads),
            call=op.call,
            shape=op.shape,
            dtype=op.dtype,
            signal=op.dtype.startswith(_FLOATS),
            adds=name in ADDS,
            subtracts=name in SUBTRACTS,
            multiplies=multiplies or name in MULTIPLIES,
            groups=int(op.params["feature_group_count"]) if convolution else 1,
            stride=int(np.prod(strides)) if convolution else 1,
            transposed=transposed,
            settings=settings,
            units=place,
        )
        for index, aval in enumerate(op.outputs):
            self._values[op.id, index] = _Value(
                step=op.id,
                place=entire(str(op.id) if index == 0 else f"{op.id}.{index}", aval.shape),
                signal=aval.dtype.startswith(_FLOATS),
            )

    def _owner(self, form: Form, reads: Sequence[Read]) -> str:
        """Where scopes have no names: the module whose parameter is read, or a layer's own weight."""
        owners = {leaf.name: leaf.owner for leaf in self._leaves}
        name = next((s.name for read in reads for s in read.sources if s.name in owners), "")
        return owners.get(name, "") or (name if form in _LAYERS else "")

    def _reads(self, op: Op, form: Form) -> Iterator[Read]:
        labels = _labels(op)
        values = [self.of(o) for o in op.operands]
        for position, operand in enumerate(op.operands):
            part = Part.ANY
            if form == Form.CONVOLUTION:
                part = Part.WEIGHT if position else Part.DATA
            elif form == Form.LOOKUP:
                part = Part.INDEX if position else Part.TABLE
            elif form == Form.CONTRACTION and position == 0 and all(v.sources for v in values[:2]):
                part = Part.DATA
            yield self.read(operand, position, part, labels.get(position, ""))

    def _rolled(self, op: Op, reads: Sequence[Read]) -> bool:
        """Parts of one tensor in another order are that tensor, moved."""
        ids = {read.step for read in reads}
        (first,) = ids if len(ids) == 1 else (None,)
        if first is None or first not in self.steps or any(r.place is None for r in reads):
            return False
        parts = {part_of(r.place, first) for r in reads}
        whole = int(np.prod(self.steps[first].shape)) == int(np.prod(op.shape))
        if len(parts) < len(reads) or not whole or len(op.shape) != len(self.steps[first].shape):
            return False
        value = self.of(op.operands[0])
        self._set(op, replace(value, place=entire(f"{first}~{op.id}", op.shape)))
        return True


def _viewed(place: Source, shape: tuple[int, ...], seen: View) -> Source:
    """A view of a tensor whose dimensions run through a source."""
    out, strides, offset = seen
    return view(layout_of(place, shape, row_major(shape), 0), out, strides, offset)


def _units(op: Op, reads: Sequence[Read]) -> int | None:
    """Place of a product's units in its output, where a weight on the left puts them before the rest."""
    if op.name != "dot_general" or not reads[0].sources or reads[1].sources:
        return None
    (summed, _), (batch, other) = op.params["dimension_numbers"]
    free = len(op.operands[0].shape) - len(summed) - len(batch)
    last = len(batch) + free - 1
    return last if free and last != len(op.shape) - 1 and len(other) == len(batch) else None


def _labels(op: Op) -> dict[int, str]:
    """Letters for the dimensions of factors: c is summed over, b runs along in both, the others are free."""
    if op.name == "dot_general":
        (left, right), (left_batch, right_batch) = op.params["dimension_numbers"]
        found = {}
        for position, (summed, batch, free) in enumerate(
            ((left, left_batch, "x"), (right, right_batch, "w"))
        ):
            rank = len(op.operands[position].shape)
            found[position] = "".join(
                "c" if d in summed else "b" if d in batch else free for d in range(rank)
            )
        return found
    if op.name == "conv_general_dilated":
        spec = op.params["dimension_numbers"].rhs_spec
        letters = ["r"] * len(spec)
        letters[spec[0]], letters[spec[1]] = "o", "c"
        return {1: "".join(letters)}
    if op.name.startswith("ragged_dot") and len(op.operands[1].shape) == 3:
        return {0: "xc", 1: "bcw"}
    if op.name == "gather":
        numbers = op.params["dimension_numbers"]
        rank = len(op.operands[0].shape)
        return {0: "".join("c" if d in numbers.start_index_map else "o" for d in range(rank))}
    return {}
