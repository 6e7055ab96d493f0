"""Explanations of schemes: every figure is the law's, found here by another way."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fanin
from fanin.errors import InputError, UnknownNameError
from fanin.explanations.layers import LAYERS, layer_axes
from fanin.explanations.subject import explain, known
from fanin.laws.fans import fans
from fanin.records import codec
from fanin.records.explanation import Explanation
from fanin.schemes import registry

# Second moments of f(z) and f'(z) by a rule of our own: the trapezoid on a fine grid.
GRID = np.linspace(-12.0, 12.0, 240_001)
MASS = np.exp(-0.5 * GRID**2) / math.sqrt(2.0 * math.pi) * (GRID[1] - GRID[0])
ERF = np.array([math.erf(z / math.sqrt(2.0)) for z in GRID])
GELU = 0.5 * GRID * (1.0 + ERF)
SECOND = {"relu": 0.5, "linear": 1.0, "tanh": float(MASS @ np.tanh(GRID) ** 2), "gelu": float(MASS @ GELU**2)}


def test_the_public_door() -> None:
    assert fanin.explain("he_normal", shape=(256, 784)) == explain("he_normal", shape=(256, 784))


@pytest.mark.parametrize("name", registry.names())
def test_every_scheme_is_explained_and_stored(name: str) -> None:
    for shape, layer in (((64, 32), None), ((64, 32, 3, 3), "conv2d")):
        entry = registry.entry(name)
        example = dict(entry.examples[0])
        try:
            drawn = entry.factory(**example).draw(shape)
        except InputError:
            with pytest.raises(InputError):
                explain(name, shape=shape, layer=layer)
            continue
        told = explain(name, shape=shape, layer=layer)
        # NaN is equal to NaN here: one scheme draws nothing else.
        shown, expected = (told.number("mean"), told.number("std")), (drawn.mean, drawn.std)
        np.testing.assert_allclose(shown, expected, rtol=1e-12, atol=1e-300)
        assert told.number("elements") == math.prod(shape)
        # As text: poison is not a number, and such a record is not equal to itself.
        assert codec.to_json(codec.from_json(codec.to_json(told), Explanation)) == codec.to_json(told)
        assert told.law in str(told)


@pytest.mark.parametrize("activation", sorted(SECOND))
@pytest.mark.parametrize("family", ["uniform", "normal", "truncated_normal"])
def test_numbers_of_he(activation: str, family: str) -> None:
    shape, groups, stride = (64, 4, 3, 3), 8, 2
    told = explain(
        f"he_{family}", shape=shape, layer="conv2d", groups=groups, stride=stride, activation=activation
    )
    fan_in, fan_out = 4 * 9, 64 / groups * 9 / stride**2
    variance = 1.0 / (fan_in * SECOND[activation])
    assert told.number("fan_in") == fan_in
    assert told.number("fan_out") == fan_out
    assert math.isclose(told.number("E f²"), SECOND[activation], rel_tol=1e-8)
    assert math.isclose(told.number("Var[w]"), variance, rel_tol=1e-8)
    assert math.isclose(told.number("std"), math.sqrt(variance), rel_tol=1e-8)
    assert math.isclose(told.number("forward factor"), 1.0, rel_tol=1e-8)
    slopes = told.number("E f'²")
    assert math.isclose(told.number("backward factor"), fan_out * variance * slopes, rel_tol=1e-8)
    if family == "uniform":
        assert math.isclose(told.number("bound"), math.sqrt(3 * variance), rel_tol=1e-8)
        assert math.isclose(told.number("under the root"), 3 / SECOND[activation], rel_tol=1e-8)
    if family == "truncated_normal":
        inside = np.abs(GRID) <= 2.0
        cut = math.sqrt(float(MASS[inside] @ GRID[inside] ** 2) / float(MASS[inside].sum()))
        assert math.isclose(told.number("std of the cut"), cut, rel_tol=1e-4)
        assert math.isclose(told.number("parent std"), math.sqrt(variance) / told.number("std of the cut"))


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_glorot_of_a_transposed_convolution(stride: int) -> None:
    told = explain("glorot_uniform", shape=(256, 16, 4, 4), layer="conv_transpose2d", stride=stride)
    fan_in, fan_out = 256 * 16 / stride**2, 16 * 16
    assert told.number("under the root") == pytest.approx(6.0, rel=1e-12)
    assert math.isclose(told.number("bound"), math.sqrt(6 / (fan_in + fan_out)), rel_tol=1e-12)


def test_gains_are_told_where_the_scheme_takes_none() -> None:
    told = explain("glorot_normal", shape=(30, 20), activation="tanh")
    assert math.isclose(told.number("std"), math.sqrt(2 / 50 / SECOND["tanh"]), rel_tol=1e-8)
    plain = explain("lecun_normal", shape=(30, 20), activation="relu")
    assert math.isclose(plain.number("forward factor"), 0.5)
    assert any("does not look at the activation" in note for note in plain.notes)


def test_the_largest_is_what_samples_show() -> None:
    told = explain("normal", shape=(100, 100), std=0.5)
    draws = np.abs(np.random.default_rng(0).normal(0.0, 0.5, (400, 10_000))).max(axis=1)
    error = draws.std() / math.sqrt(len(draws))
    assert abs(draws.mean() - told.number("largest expected")) < 6.2 * error
    assert abs(draws.mean() - 1.02 * told.number("largest expected")) > 6.2 * error


@pytest.mark.parametrize("cut", [math.inf, 100.0])
def test_the_largest_of_very_many(cut: float) -> None:
    """The median of the largest of n solves n P(|z| > t) = ln 2; the mean lies within half a "
    "deviation above."""
    count, low, high = 10**24, 5.0, 20.0
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (
            (middle, high) if count * math.erfc(middle / math.sqrt(2.0)) > math.log(2.0) else (low, middle)
        )
    name, parameters = (
        ("normal", {}) if cut == math.inf else ("truncated_normal", {"lower": -cut, "upper": cut})
    )
    told = explain(name, shape=(10**12, 10**12), std=1.0, **parameters)
    assert low < told.number("largest expected") < low + 0.1


@pytest.mark.parametrize(("dtype", "fraction", "least"), [("float16", 10, -14), ("bfloat16", 7, -126)])
def test_rounding(dtype: str, fraction: int, least: int) -> None:
    told = explain("normal", shape=(64, 64), std=1e-7, dtype=dtype)
    assert told.number("rounding") == 2.0 ** -(fraction + 1)
    edge = 2.0 ** (least - fraction) / 2
    assert math.isclose(told.number("become 0"), math.erf(edge / 1e-7 / math.sqrt(2.0)), rel_tol=1e-9)


def test_rounding_is_what_numpy_does() -> None:
    share = explain("uniform", shape=(64, 64), std=1e-7, dtype="float16").number("become 0")
    half = math.sqrt(3.0) * 1e-7
    rounded = np.linspace(-half, half, 200_001).astype(np.float16)
    assert abs(float((rounded == 0).mean()) - share) < 1e-4


def test_the_three_distributions_have_their_entropy() -> None:
    table = next(t for t in explain("normal", shape=(8, 8), std=0.1).tables if "Normal or uniform" in t.title)
    cells = {row[0]: float(row[4]) for row in table.rows}
    assert cells["uniform"] == pytest.approx(math.log(0.2 * math.sqrt(3.0)), abs=1e-4)
    assert cells["normal"] == pytest.approx(math.log(0.1) + 0.5 * math.log(2 * math.pi * math.e), abs=1e-4)
    inside = np.abs(GRID) <= 2.0
    p = MASS[inside] / MASS[inside].sum()
    parent = 0.1 / math.sqrt(float(p @ GRID[inside] ** 2))
    density = p / (GRID[1] - GRID[0]) / parent
    assert cells["truncated normal"] == pytest.approx(float(-(p @ np.log(density))), abs=2e-4)


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_have_the_fans_of_their_sums(layer: str) -> None:
    rank = len(LAYERS[layer])
    shape = (12, 6, 3, 3, 3)[:rank]
    counted = fans(shape, layer_axes(layer, shape))
    taps = 3 ** (rank - 2)
    first, second = 12.0 * taps, 6.0 * taps
    expected = {"dense": (12.0, 6.0), "embedding": (1.0, 6.0)}.get(layer, (second, first))
    assert (counted.fan_in, counted.fan_out) == ((first, second) if "transpose" in layer else expected)


def test_names_are_known_and_unknown_ones_suggest() -> None:
    for name in (*registry.names(), *registry.aliases()):
        assert name in known()
        assert explain(name).title.startswith(name)
    with pytest.raises(UnknownNameError, match="Did you mean 'glorot_normal'"):
        explain("glorott_normal")
    with pytest.raises(InputError, match="A layer gives the axes"):
        explain("he_normal", layer="linear", axes="out in")
    with pytest.raises(InputError, match="no such number"):
        explain("he_normal").number("fan_sideways")


@pytest.mark.parametrize("name", ["he_normal", "glorot_uniform", "he_truncated_normal"])
def test_complex_parts_have_half_the_variance(name: str) -> None:
    told = fanin.explain(name, shape=(64, 48), dtype="complex64")
    weight = fanin.sample(name, (64, 48), seed=0, name="w", dtype="complex64")
    for part in (weight.real, weight.imag):
        error = 6.2 * math.sqrt(2 / part.size)
        assert abs(float(np.mean(np.square(part))) / told.number("std of each part") ** 2 - 1) < error
    assert 2 * told.number("std of each part") ** 2 == pytest.approx(told.number("std") ** 2)
    with pytest.raises(InputError, match="Unknown dtype"):
        fanin.explain(name, dtype="complex32")
