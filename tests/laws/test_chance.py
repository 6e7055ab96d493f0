"""Chance carried through networks, against networks drawn again and again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fanin.laws.band import RELU, Chance, log_power_band


def test_a_chain_is_the_band_of_its_layers() -> None:
    chance = Chance()
    for layer in range(12):
        chance = chance.drawn(layer, math.sqrt(RELU / 96))
    mean, sd = log_power_band([(RELU, 96.0)] * 12)
    assert chance.sd == pytest.approx(sd)
    assert chance.shift == pytest.approx(mean)
    assert chance.excess == pytest.approx(0.0)


def test_a_draw_seen_again_is_one_draw() -> None:
    once = Chance().drawn(1, 0.5)
    again = once.drawn(1, 0.2)
    assert again.sd == pytest.approx(0.2)
    assert again.shift == pytest.approx(-0.02)


def test_what_stream_and_branch_share_is_not_counted_twice() -> None:
    stream = Chance().drawn(1, 0.3)
    branch = stream.drawn(2, 0.4)
    both = Chance.blended([(0.5, stream), (0.5, branch)])
    assert both.sd == pytest.approx(math.hypot(0.3, 0.2))
    apart = Chance.blended([(0.5, stream), (0.5, Chance().drawn(3, 0.5))])
    assert apart.sd == pytest.approx(math.hypot(0.15, 0.25))


def test_a_norm_forgets_and_a_square_doubles() -> None:
    chance = Chance().drawn(1, 0.3)
    assert chance.plus(chance, -1.0).sd == 0.0
    assert chance.plus(chance).sd == pytest.approx(0.6)
    assert chance.scaled(0.0).shift == 0.0


def test_a_residual_net_drawn_400_times() -> None:
    # x' = (x + W relu(V x)) / 2^(1/2), one input: c = 5 / n for what relu reads, 2 / n for W, and the mixed
    # term of stream and branch, 4 q q / (n q^2), each weighed by the branch's half.
    width, blocks, draws = 64, 6, 400
    rng = np.random.default_rng(5)
    seen = []
    for _ in range(draws):
        x = rng.standard_normal(width)
        x *= math.sqrt(width) / np.linalg.norm(x)
        for _ in range(blocks):
            inner = rng.standard_normal((width, width)) / math.sqrt(width)
            outer = rng.standard_normal((width, width)) * math.sqrt(2 / width)
            x = (x + outer @ np.maximum(inner @ x, 0)) / math.sqrt(2)
        seen.append(math.log((x @ x) / width))
    chance, source = Chance(), iter(range(100))
    for _ in range(blocks):
        branch = chance.drawn(next(source), math.sqrt(5 / width)).drawn(next(source), math.sqrt(2 / width))
        mixed = 2 * 0.5 / math.sqrt(width)
        chance = Chance.blended([(0.5, chance), (0.5, branch)]).drawn(next(source), mixed)
    # The standard error of a standard deviation is sd / sqrt(2 n): 6.1 of them are 22 %.
    assert np.std(seen) == pytest.approx(chance.sd, rel=6.1 / math.sqrt(2 * draws))
    assert np.mean(seen) == pytest.approx(chance.shift, abs=6.1 * chance.sd / math.sqrt(draws))
