"""What a study is asked for: counts, numbers, a file, a listener; each refused by its name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fanin.errors import InputError, explain, finite

__all__ = ["count", "listener", "numbers", "place", "several"]


def count(name: str, value: object, what: str) -> int:
    """A whole number of at least 1; NumPy's are taken too.

    Parameters
    ----------
    name
        Of the parameter.
    value
        What was given.
    what
        What there is none of without it, for the message.

    Raises
    ------
    InputError
        Anything else.

    Examples
    --------
    >>> count("seeds", 3, "There is no run to make")
    3
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1:
        return int(value)
    raise InputError(
        explain(what, received=f"{name}={value!r}", rule=f"{name} is at least 1, a whole number")
    )


def several(name: str, values: object) -> tuple[Any, ...]:
    """What is given one after the other; a single one, or a text, is not.

    Raises
    ------
    InputError
        Nothing that can be gone through.

    Examples
    --------
    >>> several("gains", [0.5, 1.0])
    (0.5, 1.0)
    """
    if isinstance(values, Iterable) and not isinstance(values, str | bytes):
        return tuple(values)
    raise InputError(
        explain(
            f"{name} are given as a sequence",
            received=f"{name}={values!r}"[:200],
            remedy=f"Write {name}=({values!r},)"[:100] if values is not None else "",
        )
    )


def numbers(name: str, values: object, rule: str) -> tuple[float, ...]:
    """Numbers that are positive and finite: one, or a sequence or array of them.

    Parameters
    ----------
    name
        Of the parameter.
    values
        What was given.
    rule
        What they are, for the message.

    Raises
    ------
    InputError
        None, or one that is not positive and finite.

    Examples
    --------
    >>> numbers("lr", 0.1, "A learning rate is positive and finite")
    (0.1,)
    """
    found: tuple[Any, ...] = (values,)
    if isinstance(values, np.ndarray):
        found = tuple(values.ravel())
    elif isinstance(values, Sequence) and not isinstance(values, str | bytes):
        found = tuple(values)
    if not found or not all(finite(one) and one > 0.0 for one in found):
        raise InputError(explain(rule, received=f"{name}={values!r}"[:200]))
    return tuple(float(one) for one in found)


def place(file: object) -> Path | None:
    """Where runs are kept; None for nowhere.

    Raises
    ------
    InputError
        What names no file.

    Examples
    --------
    >>> place(None) is None
    True
    """
    if file is None:
        return None
    if isinstance(file, str | os.PathLike) and str(file):
        with contextlib.suppress(OSError, ValueError):
            # A name that no file system takes raises: too long, or with a null byte.
            Path(file).exists()
            return Path(file)
    raise InputError(
        explain("The study's file has no name that can be used", received=f"file={file!r}"[:200])
    )


def listener(told: object) -> None:
    """Refuse a listener that cannot be called, before anything is trained.

    Raises
    ------
    InputError
        Neither None nor a function.

    Examples
    --------
    >>> listener(print)
    """
    if told is not None and not callable(told):
        raise InputError(
            explain("There is nobody to tell", received=f"told={told!r}"[:200],
                    rule="told is a function that takes a Progress, or None")
        )  # fmt: skip
