"""How a user's batch becomes a call of the model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from fanin.errors import InputError, explain

__all__ = ["as_call", "remedy"]

_RUN = "Check that the model runs on this batch by itself: model(batch)"


def as_call(inputs: tuple[object, ...]) -> tuple[tuple[object, ...], dict[str, object]]:
    """Split what a verb was given after the model into positional and keyword arguments.

    One mapping (a dict, a tokenizer's encoding) is a set of keyword inputs; anything else is
    positional, in order. A model whose only positional argument is a mapping takes ``([mapping], )``
    through a small wrapper module of its own.

    Parameters
    ----------
    inputs
        The positional arguments after the model.

    Returns
    -------
    tuple
        ``(args, kwargs)`` such that the forward pass is ``model(*args, **kwargs)``.

    Raises
    ------
    InputError
        A mapping of inputs whose keys are not all strings, or a loader or an optimiser in place of a batch.

    Examples
    --------
    >>> as_call((1, 2))
    ((1, 2), {})
    >>> as_call(({"input_ids": 1},))
    ((), {'input_ids': 1})
    """
    for value in inputs:
        _no_batch(value)
    if len(inputs) != 1 or not isinstance(inputs[0], Mapping):
        return inputs, {}
    odd = [key for key in inputs[0] if not isinstance(key, str)]
    if odd:
        raise InputError(
            explain(
                "Keyword inputs need names",
                received=f"a mapping with key {odd[0]!r}",
                rule="A single mapping is passed as model(**mapping), so its keys are argument names",
                remedy="Pass tensors by position, or name every input",
            )
        )
    return (), dict(inputs[0])


def _no_batch(value: object) -> None:
    if isinstance(value, DataLoader | Dataset):
        raise InputError(
            explain(
                "There is a source of batches where a batch is wanted",
                received=type(value).__name__,
                rule="A model is run once, on one batch as its forward pass takes it",
                remedy="Take the first and leave its labels out: batch = next(iter(loader))[0]"
                if isinstance(value, DataLoader)
                else "Collate some samples, or take the first batch of a DataLoader",
            )
        )
    if isinstance(value, nn.Module | torch.optim.Optimizer):
        raise InputError(
            explain(
                "There is no batch",
                received=type(value).__name__,
                rule="The model comes first, then its inputs",
                remedy="Call it as verb(model, batch)",
            )
        )


def remedy(args: tuple[object, ...], kwargs: Mapping[str, object], error: BaseException | None = None) -> str:
    """What to do about inputs on which a forward pass failed with an error.

    Examples
    --------
    >>> remedy((np.zeros(3),), {})
    'The model was given a NumPy array: give torch.from_numpy(batch)'
    """
    if "NestedTensorImpl" in str(error):
        return "Nested tensors cannot be recorded, for they have no one shape: use padded ones"
    given = (*args, *kwargs.values())
    if not given:
        return "Give the batch that the model takes after the model"
    if any(isinstance(value, np.ndarray) for value in given):
        return "The model was given a NumPy array: give torch.from_numpy(batch)"
    first = given[0]
    if (
        len(given) == 1
        and isinstance(first, list | tuple)
        and any(isinstance(item, torch.Tensor) for item in first)
    ):
        return (
            f"The model was given one {type(first).__name__}: if it takes its parts one by one, unpack it, "
            "verb(model, *batch); labels are no part of it"
        )
    return _RUN
