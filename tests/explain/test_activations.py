"""Explanations of activations against a quadrature of our own, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fanin.errors import UnknownNameError
from fanin.explanations.subject import explain
from fanin.laws.activations import activation
from fanin.records import codec
from fanin.records.explanation import Explanation

GRID = np.linspace(-12.0, 12.0, 240_001)
MASS = np.exp(-0.5 * GRID**2) / math.sqrt(2.0 * math.pi) * (GRID[1] - GRID[0])


@pytest.mark.parametrize("name", ["relu", "tanh", "silu", "leaky_relu(0.2)", "swish"])
def test_moments_and_gains(name: str) -> None:
    told = explain(name)
    entry = activation(name)
    f, slope = entry.function(GRID), np.gradient(entry.function(GRID), GRID)
    first, second, third = float(MASS @ f), float(MASS @ f**2), float(MASS @ slope**2)
    # The rule's own error at a kink is a cell of the grid.
    assert told.number("E f") == pytest.approx(first, abs=1e-4)
    assert told.number("E f²") == pytest.approx(second, rel=1e-4)
    assert told.number("E f'²") == pytest.approx(third, rel=1e-4)
    assert told.number("forward gain") == pytest.approx(second**-0.5, rel=1e-4)
    assert told.number("backward gain") == pytest.approx(third**-0.5, rel=1e-4)
    assert told.number("chi") == pytest.approx(third / second, rel=1e-4)
    assert codec.from_json(codec.to_json(told), Explanation) == told


def test_fixed_points() -> None:
    relu, tanh, gelu = explain("relu"), explain("tanh"), explain("gelu")
    c = 0.0
    for _ in range(50):
        c = (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi
    assert relu.number("correlation after 50") == pytest.approx(c, rel=1e-6)
    assert relu.number("correlation limit") == 1.0
    assert relu.number("slope") == pytest.approx(1.0, abs=1e-6)
    assert tanh.number("correlation limit") == 0.0
    assert tanh.number("slope") < 1.0
    limit = gelu.number("correlation limit")
    z = np.random.default_rng(0).normal(size=(2, 4_000_000))
    pair = z[0], limit * z[0] + math.sqrt(1 - limit**2) * z[1]
    u, v = (np.interp(p, GRID[::20], activation("gelu").function(GRID[::20])) for p in pair)
    product = u * v / told_power(u, v)
    assert abs(product.mean() - limit) < 6.2 * product.std() / math.sqrt(len(product)) + 1e-3


def told_power(u: np.ndarray, v: np.ndarray) -> float:
    """Mean second moment of both."""
    return 0.5 * float((u**2).mean() + (v**2).mean())


def test_conventions_are_marked_where_they_differ() -> None:
    tanh, relu = explain("tanh").tables[0], explain("relu").tables[0]
    assert tanh.marked
    assert float(tanh.rows[1][1]) == pytest.approx(5 / 3, rel=1e-5)
    assert relu.marked == ()
    assert explain("gelu").tables == ()


def test_an_unknown_one_suggests() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'gelu'"):
        explain("gellu")
