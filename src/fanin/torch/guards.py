"""What a run may come to grief on, in words: no memory, no samples, no weights, random numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from fanin.errors import FaninError, InputError, ModelError, explain
from fanin.torch.ops import base_name
from fanin.torch.recording import Recording

__all__ = ["memory_told", "random_numbers", "refuse_empty", "refuse_kinds", "refuse_nested", "refuse_weights"]

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
    except (FaninError, RuntimeError, MemoryError) as error:
        cause = error.__cause__ or error
        if not _out_of_memory(cause):
            raise
        raise ModelError(
            explain(
                "Memory ran out",
                received=" ".join(str(cause).split())[:200] or type(cause).__name__,
                rule="A check holds the output of every layer at once, as training does",
                remedy="Give a smaller batch, ask for tier='fast', or free memory first",
            )
        ) from cause


def _out_of_memory(error: BaseException) -> bool:
    known = (MemoryError, getattr(torch, "OutOfMemoryError", MemoryError))
    return isinstance(error, known) or "allocate memory" in str(error)


def refuse_weights(model: nn.Module) -> None:
    """Refuse a model without weights, or with tensors that have no values.

    Raises
    ------
    ModelError
        It has no parameter, or some of its parameters or buffers are on the meta device.
    """
    if next(model.parameters(), None) is None:
        raise ModelError(
            explain(
                "The model has no weights, so there is nothing to check",
                received="no parameter",
                rule="A check is about the parameters of a torch.nn.Module",
            )
        )
    blank = {"parameters": model.parameters(), "buffers": model.buffers()}
    if kinds := [kind for kind, tensors in blank.items() if any(t.is_meta for t in tensors)]:
        raise ModelError(
            explain(
                f"The model's {'weights' if kinds[0] == 'parameters' else 'buffers'} have no values",
                received=f"{' and '.join(kinds)} on the meta device",
                rule="A check measures real weights",
                remedy="Initialise the model first: fanin.torch.init_(model, batch, device='cpu')",
            )
        )


def refuse_empty(recording: Recording) -> None:
    """Refuse a batch without samples.

    Raises
    ------
    InputError
        An input has no element.
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


def refuse_kinds(inputs: object) -> None:
    """Refuse inputs that are tensors of a kind without one shape, or without real numbers.

    Raises
    ------
    InputError
        A nested or a quantised tensor.
    """
    for leaf in tree_leaves(inputs):
        if isinstance(leaf, torch.Tensor) and (leaf.is_nested or leaf.is_quantized):
            kind, remedy = (
                ("nested", "Give a padded tensor, and a mask if the model takes one: x.to_padded_tensor(0.0)")
                if leaf.is_nested
                else ("quantised", "Give the numbers: x.dequantize(). A check is for a model before training")
            )
            raise InputError(
                explain(
                    "This kind of tensor cannot be measured",
                    received=f"a {kind} tensor as an input",
                    rule="An input is a dense or a sparse tensor",
                    remedy=remedy,
                )
            )


def refuse_nested(inputs: object) -> None:
    """Refuse inputs without one shape, which no run can be recorded of.

    Raises
    ------
    InputError
        A nested tensor.
    """
    if any(isinstance(leaf, torch.Tensor) and leaf.is_nested for leaf in tree_leaves(inputs)):
        raise InputError(
            explain(
                "Nested tensors cannot be recorded",
                received="a nested tensor as an input",
                rule="An input has one shape",
                remedy="Give a padded tensor, and a mask if the model takes one: x.to_padded_tensor(0.0)",
            )
        )


def random_numbers(recording: Recording) -> tuple[str, ...]:
    """A note on operators that draw random numbers, which make figures differ from run to run."""
    drawn = sorted({op.name for op in recording.ops if op.func is not None and base_name(op.func) in _RANDOM})
    if not drawn:
        return ()
    return (f"the forward pass draws random numbers ({', '.join(drawn)}): figures differ from run to run",)
