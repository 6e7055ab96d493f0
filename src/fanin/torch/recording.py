"""What a run leaves behind: operators, what they read, and where their outputs lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import nn

from fanin.graphs.sources import Source
from fanin.torch.names import NamedTensor
from fanin.torch.ops import Facts

__all__ = ["Beside", "Observer", "Op", "Operand", "Output", "Recording"]

# (Nothing changes an operator, an operand or an output once it is made. They are not frozen because a frozen
# one takes several times as long to make, and a run makes thousands.)


class Observer(Protocol):
    """Someone who looks at tensors while the model runs."""

    def after(self, id: int, output: torch.Tensor) -> None:
        """Right after operator `id`, with its (first) output: the object that gets the history."""
        ...

    def before_mutation(self, id: int, tensor: torch.Tensor) -> None:
        """Just before the output of `id` is changed in place by a later operator."""
        ...


@runtime_checkable
class Beside(Protocol):
    """A module that calls others which it does not register (layers of another framework)."""

    def modules_beside(self) -> Iterable[tuple[str, nn.Module]]:
        """These modules, with the paths that operators under them are to have."""
        ...


@dataclass(slots=True, kw_only=True)
class Operand:
    """A tensor that an operator read.

    Parameters
    ----------
    op, index
        The operator whose output it is (or a view of it), and which of its outputs. None for
        parameters and for tensors from outside.
    sources
        Parameters behind it, when its values come from parameters alone.
    constant
        Whether it depends neither on the inputs nor on parameters.
    value
        The tensor itself, for small constants from outside.
    """

    op: int | None
    index: int = 0
    shape: tuple[int, ...]
    dtype: torch.dtype
    sources: tuple[Source, ...] = ()
    constant: bool = False
    value: torch.Tensor | None = None


@dataclass(slots=True, kw_only=True)
class Output:
    """Where one output of an operator lies in its memory."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


@dataclass(slots=True, kw_only=True)
class Op:
    """One operator that ran; `func` and `facts` are None for an input of the model.

    `args` and `kwargs` are as they were passed, with an `Operand` for each tensor; `operands`
    lists these in order. `sources` and `constant` speak of the first output. `view` says that the
    output is a view of memory that existed before. If an in-place operator wrote to a part of a
    memory, `before` is that memory as it was; reads of the whole then have index -1.
    """

    id: int
    name: str
    func: Any
    facts: Facts | None = None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    operands: tuple[Operand, ...]
    module: str
    call: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    outputs: tuple[Output, ...]
    sources: tuple[Source, ...] = ()
    constant: bool = False
    view: bool = False
    mutates: bool = False
    before: Operand | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A run: operators in order (ids are places in `ops`), and what the model returned.

    `outputs` are the tensors in it; `returned` is the object itself. `strangers` are the shapes of tensors
    that ask for a gradient and belong to no module of the model.
    """

    engine: str
    ops: tuple[Op, ...]
    outputs: tuple[Operand, ...]
    tensors: tuple[NamedTensor, ...]
    mode: Literal["train", "eval"]
    returned: Any = None
    strangers: tuple[tuple[int, ...], ...] = ()
