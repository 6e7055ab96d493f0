"""The user's own data, looked at before anything is trained on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.experiments.data import NAMES, TEST_SHARE, Data, load

__all__ = ["Given", "given"]

Given: TypeAlias = "str | os.PathLike[str] | Data | tuple[Any, ...] | Mapping[str, Any]"
"""What may be given for data."""

_PARTS = ("x", "y", "x_test", "y_test")
_RULE = (
    "Data are inputs and classes (x, y), with (x, y, x_test, y_test) where you hold some out yourself: "
    "arrays with one sample along the first dimension"
)
_SPLIT_SEED = 0


def given(data: Given, *, name: str = "your data") -> Data:
    """Make sense of data, and hold a part out if that was not done.

    Parameters
    ----------
    data
        ``"digits"`` or ``"mnist"``; an ``.npz`` file, a mapping or a tuple with x and y, and x_test and
        y_test where you hold some out yourself (without them, 22 % of every class are). x has the samples
        along its first dimension, y a class for each: whole numbers from 0. Or a `Data`.
    name
        How to call it.

    Returns
    -------
    Data
        Floats as float32, whole numbers as int64.

    Raises
    ------
    InputError
        Nothing of the kind, sizes that do not fit, labels that are no classes, one class, too few samples,
        or inputs that are not finite.

    Examples
    --------
    >>> made = given((np.eye(8, dtype="float32"), np.arange(8) % 2))
    >>> made.classes, len(made.train), len(made.test)
    (2, 6, 2)
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, str | os.PathLike):
        if str(data) in NAMES or not str(data).endswith(".npz"):
            return load(str(data))
        return _checked(_opened(Path(data)), name=Path(data).name)
    if isinstance(data, Mapping):
        return _checked(dict(data), name=name)
    if isinstance(data, tuple | list) and len(data) in (2, 4):
        return _checked(dict(zip(_PARTS, data, strict=False)), name=name)
    raise InputError(explain("There is no data to train on", received=_said(data), rule=_RULE))


def _said(data: object) -> str:
    return f"{type(data).__name__} of {len(data)}" if isinstance(data, tuple | list) else type(data).__name__


def _opened(path: Path) -> dict[str, Any]:
    try:
        # Opened here, so that it is closed where NumPy finds no archive in it.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return {key: held[key] for key in held.files}
    except Exception as error:  # noqa: BLE001 - zipfile, zlib, ast, tokenize: damage has many errors
        raise InputError(
            explain(
                "The data cannot be read",
                received=f"{path} ({error})",
                rule="It is an .npz file with x and y",
            )
        ) from None


def _checked(parts: dict[str, Any], *, name: str) -> Data:
    unknown = sorted(set(parts) - set(_PARTS))
    if "x" not in parts or "y" not in parts or unknown or ("x_test" in parts) != ("y_test" in parts):
        raise InputError(
            explain(
                f"The parts of {name} are not understood", received=", ".join(parts) or "none", rule=_RULE
            )
        )
    x, y = _inputs(parts["x"], "x"), _labels(parts["y"], "y")
    _fit(x, y, "x", "y")
    source = f"{name}, {len(y)} samples of {'×'.join(map(str, x.shape[1:])) or 'one number'}"
    if "x_test" in parts:
        x_test, y_test = _inputs(parts["x_test"], "x_test"), _labels(parts["y_test"], "y_test")
        _fit(x_test, y_test, "x_test", "y_test")
        if x_test.shape[1:] != x.shape[1:]:
            raise InputError(
                explain(
                    "x and x_test differ in shape", received=f"{x.shape[1:]} and {x_test.shape[1:]} a sample"
                )
            )
    else:
        held = _held_out(y)
        x_test, y_test, x, y = x[held], y[held], x[~held], y[~held]
    present = len(np.unique(y))
    if present < 2:
        raise InputError(
            explain("The training data have one class", received=f"{len(y)} labels of the class {y[0]}",
                    rule="There is nothing to learn but a constant")
        )  # fmt: skip
    classes = int(y.max()) + 1
    if len(y_test) == 0 or int(y_test.max()) >= classes:
        raise InputError(
            explain(
                "The test data do not fit the training data",
                received=f"{len(y_test)} test samples, largest label {y_test.max(initial=0)}",
                rule=f"There is at least one, and labels are those trained on: 0 to {classes - 1}",
            )
        )
    return Data(
        name=name, source=source, classes=classes, train=x, train_labels=y, test=x_test, test_labels=y_test
    )


def _array(value: Any, name: str) -> NDArray[Any]:
    if callable(getattr(value, "detach", None)):
        value = value.detach()
    try:
        if callable(getattr(value, "cpu", None)):
            value = value.cpu()
        if callable(getattr(value, "float", None)) and value.dtype.itemsize < 4 and value.is_floating_point():
            value = value.float()  # bfloat16 is no type of NumPy's
        found = np.asarray(value)
        if found.dtype.name.startswith(("bfloat", "float8")):
            found = found.astype(np.float32)
    # A tensor without memory, or of a layout of its own.
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise InputError(
            explain(f"{name} is no array", received=f"{type(value).__name__} ({error})")
        ) from None
    if found.dtype.kind not in "fiub" or found.ndim == 0:
        raise InputError(
            explain(
                f"{name} is no array of numbers", received=f"{found.dtype} of shape {found.shape}", rule=_RULE
            )
        )
    return found


def _inputs(value: Any, name: str) -> NDArray[Any]:
    found = _array(value, name)
    if found.dtype.kind != "f":
        return found.astype(np.int64)
    found = found.astype(np.float32)
    if not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).sum())
        raise InputError(
            explain(f"{name} has numbers that are not finite", received=f"{bad} of {found.size}",
                    remedy="Fill or drop them, or every run will diverge")
        )  # fmt: skip
    return found


def _labels(value: Any, name: str) -> NDArray[np.int64]:
    found = _array(value, name)
    rule = "Labels are classes, whole numbers from 0, one a sample"
    if found.ndim != 1 or found.dtype.kind == "f":
        raise InputError(
            explain(f"{name} holds no classes", received=f"{found.dtype} of shape {found.shape}", rule=rule)
        )
    if len(found) and int(found.min()) < 0:
        raise InputError(
            explain(f"{name} holds no classes", received=f"a label {int(found.min())}", rule=rule)
        )
    return found.astype(np.int64)


def _fit(x: NDArray[Any], y: NDArray[np.int64], x_name: str, y_name: str) -> None:
    if len(x) != len(y) or len(y) == 0:
        raise InputError(
            explain(
                f"{x_name} and {y_name} do not fit each other",
                received=f"{len(x)} samples, {len(y)} labels",
                rule="There are as many of both, and at least one",
            )
        )


def _held_out(y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The same share of every class, and where it has two or more samples at least one."""
    draws = np.random.default_rng(_SPLIT_SEED)
    held = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        places = draws.permutation(np.flatnonzero(y == label))
        wanted = max(round(TEST_SHARE * len(places)), 1)
        held[places[: min(wanted, len(places) - 1)]] = True
    return held
