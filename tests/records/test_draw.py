"""Draws know the moments of their samples, and print briefly."""

from __future__ import annotations

import math

import pytest

from fanin.records.draw import Constant, Draw, Normal, Orthogonal, TruncatedNormal, Uniform


@pytest.mark.parametrize(
    ("draw", "mean", "std"),
    [
        (Constant(value=0.25), 0.25, 0.0),
        (Uniform(low=-1.0, high=3.0), 1.0, 4.0 / math.sqrt(12.0)),
        (Normal(mean=0.5, std=2.0), 0.5, 2.0),
        (Orthogonal(gain=2.0, std=0.5), 0.0, 0.5),
    ],
)
def test_moments(draw: Draw, mean: float, std: float) -> None:
    assert (draw.mean, draw.std) == (mean, pytest.approx(std, rel=1e-15))


def test_texts() -> None:
    cut = TruncatedNormal(std=0.02, parent_mean=0.0, parent_std=0.0227, lower=-2.0, upper=2.0)
    lopsided = TruncatedNormal(mean=1.0, std=0.5, parent_mean=0.0, parent_std=1.0, lower=0.0, upper=2.0)
    draws: list[Draw] = [
        Constant(value=1.0),
        Uniform(low=-0.5, high=0.5),
        Uniform(low=0.0, high=0.5),
        Normal(std=0.1),
        cut,
        lopsided,
        Orthogonal(gain=1.0, std=0.1),
    ]
    assert [str(d) for d in draws] == [
        "1",
        "U(±0.5)",
        "U(0, 0.5)",
        "N(0, 0.1²)",
        "N(0, 0.02²) cut at ±2σ",
        "N(1, 0.5²) cut to [0, 2]σ",
        "orthogonal × 1",
    ]
