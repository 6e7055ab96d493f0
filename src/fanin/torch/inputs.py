"""How a user's batch becomes a call of the model."""

from __future__ import annotations

from collections.abc import Mapping

from fanin.errors import InputError, explain

__all__ = ["as_call"]


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
        A mapping of inputs whose keys are not all strings.

    Examples
    --------
    >>> as_call((1, 2))
    ((1, 2), {})
    >>> as_call(({"input_ids": 1},))
    ((), {'input_ids': 1})
    """
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
