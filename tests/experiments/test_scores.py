"""What a run is judged by."""

from __future__ import annotations

import math

import pytest

from fanin.experiments.data import load
from fanin.experiments.scores import summed
from fanin.records.study import Arm, Curve


def _arm(*accuracies: float | None) -> Arm:
    curves = [
        Curve(seed=seed, accuracy=(), loss=(), test_accuracy=value, diverged=None if value is not None else 3)
        for seed, value in enumerate(accuracies)
    ]
    return Arm(name="he", curves=tuple(curves))


def test_an_interval_stays_within_what_an_accuracy_can_be() -> None:
    wide = summed(_arm(0.3, 0.9), "accuracy", load("digits"))
    # Student's t with one degree of freedom: 0.6 -+ 12.7 * 0.3.
    assert (wide.low, wide.high) == (0.0, 1.0)
    close = summed(_arm(0.90, 0.91), "accuracy", load("digits"))
    assert close.low == pytest.approx(0.905 - 12.7062 * 0.005, abs=1e-4)
    assert close.high == pytest.approx(0.905 + 12.7062 * 0.005, abs=1e-4)


def test_one_run_has_no_interval_and_a_diverged_one_guesses() -> None:
    data = load("digits")
    alone = summed(_arm(None), "accuracy", data)
    assert alone.scores == (data.chance,)
    assert (alone.low, alone.high) == (-math.inf, math.inf)
