"""A traced function as one flat list of operations: what a reader and a probe need of a jaxpr."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

__all__ = ["Aval", "Op", "Operand", "Recording", "Whole"]

# (As in other readers: nothing changes these once they are made, and thousands are made.)


@dataclass(slots=True, kw_only=True)
class Aval:
    """Shape and type of numbers of a value."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(slots=True, kw_only=True)
class Operand:
    """A value that an operation reads.

    Parameters
    ----------
    op, index
        The operation that made it, and which of its outputs it is; None for parameters and constants.
    parameter
        Place among the parameters' leaves.
    value
        The value itself, of a constant from outside.
    key
        A random key from outside.
    constant
        Whether it depends neither on the inputs nor on parameters.
    """

    op: int | None = None
    index: int = 0
    parameter: int | None = None
    value: NDArray[Any] | None = None
    key: Any = None
    shape: tuple[int, ...]
    dtype: str
    constant: bool = False


@dataclass(slots=True, kw_only=True)
class Whole:
    """A function that says its own derivative, called as one: operations from `first` on compute it."""

    primitive: Any
    params: Mapping[str, Any]
    operands: tuple[Operand, ...]
    first: int


@dataclass(slots=True, kw_only=True)
class Op:
    """One operation; `primitive` is None for an input, and for a choice between branches.

    `params` are the primitive's own. `module` is the path of the scope that it ran in, `call` the turn of
    the innermost loop. A `row` is what one turn of a loop gets of a stack. Outputs of a loop that runs on
    after its written out turns have the values of these in `stands_for`: operands, one an output. An output
    of a function that says its own derivative is a copy of what its operations make, with the call in `whole`
    and its place among the outputs as its "index".
    """

    id: int
    name: str
    primitive: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    operands: tuple[Operand, ...] = ()
    outputs: tuple[Aval, ...]
    module: str = ""
    call: int = 0
    constant: bool = False
    random: bool = False
    row: bool = False
    stands_for: tuple[Operand, ...] = ()
    whole: Whole | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return self.outputs[0].shape

    @property
    def dtype(self) -> str:
        """Type of the first output's numbers."""
        return self.outputs[0].dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A traced call: operations in order (ids are places in `ops`), and what it returned.

    `inputs` are the ids of the operations that are the function's inputs, in their order. `notes` say what
    was simplified. `returned` puts values in the places of the outputs, in what the function returned.
    """

    ops: tuple[Op, ...]
    outputs: tuple[Operand, ...]
    inputs: tuple[int, ...]
    notes: tuple[str, ...] = ()
    returned: Callable[[Sequence[Any]], Any] = list
