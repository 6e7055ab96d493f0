"""Every topic's figures, computed again by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fanin.errors import InputError, UnknownNameError
from fanin.explanations import topics
from fanin.explanations.topics.not_zeros import train
from fanin.records import codec
from fanin.records.explanation import Explanation
from fanin.schemes.constant import constant
from fanin.schemes.he import he_normal

NAMES = tuple(topics.catalogue())


def close(told: Explanation, **figures: float) -> None:
    """Raise where a figure is not what it should be; `_` in a name stands for a space or a mark."""
    by_word = {
        "".join(c if c.isalnum() else "_" for c in n.name): n.value for s in told.steps for n in s.numbers
    }
    for name, value in figures.items():
        if not math.isclose(by_word[name], value, rel_tol=1e-7):
            raise AssertionError(f"{name}: told {by_word[name]}, is {value}")


@pytest.mark.parametrize("name", NAMES)
def test_every_topic_answers_and_is_stored(name: str) -> None:
    told = topics.get(name, depth=7)
    assert told.title == topics.catalogue()[name].question
    assert told.steps
    assert codec.from_json(codec.to_json(told), Explanation) == told
    assert all(len(curve.x) == len(curve.y) for chart in told.charts for curve in chart.curves)
    assert "{" not in str(told).replace("{}", "")  # no format left unfilled


def test_there_are_the_ten() -> None:
    assert len(NAMES) == 10


def test_six_and_two() -> None:
    told = topics.get("six-and-two")
    assert told.number("6") == pytest.approx(6.0, rel=1e-12)
    assert told.number("2") == 2.0
    assert told.number("bound") == pytest.approx(math.sqrt(6 / (784 + 256)), rel=1e-12)
    assert told.number("std, normal") == pytest.approx(math.sqrt(2 / (784 + 256)), rel=1e-12)
    assert told.number("std, uniform") == pytest.approx(told.number("std, normal"), rel=1e-12)


def test_normal_glorot() -> None:
    told = topics.get("normal-glorot")
    close(told, forward=1 / 784, backward=1 / 256, Var_w_=2 / 1040, forward_factor=784 * 2 / 1040)
    close(told, backward_factor=256 * 2 / 1040, glorot_truncated_normal=math.sqrt(2 / 1040))


def test_one_over_n() -> None:
    table = topics.get("one-over-n").tables[0]
    cells = {row[0]: [float(cell) for cell in row[1:5]] for row in table.rows}
    variance = {"1/n": 1 / 784, "2/n": 2 / 784, "2/(n+m)": 2 / 1040, "1/(3n)": 1 / (3 * 784)}
    for law, value in variance.items():
        expected = [value, 784 * value, 784 * value / 2, 256 * value / 2]
        assert cells[law] == pytest.approx(expected, rel=1e-3), law


@pytest.mark.parametrize("depth", [1, 10, 50, 400])
def test_equal_variance(depth: int) -> None:
    told = topics.get("equal-variance", depth=depth)
    assert told.number("product, 1/n") == 0.5**depth
    assert told.number("sd of ln q") == pytest.approx(math.sqrt(5 * depth / 256), rel=1e-6)
    rows = {row[0]: row for row in told.tables[0].rows}
    assert rows["He, 2/n"][2] == "1"
    if depth == 50:
        assert float(rows["layers of PyTorch, 1/(3n)"][2]) == pytest.approx(6.0**-50, rel=1e-3)


def test_equal_variance_of_tanh_by_a_rule_of_our_own() -> None:
    z = np.linspace(-12.0, 12.0, 20_001)
    mass = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi) * (z[1] - z[0])
    q = 1.0
    for _ in range(9):
        q = float(mass @ np.tanh(math.sqrt(q) * z) ** 2)
    assert topics.get("equal-variance", depth=9).number("q_L, tanh") == pytest.approx(q, rel=1e-8)


def test_equal_variance_in_a_real_network() -> None:
    """1/n with ReLU halves the power a layer: many wide nets, within six errors of their mean."""
    rng = np.random.default_rng(1)
    powers = []
    for _ in range(60):
        x = rng.normal(size=512)
        start = float(x @ x) / 512
        for _ in range(5):
            x = np.maximum(rng.normal(0.0, 512**-0.5, (512, 512)) @ x, 0.0)
        powers.append(float(x @ x) / 512 / start)
    told = topics.get("equal-variance", depth=5).number("product, 1/n")
    assert abs(np.mean(powers) - told) < 6.2 * np.std(powers) / math.sqrt(len(powers))


def test_normal_or_uniform_against_samples() -> None:
    told = topics.get("normal-or-uniform")
    assert told.number("E x⁴ / (E x²)²") == pytest.approx(6.0, rel=1e-9)
    assert told.number("excess, uniform") == pytest.approx(-1.2 * 6 / 784, rel=1e-9)
    z = np.random.default_rng(0).normal(size=400_000)
    flat = math.sqrt(3.0) * np.array([math.erf(v / math.sqrt(2.0)) for v in z])
    measured = float(np.corrcoef(z, flat)[0, 1])
    # The correlation of n pairs has the sd (1 - r²) / sqrt(n) or less for lighter tails than normal.
    assert abs(measured - told.number("correlation of coupled weights")) < 6.2 * (
        1 - measured**2
    ) / math.sqrt(len(z))


def test_truncated() -> None:
    told = topics.get("truncated", depth=10)
    inside = math.erf(math.sqrt(2.0))
    variance = 1.0 - 4.0 * math.exp(-2.0) / math.sqrt(2.0 * math.pi) / inside
    close(told, mass_inside=inside, variance_of_the_cut=variance, power_left=variance**10)
    close(told, parent_std=0.02 / math.sqrt(variance), torch_s_bound=100.0)
    assert [float(row[1]) for row in told.tables[0].rows] == pytest.approx(
        [0.02, 0.02 * math.sqrt(variance), 0.02, 0.02], rel=1e-5
    )


def test_batch_norm() -> None:
    told = topics.get("batch-norm", depth=20)
    growth = math.pi / (math.pi - 1)
    close(told, growth_a_layer=growth, growth_of_depth=growth**20, ratio_of_rates=6.0)


def test_mean_zero_against_samples() -> None:
    told = topics.get("mean-zero", depth=3)
    assert told.number("correlation at the start") == pytest.approx(0.75, rel=1e-12)
    assert told.number("condition number") == pytest.approx(1 + 784 * 3, rel=1e-12)
    assert told.number("common share") == pytest.approx(1 / math.pi, rel=1e-9)
    # The arc-cosine map of Cho and Saul, three times.
    c = 0.75
    for _ in range(3):
        c = (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi
    assert told.number("after 3 ReLU layers") == pytest.approx(c, rel=1e-7)
    std = math.sqrt(2 / 784)
    weight = np.random.default_rng(0).normal(0.0, std, (256, 784))
    assert np.linalg.norm(weight, 2) == pytest.approx(told.number("largest of the noise"), rel=0.05)
    lifted = np.linalg.norm(np.full((256, 784), std / 10), 2)
    assert lifted == pytest.approx(told.number("of the mean"), rel=1e-9)


def test_resnet() -> None:
    told = topics.get("resnet", depth=16)
    assert told.number("no norm") == 2.0**16
    assert told.number("norm at the end") == 17.0
    stem = told.tables[0].rows[0]
    assert [float(cell) for cell in stem[1:]] == pytest.approx(
        [147, math.sqrt(2 / 147), 3136, math.sqrt(2 / 3136), 147 / 3136, 784], rel=1e-3
    )


def test_not_zeros() -> None:
    told = topics.get("not-zeros")
    assert told.number("gradient, zeros") == 0.0
    assert told.number("distinct units, constant") == 1.0
    assert told.number("distinct units, random") == 8.0
    assert told.number("loss, constant") > 0.5
    assert told.number("loss, random") < 1e-6


def test_the_small_network_is_differentiated_rightly() -> None:
    """The first step lowers the loss by rate · |gradient|², to first order: a wrong slope would not."""
    for scheme in (he_normal(activation="tanh"), constant(0.1)):
        losses = train(scheme).losses
        assert losses[1] < losses[0]
        assert losses[-1] <= losses[1]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'six-and-two'"):
        topics.get("six-or-two")
    with pytest.raises(InputError, match="The depth is out of range"):
        topics.get("resnet", depth=0)


def test_a_wrong_figure_would_be_seen() -> None:
    with pytest.raises(AssertionError, match="growth_a_layer"):
        close(topics.get("batch-norm"), growth_a_layer=1.5)
