"""Pages of the laws: every one computes, is stored, and its figures are those of independent sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fanin
from fanin.errors import InputError, UnknownNameError
from fanin.explanations import laws
from fanin.records import codec
from fanin.records.explanation import Explanation

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", laws.catalogue())
def test_every_law_is_told_with_numbers_a_table_a_picture_and_a_reference(name: str) -> None:
    told = fanin.explain(name)
    assert told == laws.get(name)
    assert told.kind == "law"
    assert told.steps
    assert told.tables
    assert told.charts
    assert told.references
    numbers = [number for step in told.steps for number in step.numbers]
    assert numbers
    assert all(math.isfinite(number.value) for number in numbers)
    for chart in told.charts:
        assert len(chart.curves) >= 1
        assert all(math.isfinite(y) for curve in chart.curves for y in curve.y)
    assert codec.from_json(codec.to_json(told), Explanation) == told


def test_there_are_the_ten() -> None:
    assert set(laws.catalogue()) == {
        "blocks", "depth", "einsum", "fans", "gains", "low-rank", "modes", "moments", "rounding", "width",
    }  # fmt: skip


def test_fans_by_counting_the_links_of_a_small_layer() -> None:
    """Stride 2, taps 4: each output of a transposed convolution meets 2 x 2 of 16 taps, by a count."""
    meets = np.zeros(20, int)
    for place in range(6):
        meets[2 * place : 2 * place + 4] += 1
    inner = meets[4:10]
    assert (inner == 2).all()
    told = fanin.explain("fans")
    assert told.number("fan_in, stride 2") == 256 * 2 * 2
    assert told.number("std too small by") == pytest.approx(2.0)


def test_gains_against_samples() -> None:
    z = RNG.standard_normal(1_000_000)
    told = fanin.explain("gains")
    for name, values in (("E f², tanh", np.tanh(z) ** 2), ("E f², ReLU", np.maximum(z, 0) ** 2)):
        error = 6.2 * float(values.std()) / math.sqrt(z.size)
        assert abs(float(values.mean()) - told.number(name)) < error
    assert told.number("forward gain, tanh") == pytest.approx(told.number("E f², tanh") ** -0.5)
    assert told.number("forward gain, SELU") == pytest.approx(1.0, abs=1e-9)


def test_moments_against_samples() -> None:
    z = RNG.standard_normal(2_000_000)
    cut = z[np.abs(z) < 2]
    told = fanin.explain("moments")
    assert abs(cut.size / z.size - told.number("Z")) < 6.2 * math.sqrt(0.05 / z.size)
    assert abs(cut.var() - told.number("variance")) < 6.2 * math.sqrt(2 / cut.size)
    assert told.number("parent std") * told.number("0.8796") == pytest.approx(0.02)


def test_modes_of_a_pyramid() -> None:
    told = fanin.explain("modes")
    (table,) = told.tables
    rows = {row[0]: row[2:] for row in table.rows}
    assert float(rows["fan_in"][1]) == pytest.approx(10 / 784, rel=1e-5)
    assert float(rows["fan_out"][0]) == pytest.approx(784 / 10, rel=1e-5)
    assert float(rows["fan_geo_avg"][2]) == pytest.approx(1.0)
    assert float(rows["fan_avg"][2]) < 1.0


def test_depth_against_a_wide_network() -> None:
    """Ten layers of tanh with gain 5/3: the power of the sums settles where the recursion says."""
    width, samples = 1024, 64
    x = RNG.standard_normal((samples, width))
    weights = (RNG.standard_normal((width, width)) * (5 / 3) / math.sqrt(width) for _ in range(10))
    sums = x
    for weight in weights:
        sums = np.tanh(sums) @ weight.T
    told = fanin.explain("depth", depth=10)
    # Relative spread of the power: 2 a layer and unit for each source, weights and inputs.
    band = 6.2 * math.sqrt(10 * 2 / width + 4 / (samples * width))
    assert float(np.mean(sums**2)) == pytest.approx(told.number("q_L, tanh, 5/3"), rel=band)


def test_width_against_many_small_networks() -> None:
    """2000 linear networks of width 32 and depth 8: the logarithm of their power has the mean and the sd."""
    width, depth, nets = 32, 8, 2000
    x = np.ones((nets, width))
    for _ in range(depth):
        weights = RNG.standard_normal((nets, width, width)) / math.sqrt(width)
        x = np.einsum("noi,ni->no", weights, x)
    logs = np.log(np.mean(x**2, axis=1))
    sd = math.sqrt(2 * depth / width)
    # The law is of first order in 1/n: the next order is sd^2/n a layer.
    assert abs(logs.std() / sd - 1) < 6.2 / math.sqrt(2 * nets) + 2 / width
    assert abs(logs.mean() + sd**2 / 2) < 6.2 * sd / math.sqrt(nets) + 2 * sd**2 / width
    rows = {row[0]: row[1] for row in fanin.explain("width", depth=depth).tables[0].rows}
    assert float(rows["64"]) == pytest.approx(math.sqrt(2 * depth / 64), rel=1e-3)


def test_rounding_is_what_numpy_does() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    weights = (0.005 * RNG.standard_normal(1_000_000)).astype(np.float32).astype(ml_dtypes.float8_e4m3fn)
    told = fanin.explain("rounding")
    share = told.number("become 0")
    assert abs(float((weights == 0).mean()) - share) < 6.2 * math.sqrt(share / weights.size)
    assert float(weights.astype(float).std()) == pytest.approx(told.number("std after"), rel=0.005)


def test_blocks_and_pairs_and_equations() -> None:
    assert fanin.explain("blocks").number("ratio") == pytest.approx(math.sqrt(2))
    assert fanin.explain("einsum").number("ratio") == pytest.approx(math.sqrt(8))
    low = fanin.explain("low-rank")
    assert low.number("s, rank-stabilized") / low.number("s, LoRA, rank 64") == pytest.approx(8.0)
    assert low.number("std of B") == 0.0


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown law.*Did you mean 'rounding'"):
        laws.get("roundin")
    with pytest.raises(InputError, match="The depth is out of range"):
        fanin.explain("depth", depth=0)
    with pytest.raises(InputError, match="Only schemes are explained for a shape"):
        fanin.explain("fans", shape=(3, 4))
