"""What a run may come to grief on, in words: no memory, no samples, no weights, random numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from fanin.errors import InputError, ModelError, explain
from fanin.torch.ops import base_name
from fanin.torch.recording import Recording

__all__ = ["memory_told", "random_numbers", "refuse_empty"]

_RANDOM = {
    *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "normal_"),
    *("uniform_", "multinomial", "poisson", "exponential_"),
}
"""Operators that draw numbers; dropout's are left out, which every reader expects."""


@contextlib.contextmanager
def memory_told() -> Iterator[None]:
    """Say what to do when memory runs out.

    Raises
    ------
    ModelError
        In place of the framework's error, which it has as its cause.
    """
    try:
        yield
    except (ModelError, RuntimeError, MemoryError) as error:
        cause = error.__cause__ or error
        if not _out_of_memory(cause):
            raise
        raise ModelError(
            explain(
                "Memory ran out",
                received=" ".join(str(cause).split())[:200],
                rule="A check holds the output of every layer at once, as training does",
                remedy="Give a smaller batch, ask for tier='fast', or free memory first",
            )
        ) from cause


def _out_of_memory(error: BaseException) -> bool:
    known = (MemoryError, getattr(torch, "OutOfMemoryError", MemoryError))
    return isinstance(error, known) or "allocate memory" in str(error)


def refuse_empty(recording: Recording) -> None:
    """Refuse a batch without samples, and a model without weights.

    Raises
    ------
    InputError
        An input has no element.
    ModelError
        The model has no parameter.
    """
    for place, op in enumerate(op for op in recording.ops if op.name == "input"):
        if 0 in op.shape:
            raise InputError(
                explain(
                    "The batch is empty",
                    received=f"input {place + 1} of shape {op.shape}",
                    rule="A batch has a sample, better 64",
                )
            )
    if all(t.buffer for t in recording.tensors):
        raise ModelError(
            explain(
                "The model has no weights, so there is nothing to check",
                received="no parameter",
                rule="A check is about the parameters of a torch.nn.Module",
            )
        )


def random_numbers(recording: Recording) -> tuple[str, ...]:
    """A note on operators that draw random numbers, which make figures differ from run to run."""
    drawn = sorted({op.name for op in recording.ops if op.func is not None and base_name(op.func) in _RANDOM})
    if not drawn:
        return ()
    return (f"the forward pass draws random numbers ({', '.join(drawn)}): figures differ from run to run",)
