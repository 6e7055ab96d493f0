"""What a run is judged by, also one that broke."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fanin.errors import nearest
from fanin.experiments.data import Data
from fanin.experiments.paired import interval
from fanin.records.study import Arm, Curve

__all__ = ["SCORES", "checked_score", "guessing", "summed", "validation"]

SCORES = ("accuracy", "loss")


def checked_score(score: str) -> None:
    """Refuse a score that is not known.

    Raises
    ------
    UnknownNameError
        There is no such score.
    """
    if score not in SCORES:
        raise nearest(str(score), SCORES, kind="score")


def guessing(data: Data) -> float:
    """Loss of guessing by the shares of the training data's classes: their entropy, in nats."""
    shares = np.bincount(data.train_labels) / len(data.train_labels)
    return -math.fsum(float(p) * math.log(float(p)) for p in shares if p > 0.0)


def summed(arm: Arm, score: str, data: Data) -> Arm:
    """An arm with its scores on the test data and their mean; a run that diverged counts as guessing.

    Parameters
    ----------
    arm
        With its runs.
    score
        "accuracy" or "loss".
    data
        Whose classes say what guessing is worth.
    """
    worth = data.chance if score == "accuracy" else guessing(data)
    values = [curve.test_accuracy if score == "accuracy" else curve.test_loss for curve in arm.curves]
    found = tuple(worth if value is None else value for value in values)
    mean, low, high = interval(found)
    if len(found) > 1:
        # Student's interval of few runs may leave the range that the score has.
        low, high = max(low, 0.0), min(high, 1.0 if score == "accuracy" else math.inf)
    return replace(arm, scores=found, mean=mean, low=low, high=high)


def validation(curve: Curve) -> float:
    """Validation loss at the end of a run; inf where it diverged."""
    return math.inf if curve.diverged is not None or not curve.validation else curve.validation[-1]
