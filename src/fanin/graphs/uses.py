"""What part a parameter plays at the step that reads it, before its surroundings are known."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from fanin.graphs.roles import contraction_axes, convolution_axes, table_axes
from fanin.graphs.sources import Source
from fanin.graphs.steps import Form, Part, Read, Run, Step
from fanin.records.axes import Axes, Role
from fanin.records.graph import UseKind

__all__ = ["DraftUse", "use_of"]

_READS_DATA = {Form.ATTENTION, Form.POOL, Form.REDUCTION, Form.SOFTMAX}
"""Forms whose operands are data: a parameter there is a signal of its own (a learned query, a table of
positions that is resized to the image)."""


@dataclass(slots=True, kw_only=True)
class DraftUse:
    """A parameter's part at a node, before the node's surroundings are known."""

    name: str
    node: int
    kind: UseKind
    rank: int = 1
    rows: tuple[int, int] | None = None
    """First place and number of places along the out dimension, if only a slice is read."""
    axes: Axes | None = None
    offset: float = 0.0
    shifted: bool = True
    """Whether a derived parameter is the parameter plus a constant; exp(w) is not."""
    activation: int | None = None
    gated: bool = False
    gate_activation: int | None = None
    normalised: bool = False
    head: bool = False
    branch: int | None = None
    blocks: tuple[int, ...] = ()
    router: bool = False
    scores: float = 1.0
    spread: float | None = None


def use_of(step: Step, read: Read, source: Source, run: Run) -> DraftUse:
    """The use of one parameter behind one operand of a step."""
    rank = sum(size > 1 for size in source.shape[source.stacked :])
    made = DraftUse(name=source.name, node=step.id, kind=UseKind.OTHER, rank=rank)
    if not source.main:
        # The magnitude of a weight norm; the vectors of a spectral norm are buffers.
        made.kind = UseKind.OTHER if source.name in run.buffers else UseKind.SCALE
        if rank > 1 and step.form == Form.CONTRACTION and read.labels:
            # A factor of a low-rank update: one of its dimensions is the weight's, one is inner.
            made.kind, made.axes = UseKind.WEIGHT, contraction_axes(source, read.labels)
        return made
    if step.form == Form.NORM:
        kinds = {Part.SCALE: UseKind.NORM_SCALE, Part.SHIFT: UseKind.NORM_SHIFT, Part.DATA: UseKind.SHIFT}
        made.kind = kinds.get(read.part, UseKind.OTHER)
        if made.kind == UseKind.NORM_SCALE and source.derived:
            _shift(made, run.offset(step.id, read.operand))
    elif step.form == Form.RECURRENCE:
        recurrent = {
            Part.RECURRENT_INPUT: UseKind.RECURRENT_INPUT,
            Part.RECURRENT_STATE: UseKind.RECURRENT_STATE,
            Part.RECURRENT_BIAS: UseKind.RECURRENT_BIAS,
        }
        made.kind = recurrent.get(read.part, UseKind.OTHER)
        if made.kind in {UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE}:
            made.axes = contraction_axes(source, "oc")
            gates = source.shape[0] // max(step.shape[-1], 1)
            if gates > 1 and source.shape[0] % gates == 0 and "bidirectional" not in step.name:
                made.blocks = (source.shape[0] // gates,) * gates
    elif read.part == Part.BIAS:
        made.kind = UseKind.BIAS
    elif step.form == Form.CONTRACTION and read.part == Part.DATA:
        made.kind = UseKind.SHIFT
    elif step.form == Form.CONTRACTION:
        made.kind = UseKind.WEIGHT
        made.axes = contraction_axes(source, read.labels)
        made.rows = _rows(source, made.axes)
        made.spread = _spread(step, read, source, run)
    elif step.form == Form.CONVOLUTION and read.part == Part.WEIGHT:
        made.kind = UseKind.WEIGHT
        made.axes = convolution_axes(
            source, read.labels, groups=step.groups, stride=step.stride, transposed=step.transposed
        )
        made.spread = _spread(step, read, source, run)
    elif step.form == Form.LOOKUP and read.part in {Part.TABLE, Part.ANY}:
        made.kind = UseKind.EMBEDDING
        made.axes = table_axes(source.shape, max(read.labels.find("c"), 0))
    elif source.name in run.buffers:
        return made
    elif step.form == Form.CONCAT or step.form in _READS_DATA or read.part == Part.DATA or step.adds:
        made.kind = UseKind.SHIFT
    elif step.multiplies:
        made.kind = UseKind.SCALE
        if source.derived:
            _shift(made, run.offset(step.id, read.operand))
    elif step.form == Form.POINTWISE:
        # A threshold, a bound, an exponent: it enters the function that is applied to each element.
        made.kind = UseKind.ACTIVATION_PARAMETER
    return made


def _spread(step: Step, read: Read, source: Source, run: Run) -> float | None:
    # The vectors of a spectral norm are fitted to the weight while it runs: a trial knows other ones.
    fitted = any(other.name in run.buffers for other in read.sources)
    return run.spread(step.id, read.operand) if source.derived and not fitted else None


def _shift(made: DraftUse, offset: float | None) -> None:
    made.offset, made.shifted = offset or 0.0, offset is not None


def _rows(source: Source, axes: Axes) -> tuple[int, int] | None:
    """The slice of the out dimension that is read; None for all of it."""
    outs = [i for i, role in enumerate(axes.roles) if role == Role.OUT]
    if len(outs) != 1:
        return None
    size = prod(span.size for spans in source.dims for span in spans if span.dim == outs[0])
    return (source.start[outs[0]], size) if size < source.shape[outs[0]] else None
