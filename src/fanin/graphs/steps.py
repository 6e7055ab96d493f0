"""A recorded run in no framework's words: what is left when views, copies and constants are gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from fanin.graphs.sources import Source

# (Nothing changes a read or a step once it is made. They are not frozen because a frozen one takes several
# times as long to make, and a reading makes thousands.)

__all__ = ["Form", "Part", "Read", "Region", "Run", "Step", "Tables", "Trial"]


class Form(StrEnum):
    """What an operator does, as far as reading a model needs to know."""

    INPUT = "input"
    CONTRACTION = "contraction"
    CONVOLUTION = "convolution"
    LOOKUP = "lookup"
    POINTWISE = "pointwise"
    REDUCTION = "reduction"
    NORM = "norm"
    SOFTMAX = "softmax"
    ATTENTION = "attention"
    POOL = "pool"
    DROPOUT = "dropout"
    CONCAT = "concat"
    RECURRENCE = "recurrence"
    GLU = "glu"
    LOSS = "loss"
    OTHER = "other"


class Part(StrEnum):
    """The part of an operand that its operator fixes by position; ANY where the values decide."""

    ANY = "any"
    DATA = "data"
    INDEX = "index"
    TABLE = "table"
    WEIGHT = "weight"
    BIAS = "bias"
    SCALE = "scale"
    SHIFT = "shift"
    STATISTIC = "statistic"
    SLOPE = "slope"
    RECURRENT_INPUT = "recurrent input"
    RECURRENT_STATE = "recurrent state"
    RECURRENT_BIAS = "recurrent bias"


@dataclass(slots=True, kw_only=True)
class Read:
    """A tensor that a step reads.

    Parameters
    ----------
    step
        The step that made it, views and copies skipped; None for parameters and constants.
    place
        Which part of that step's output it is, and how its dimensions run there; None when that
        was lost on the way (gathered, rolled).
    sources
        Parameters behind it, when it comes from parameters alone.
    labels
        For contractions and convolutions: the role of each dimension of the operand, one letter
        each: b(atch), o(ut), i(n), r(eceptive).
    operand
        Position among the operator's tensor operands.
    """

    step: int | None
    place: Source | None = None
    shape: tuple[int, ...]
    signal: bool = True
    constant: bool = False
    random: bool = False
    sources: tuple[Source, ...] = ()
    labels: str = ""
    part: Part = Part.ANY
    operand: int = 0


@dataclass(slots=True, kw_only=True)
class Step:
    """An operator that computes something from the inputs.

    `signal` is false for outputs of whole numbers and truth values (indices, masks). `adds` and
    `multiplies` say which pointwise operators are sums and products of their operands; a difference
    is a sum that `subtracts`. `units` is the place of the units among the output's
    dimensions, where it is not the last (a convolution's: not the second). `settings` are numbers that
    change what it does to a signal; see `fanin.records.graph.Node`.
    """

    id: int
    form: Form
    name: str
    reads: tuple[Read, ...]
    module: str
    call: int
    shape: tuple[int, ...]
    dtype: str
    signal: bool = True
    adds: bool = False
    subtracts: bool = False
    multiplies: bool = False
    groups: int = 1
    stride: int = 1
    transposed: bool = False
    units: int | None = None
    settings: tuple[tuple[str, tuple[float, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Pointwise steps and reductions that lead from one tensor to another.

    `root` and `place` name the tensor (a step's output, or a part of it); `members` are steps in
    order, the last is the region's end.
    """

    root: int
    place: Source | None
    members: tuple[int, ...]
    reduces: bool
    parameters: tuple[str, ...]

    @property
    def end(self) -> int:
        """The step whose output the region is."""
        return self.members[-1]


Tables: TypeAlias = Callable[[Region], Sequence[float] | None]
"""Evaluates a region on `fanin.laws.quadrature.NODES`; None when that cannot be done."""

Trial: TypeAlias = Callable[[Region], str]
"""Tries a region that reduces on random numbers: "norm", "softmax", or "" for neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that the reading of a run needs.

    `offset` gives the constant that a derived parameter has when the parameter itself is zero (1 for
    ``1 + w``), by step and operand; None where it is not the parameter plus a constant (``exp(w)``).
    `spread` gives the root mean square of a derived weight that forgets the scale of its parameter.
    """

    steps: tuple[Step, ...]
    outputs: tuple[Read, ...]
    table: Tables
    trial: Trial
    offset: Callable[[int, int], float | None]
    identify: Callable[[Sequence[float]], str | None]
    buffers: frozenset[str] = field(default_factory=frozenset)
    spread: Callable[[int, int], float | None] = field(default=lambda _step, _operand: None)
