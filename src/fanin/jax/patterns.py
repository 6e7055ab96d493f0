"""What JAX's libraries write out in several operations, and other readers see as one.

A dropout is a choice between zeros and a scaled signal; a mean is a sum and a division; a batch norm that
runs on stored statistics is a product and a sum with what was made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any, Protocol

from fanin.graphs.derived import Sources
from fanin.graphs.steps import Form, Part, Read, Step
from fanin.jax.primitives import MULTIPLIES, SAME, form_of
from fanin.jax.recording import Op, Operand

__all__ = ["Work", "batch_norm", "batch_norm_shift", "dropout", "mean"]

_REACH = 8
"""Moves between a sum and what divides it."""


class Work(Protocol):
    """A conversion under way: steps so far, and what every value is."""

    steps: dict[int, Step]
    ops: tuple[Op, ...]
    buffers: frozenset[str]
    statistics: frozenset[str]
    readers: dict[int, int]

    def of(self, operand: Operand) -> Any:
        """What an operand is."""
        ...

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
        """Make a step."""
        ...


def dropout(work: Work, op: Op, reads: Sequence[Read]) -> bool:
    """Chosen at random between a signal and zeros."""
    if not (reads[0].random and len(reads) == 3):
        return False
    signals = [read for read in reads[1:] if read.step is not None]
    zeros = [o for o, r in zip(op.operands[1:], reads[1:], strict=True) if r.constant and not r.shape]
    if len(signals) != 1 or len(zeros) != 1:
        return False
    kept = _kept(work, op.operands[0], signal_first=reads[1].step is not None)
    (signal,) = signals
    factor = _factor(work, op.operands[signal.operand], signal)
    if factor is not None and signal.step is not None:
        scaled = work.steps.pop(signal.step)
        signal = next(read for read in scaled.reads if read.step is not None)
    settings = () if kept is None else (("p", (1.0 - kept,)), ("kept times", (factor or 1.0,)))
    work.emit(op, Form.POINTWISE, "select_n", (reads[0], signal), settings, multiplies=True)
    return True


def _factor(work: Work, operand: Operand, read: Read) -> float | None:
    """The constant that a signal was multiplied by, where nothing else reads the product."""
    step = work.steps.get(read.step) if read.step is not None else None
    if step is None or step.name not in MULTIPLIES or not _alone(work, operand, step.id):
        return None
    signals = [one for one in step.reads if one.step is not None]
    others = [one for one in step.reads if one.constant]
    if len(signals) != 1 or len(others) != 1 or (step.name == "div" and others[0].operand == 0):
        return None
    number = _number(work, work.ops[step.id].operands[others[0].operand])
    return None if not number else 1.0 / number if step.name == "div" else number


def _kept(work: Work, mask: Operand, *, signal_first: bool) -> float | None:
    """The probability behind a random mask: of ``uniform < p``, the p."""
    for _ in range(_REACH):
        op = work.ops[mask.op] if mask.op is not None else None
        if op is None or not op.operands:
            return None
        if op.name in {"lt", "le"}:
            value = _number(work, op.operands[1])
            return None if value is None else (1.0 - value if signal_first else value)
        if op.name not in SAME | {"broadcast_in_dim", "reshape", "squeeze"}:
            return None
        mask = op.operands[0]
    return None


def _number(work: Work, operand: Operand) -> float | None:
    """A constant's one value, through moves."""
    for _ in range(_REACH):
        if operand.value is not None:
            return float(operand.value.flat[0]) if operand.value.size and work.of(operand).uniform else None
        op = work.ops[operand.op] if operand.op is not None else None
        if op is None or not op.operands or form_of(op.name) is not None:
            return None
        operand = op.operands[0]
    return None


def mean(work: Work, op: Op) -> bool:
    """A sum over places divided by their number is a mean; over windows, an average pool."""
    value = work.of(op.operands[0])
    step = work.steps.get(value.step) if value.step is not None else None
    known = step is not None and step.name in {"reduce_sum", "reduce_window_sum"}
    if step is None or not known or not op.operands[1].constant or not _alone(work, op.operands[0], step.id):
        return False
    if step.form == Form.POOL:
        del work.steps[step.id]
        work.emit(op, Form.POOL, "avg_pool", step.reads, step.settings)
        return True
    number = _number(work, op.operands[1])
    terms = prod(work.ops[step.id].operands[0].shape) / max(prod(step.shape), 1)
    factor = None if not number else (1.0 / number if op.name == "div" else number)
    if factor is None or abs(factor * terms - 1.0) > 1e-5:
        return False
    del work.steps[step.id]
    settings = (*((k, v) for k, v in step.settings if k == "dim"), ("mean", (1.0,)), ("sum", (0.0,)))
    work.emit(op, Form.REDUCTION, "mean", step.reads, settings)
    return True


def _alone(work: Work, operand: Operand, step: int) -> bool:
    """Whether an operand is the whole of a step's output, and nothing else reads it."""
    for _ in range(_REACH):
        if operand.op is None or work.readers.get(operand.op, 0) != 1:
            return False
        if operand.op == step:
            return True
        op = work.ops[operand.op]
        if op.name not in SAME | {"broadcast_in_dim", "reshape", "squeeze"}:
            return False
        if prod(op.shape) != prod(op.operands[0].shape):
            return False
        operand = op.operands[0]
    return False


def batch_norm(work: Work, op: Op, reads: tuple[Read, ...]) -> bool:
    """A product with running statistics is a norm that takes them for its input's own."""
    if op.name != "mul" or len(reads) != 2:
        return False
    signals = [read for read in reads if read.step is not None]
    factors = [read for read in reads if any(s.name in work.statistics for s in read.sources)]
    if len(signals) != 1 or len(factors) != 1 or signals[0].step is None:
        return False
    (data,), (factor,) = signals, factors
    before = work.steps.get(signals[0].step)
    if before is not None and before.subtracts and before.form == Form.POINTWISE:
        shifted = [read for read in before.reads if any(s.name in work.statistics for s in read.sources)]
        inner = [read for read in before.reads if read.step is not None]
        operand = op.operands[data.operand]
        if shifted and len(inner) == 1 and _alone(work, operand, before.id):
            del work.steps[before.id]
            data = inner[0]
            factors += shifted
    statistics = [
        replace(read, part=Part.STATISTIC, sources=_only(read.sources, work.statistics)) for read in factors
    ]
    scales = [
        replace(factor, part=Part.SCALE, sources=(source._replace(derived=False, main=True),))
        for source in factor.sources
        if source.name not in work.buffers
    ]
    settings = (("over the batch", (1.0,)), ("training", (0.0,)), ("centred", (1.0,)))
    made = (replace(data, part=Part.DATA), *scales, *statistics)
    work.emit(op, Form.NORM, "batch_norm", made, settings)
    return True


def batch_norm_shift(work: Work, op: Op, reads: tuple[Read, ...]) -> bool:
    """What is added to a norm by running statistics: its shift, less the mean times the scale."""
    signals = [read for read in reads if read.step is not None]
    given = [read for read in reads if any(s.name in work.statistics for s in read.sources)]
    if len(reads) != 2 or len(signals) != 1 or len(given) != 1 or signals[0].step is None:
        return False
    norm = work.steps.get(signals[0].step)
    if norm is None or norm.form != Form.NORM or not _alone(work, op.operands[signals[0].operand], norm.id):
        return False
    known = {source.name for read in norm.reads for source in read.sources}
    shifts = [
        replace(given[0], part=Part.SHIFT, sources=(source._replace(derived=False, main=True),))
        for source in given[0].sources
        if source.name not in known | work.buffers
    ]
    statistics = replace(given[0], part=Part.STATISTIC, sources=_only(given[0].sources, work.statistics))
    del work.steps[norm.id]
    work.emit(op, Form.NORM, norm.name, (*norm.reads, *shifts, statistics), norm.settings)
    return True


def _only(sources: Sources, names: frozenset[str]) -> Sources:
    return tuple(source for source in sources if source.name in names)
