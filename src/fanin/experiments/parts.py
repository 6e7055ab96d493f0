"""Which samples a run trains on and which it is judged by: fixed by a seed, every class in every part."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.checks.asked import whole_number
from fanin.errors import InputError, explain
from fanin.experiments.data import Data

__all__ = ["Part", "folds", "library", "validated", "whole"]

_SPLIT_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one run sees: samples to train on, samples to watch, and samples for the end.

    Parameters
    ----------
    x, y
        To train on.
    watched, watched_labels
        For the curve; may be empty.
    held, held_labels
        For the score at the end; may be empty.
    """

    x: NDArray[Any]
    y: NDArray[np.int64]
    watched: NDArray[Any]
    watched_labels: NDArray[np.int64]
    held: NDArray[Any]
    held_labels: NDArray[np.int64]


def library(module: str, package: str, what: str) -> Any:
    """Import a library of the extra `experiments`, or say that it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(
            explain(
                f"{what} needs {package}, which is not installed", remedy="pip install 'fanin[experiments]'"
            )
        ) from None


def validated(data: Data, *, share: float = 0.2) -> Part:
    """Keep a share of the training samples for watching; the test samples are for the end.

    Parameters
    ----------
    data
        Training and test samples.
    share
        Of the training samples of every class.

    Raises
    ------
    InputError
        A class with one training sample, or fewer samples to watch than classes.
    """
    selection = library("sklearn.model_selection", "scikit-learn", "A validation split")
    try:
        kept, watched = selection.train_test_split(
            np.arange(len(data.train_labels)),
            test_size=share,
            random_state=_SPLIT_SEED,
            stratify=data.train_labels,
        )
    except ValueError as error:
        raise _too_few(data, "a validation split", str(error)) from None
    return _part(data, np.sort(kept), np.sort(watched), held=True)


def folds(data: Data, count: int) -> tuple[Part, ...]:
    """Cut the training samples into folds, each watched once; no fold sees a test sample.

    Parameters
    ----------
    data
        Training samples; of the rest nothing is used.
    count
        Number of folds.

    Raises
    ------
    InputError
        Fewer than two folds, or a class with fewer samples than folds.

    References
    ----------
    M. Stone, Cross-validatory choice and assessment of statistical predictions, 1974.
    """
    count = whole_number("folds", count)
    counts = np.bincount(data.train_labels)
    smallest = int(counts[counts > 0].min()) if len(data.train_labels) else 0
    if count < 2 or smallest < count:
        raise InputError(
            explain(
                "Cross-validation cannot be made of these folds",
                received=f"{count} folds, {len(data.train_labels)} training samples, "
                f"{smallest} of the rarest class",
                rule="There are at least two folds, and every class has a sample in each",
            )
        )
    selection = library("sklearn.model_selection", "scikit-learn", "Cross-validation")
    cutter = selection.StratifiedKFold(n_splits=count, shuffle=True, random_state=_SPLIT_SEED)
    return tuple(
        _part(data, kept, watched, held=False)
        for kept, watched in cutter.split(np.zeros(len(data.train_labels)), data.train_labels)
    )


def whole(data: Data) -> Part:
    """All training samples to train on, none to watch, the test samples for the end."""
    return _part(data, np.arange(len(data.train_labels)), np.arange(0), held=True)


def _part(data: Data, kept: NDArray[Any], watched: NDArray[Any], *, held: bool) -> Part:
    end = slice(None) if held else slice(0, 0)
    return Part(
        x=data.train[kept], y=data.train_labels[kept],
        watched=data.train[watched], watched_labels=data.train_labels[watched],
        held=data.test[end], held_labels=data.test_labels[end],
    )  # fmt: skip


def _too_few(data: Data, what: str, error: str) -> InputError:
    return InputError(
        explain(
            f"There are too few samples for {what}",
            received=f"{len(data.train_labels)} training samples of {data.classes} classes ({error})",
            rule="Every class has at least two, and the watched part one of each",
        )
    )
