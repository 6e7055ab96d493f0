"""The gain of a plain chain, against its own definition and against simulated networks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fanin.errors import InputError
from fanin.laws.chain import TOLERANCE, chain_gain
from fanin.laws.gains import gain
from fanin.laws.quadrature import NODES
from fanin.laws.recursion import backward_map, forward_map

TANH = np.tanh(NODES)
GELU = NODES * np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in NODES])
SOFTSIGN = NODES / (1 + np.abs(NODES))
SIGMOID = 1 / (1 + np.exp(-NODES))


def travelled(values: np.ndarray, factor: float, depth: int) -> tuple[float, float]:
    """Both changes, one layer after the other, by the maps themselves."""
    q, back = 1.0, 0.0
    for _ in range(depth):
        back += math.log(backward_map(values, q, weight_variance=factor**2, fan=1.0))
        q = forward_map(values, q, weight_variance=factor**2, fan_in=1.0)
    return math.log(q), back


@pytest.mark.parametrize("depth", [1, 5, 14])
def test_short_chains_keep_the_signal_exactly(depth: int) -> None:
    found = chain_gain(TANH, depth)
    assert found.gain == pytest.approx(gain("tanh").forward, rel=1e-9)
    assert found.forward == 0.0
    assert found.backward == found.alone == pytest.approx(depth * math.log(gain("tanh").chi), rel=1e-6)
    assert found.drift <= TOLERANCE


@pytest.mark.parametrize("values", [TANH, SOFTSIGN], ids=["tanh", "softsign"])
@pytest.mark.parametrize("depth", [20, 100, 300])
def test_deep_chains_balance_both_directions(values: np.ndarray, depth: int) -> None:
    found = chain_gain(values, depth)
    forward, backward = travelled(values, found.gain, depth)
    # Interpolating the maps over ln q costs little; both sides of the bargain are as stated.
    assert (found.forward, found.backward) == (
        pytest.approx(forward, abs=0.02 * abs(forward)),
        pytest.approx(backward, abs=0.02 * abs(backward) + 0.02),
    )
    assert found.drift < 0.5 * found.alone
    # No gain a step to either side does better: the worse direction only grows.
    for factor in (0.98, 1.02):
        assert max(map(abs, travelled(values, factor * found.gain, depth))) > found.drift


@pytest.mark.parametrize("depth", [1, 30, 300])
def test_relu_and_sigmoid_keep_the_gain_of_the_signal(depth: int) -> None:
    assert chain_gain(np.maximum(NODES, 0), depth).gain == pytest.approx(math.sqrt(2), rel=1e-9)
    lost = chain_gain(SIGMOID, depth)
    assert lost.gain == pytest.approx(gain("sigmoid").forward, rel=1e-9)
    assert lost.backward < 0


@pytest.mark.parametrize("depth", [12, 18])
def test_deviations_that_stay_small_leave_the_power_at_one(depth: int) -> None:
    assert chain_gain(GELU, depth).power == 1.0
    assert chain_gain(TANH, 300).power == 1.0  # its deviations die out


@pytest.mark.parametrize("depth", [20, 40, 60])
def test_deep_chains_of_gelu_are_fed_where_deviations_do_not_grow(depth: int) -> None:
    found = chain_gain(GELU, depth)
    assert found.power > 1.0
    assert found.growth <= 12.0 < found.growth_alone
    # The gain keeps that power, and a deviation grows as stated: the map itself says so.
    for factor in (1.0, 1.01):
        q = factor * found.power
        for _ in range(depth):
            q = forward_map(GELU, q, weight_variance=found.gain**2, fan_in=1.0)
        grown = math.log(q / found.power)
        expected = 0.0 if factor == 1.0 else found.growth * math.log(factor)
        assert grown == pytest.approx(expected, rel=0.15, abs=1e-6)
    assert found.backward == pytest.approx(
        depth * math.log(backward_map(GELU, found.power, weight_variance=found.gain**2, fan=1.0)), rel=1e-6
    )
    assert found.backward < TOLERANCE + 0.5


def test_simulated_networks_travel_as_predicted() -> None:
    """Width 400, 60 tanh layers, 8 networks; the band of finite width holds at 6 sd."""
    depth, width, networks = 60, 400, 8
    found = chain_gain(TANH, depth)
    random = np.random.default_rng(3)
    forward, backward = [], []
    for _ in range(networks):
        z = random.standard_normal((width, 1))
        weights, slopes = [], []
        first = float(np.mean(z**2))
        for _ in range(depth):
            weights.append(random.standard_normal((width, width)) * found.gain / math.sqrt(width))
            slopes.append(1 - np.tanh(z) ** 2)
            z = weights[-1] @ np.tanh(z)
        forward.append(math.log(float(np.mean(z**2)) / first))
        g = random.standard_normal((width, 1))
        last = float(np.mean(g**2))
        for weight, slope in zip(reversed(weights), reversed(slopes), strict=True):
            g = (weight.T @ g) * slope
        backward.append(math.log(float(np.mean(g**2)) / last))
    # Each layer adds at most 2 / width (the linear case) to the variance of either logarithm.
    sd = math.sqrt(2 * depth / width / networks)
    assert abs(np.mean(forward) - found.forward) < 6 * sd
    assert abs(np.mean(backward) - found.backward) < 6 * sd
    assert found.alone - np.mean(backward) > 6 * sd  # the gain that keeps the signal is told apart


@pytest.mark.parametrize(
    ("values", "depth", "message"),
    [(TANH, 0, "no layers"), (np.zeros_like(NODES), 3, "no power")],
)
def test_bad_input(values: np.ndarray, depth: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        chain_gain(values, depth)
