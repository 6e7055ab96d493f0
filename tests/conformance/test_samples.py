"""Every scheme of the registry, drawn by the real engine, against its own law."""

from __future__ import annotations

import functools
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import draw_checks as stats
import fanin
from fanin.errors import InputError
from fanin.laws import moments
from fanin.laws.activations import activation
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Normal, TruncatedNormal, Uniform
from fanin.sampling.engine import DTYPES
from fanin.schemes import registry

OUT, IN, REC = Role.OUT, Role.IN, Role.RECEPTIVE
LAYERS: dict[str, tuple[tuple[int, ...], Axes | str | None]] = {
    "dense": ((512, 384), None),
    "conv-hwio": ((3, 3, 96, 128), "receptive receptive in out"),
    "grouped": ((256, 24, 5, 5), Axes(roles=(OUT, IN, REC, REC), groups=4)),
    "transposed": ((96, 64, 4, 4), Axes(roles=(IN, OUT, REC, REC), stride=4, transposed=True)),
    "experts": ((6, 160, 192), "batch in out"),
}
REFUSED = {
    ("delta_orthogonal", "transposed"): "64 outputs, 96 inputs",
    ("orthogonal_convolution", "transposed"): "64 outputs, 96 inputs",
    ("identity", "conv-hwio"): "9 taps",
    ("identity", "grouped"): "25 taps",
    ("identity", "transposed"): "16 taps",
    ("stft", "conv-hwio"): "one dimension of times",
    ("stft", "grouped"): "one dimension of times",
    ("stft", "transposed"): "one dimension of times",
}
"""Layers that a scheme does not serve, and what it says."""
SCHEMES = [
    pytest.param(name, arguments, id="-".join([name, *map(str, arguments.values())]))
    for name, one in registry.entries().items()
    for arguments in one.examples
]
RANDOM = [
    case
    for case in SCHEMES
    if (draw := registry.get(case.values[0], **case.values[1]).draw((512, 384))).std > 0 and draw.mean == 0
]


@functools.lru_cache(maxsize=4)
def _sample(name: str, arguments: tuple[tuple[str, Any], ...], layer: str, dtype: str) -> np.ndarray:
    shape, axes = LAYERS[layer]
    scheme = registry.get(name, **dict(arguments))
    return fanin.sample(scheme, shape, seed=7, name=f"{name}.weight", axes=axes, dtype=dtype)


def sample(name: str, arguments: dict[str, Any], layer: str = "dense", dtype: str = "float32") -> np.ndarray:
    return _sample(name, tuple(arguments.items()), layer, dtype)


def rounding(values: np.ndarray, dtype: str) -> np.ndarray:
    limits = ml_dtypes.finfo(dtype)
    return stats.half_ulps(values, float(limits.eps), float(limits.smallest_subnormal))


def check(values: np.ndarray, draw: Any, dtype: str = "float32", *, family: bool = True) -> None:
    wide = values.astype(np.float64)
    if math.isnan(draw.std):
        assert np.isnan(wide).all()
        return
    # float32 arithmetic rounds twice: the product, then the sum with the mean.
    slack = rounding(wide, dtype) + rounding(wide, "float32")
    stats.check_bounds(wide, draw, slack)
    stats.check_mean(wide, draw, slack)
    stats.check_variance(wide, draw, slack)
    if family:
        stats.check_family(wide, draw)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("name", "arguments"), SCHEMES)
def test_samples_have_the_law(name: str, arguments: dict[str, Any], layer: str) -> None:
    shape, axes = LAYERS[layer]
    if (name, layer) in REFUSED:
        with pytest.raises(InputError, match=REFUSED[name, layer]):
            sample(name, arguments, layer)
        return
    draw = registry.get(name, **arguments).draw(shape, axes)
    weight = sample(name, arguments, layer)
    assert weight.shape == shape
    assert weight.dtype == np.float32
    check(weight, draw)


# What a coarse format does to a small draw is said by a warning, tested with the law of rounding.
@pytest.mark.filterwarnings("ignore::fanin.PrecisionWarning")
@pytest.mark.parametrize("dtype", sorted(set(DTYPES) - {"float32"}))
@pytest.mark.parametrize(("name", "arguments"), SCHEMES)
def test_every_dtype_holds_the_law_rounded_once(name: str, arguments: dict[str, Any], dtype: str) -> None:
    draw = registry.get(name, **arguments).draw(*LAYERS["dense"])
    if abs(draw.mean) > float(ml_dtypes.finfo(dtype).max):
        with pytest.raises(InputError, match=f"The values do not fit {dtype}"):
            sample(name, arguments, dtype=dtype)
        return
    weight = sample(name, arguments, dtype=dtype)
    assert weight.dtype == np.dtype(dtype if hasattr(np, dtype) else getattr(ml_dtypes, dtype))
    # Narrow formats have few values, so only the wide one has a family.
    check(weight, draw, dtype, family=dtype == "float64")
    if dtype == "float64" or math.isnan(draw.std):
        return
    # ml_dtypes rounds float32 by code that is not ours.
    np.testing.assert_array_equal(weight, sample(name, arguments).astype(weight.dtype))


@pytest.mark.parametrize(("name", "arguments"), RANDOM)
def test_samples_are_a_function_of_seed_name_and_index(name: str, arguments: dict[str, Any]) -> None:
    shape, axes = LAYERS["dense"]
    scheme = registry.get(name, **arguments)
    first = fanin.sample(scheme, shape, seed=1, name="a", axes=axes)
    np.testing.assert_array_equal(first, fanin.sample(scheme, shape, seed=1, name="a", axes=axes))
    for other in (
        fanin.sample(scheme, shape, seed=2, name="a", axes=axes),
        fanin.sample(scheme, shape, seed=1, name="b", axes=axes),
    ):
        # Independent weights: correlation 0 with standard error 1/sqrt(n).
        together = float(np.corrcoef(first.ravel(), other.ravel())[0, 1])
        assert abs(together) < stats.Z / math.sqrt(first.size)


def test_equal_weights_would_be_seen() -> None:
    weight = sample("he_normal", {}).ravel()
    mixed = 0.98 * np.roll(weight, 1) + 0.02 * weight
    assert abs(float(np.corrcoef(weight, mixed)[0, 1])) > stats.Z / math.sqrt(weight.size)


@pytest.mark.parametrize(("name", "arguments"), RANDOM)
def test_a_layer_carries_the_variance_forward_and_backward(name: str, arguments: dict[str, Any]) -> None:
    """E y^2 = fan_in Var[w] for unit inputs, and E (W' g)^2 = fan_out Var[w]."""
    weight = sample(name, arguments).astype(np.float64)
    draw = registry.get(name, **arguments).draw(weight.shape)
    count = 256
    for matrix in (weight, weight.T):
        units, fan = matrix.shape
        inputs = np.random.default_rng(11).standard_normal((count, fan))
        outputs = inputs @ matrix.T
        # Variance of the mean square: one term a pair, a common input, a common row of weights.
        error = math.sqrt(
            4 / (count * units) + 2 / (count * fan) + (moments.kurtosis(draw) - 1) / (units * fan)
        )
        share = float(np.square(outputs).mean()) / (fan * draw.std**2)
        assert abs(share - 1) < stats.Z * error


@pytest.mark.parametrize(("name", "arguments"), RANDOM)
def test_matrices_have_the_spectrum(name: str, arguments: dict[str, Any]) -> None:
    draw = registry.get(name, **arguments).draw((512, 384))
    if isinstance(draw, Uniform | Normal | TruncatedNormal):
        stats.check_spectrum(sample(name, arguments), draw)
        return
    # What couples its entries: blocks of an orthogonal matrix each have it, and the others their own tests.
    blocks = getattr(draw, "blocks", 1)
    if name == "orthogonal":
        for block in np.split(sample(name, arguments), blocks):
            stats.check_spectrum(block, draw)
    else:
        assert name in {"delta_orthogonal", "orthogonal_convolution", "sparse", "siren_first"} or not draw.std


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "gelu", "silu", "tanh", "selu", "sigmoid", "mish"])
@pytest.mark.parametrize("family", ["he_normal", "he_uniform", "he_truncated_normal"])
def test_he_keeps_the_signal_of_its_activation(family: str, name: str) -> None:
    scheme = registry.get(family, activation=name)
    weight = fanin.sample(scheme, (512, 384), seed=5, name=name).astype(np.float64)
    z = np.random.default_rng(5).standard_normal((512, 384))
    signal = activation(name).function(z)
    outputs = signal @ weight.T
    square = np.square(signal)
    # A common input adds the spread of f^2. Where f has a mean, its part of the power reaches all outputs
    # of a unit through one sum of weights, whose square varies by sqrt(2) over the units.
    row = square.mean(axis=1)
    error = math.sqrt(4 / 512**2 + float(row.var()) / float(row.mean()) ** 2 / 512 + 2 / (512 * 384))
    power = float(signal.mean()) ** 2 / float(square.mean())
    assert abs(float(np.square(outputs).mean()) - 1) < stats.Z * (error + power * math.sqrt(2 / 512))


class TestTheChecksCanFail:
    """Each fault is one that a peer has had."""

    draw = Normal(std=0.05)

    def good(self) -> np.ndarray:
        return fanin.sample(self.draw, (512, 384), seed=1, name="w")

    def test_the_good_one_passes(self) -> None:
        check(self.good(), self.draw)

    def test_two_percent_of_std(self) -> None:
        with pytest.raises(AssertionError, match="std is"):
            check(self.good() * np.float32(1.02), self.draw)

    def test_a_truncation_without_correction(self) -> None:
        with pytest.raises(AssertionError, match="std is"):
            stats.check_variance(np.clip(self.good(), -0.1, 0.1), self.draw, np.zeros(1))

    def test_weights_that_are_all_positive(self) -> None:
        with pytest.raises(AssertionError, match="mean is off"):
            check(np.abs(self.good()), self.draw)

    def test_a_low_boundary_hit_twice_as_often(self) -> None:
        uniform = Uniform(low=-1.0, high=1.0)
        weight = fanin.sample(uniform, (512, 384), seed=1, name="w")
        check(weight, uniform)
        weight[weight > 0.98] = -1.0
        with pytest.raises(AssertionError, match="mean is off"):
            check(weight, uniform)

    def test_an_outlier(self) -> None:
        cut = moments.truncated_normal(std=0.02)
        weight = fanin.sample(cut, (512, 384), seed=1, name="w")
        check(weight, cut)
        weight[3, 5] = 2.3 * 0.02
        with pytest.raises(AssertionError, match="1 samples lie up to"):
            check(weight, cut)

    def test_a_nan(self) -> None:
        weight = self.good()
        weight[0, 0] = np.nan
        with pytest.raises(AssertionError, match="1 samples are not finite"):
            check(weight, self.draw)

    def test_another_family_of_the_same_moments(self) -> None:
        uniform = moments.uniform(std=0.05)
        weight = fanin.sample(uniform, (512, 384), seed=1, name="w")
        stats.check_variance(weight.astype(np.float64), uniform, np.zeros(1))
        with pytest.raises(AssertionError, match="another family"):
            stats.check_family(weight, self.draw)

    def test_sixteen_bits_of_randomness(self) -> None:
        weight = self.good().astype(ml_dtypes.float8_e5m2).astype(np.float32)
        with pytest.raises(AssertionError, match="another family"):
            stats.check_family(weight, self.draw)

    def test_an_orthogonal_that_is_not(self) -> None:
        draw = fanin.orthogonal().draw((512, 384))
        loose = fanin.sample(Normal(std=draw.std), (512, 384), seed=1, name="w")
        with pytest.raises(AssertionError, match="std is"):
            stats.check_variance(loose.astype(np.float64), draw, np.zeros(1))

    @pytest.mark.parametrize("name", ["delta_orthogonal", "sparse"])
    def test_a_zero_that_is_not(self, name: str) -> None:
        scheme = registry.get(name, **({"connections": 15} if name == "sparse" else {}))
        shape = (32, 16, 3, 3)
        weight = fanin.sample(scheme, shape, seed=1, name="w").astype(np.float64)
        stats.check_family(weight, scheme.draw(shape))
        weight[tuple(np.argwhere(weight == 0.0)[0])] = 1e-3
        with pytest.raises(AssertionError, match="values are not zero"):
            stats.check_family(weight, scheme.draw(shape))

    def test_an_orthogonal_convolution_with_another_spread(self) -> None:
        draw = fanin.orthogonal_convolution().draw((128, 128, 3, 3))
        even = fanin.sample(Normal(std=draw.std), (128, 128, 3, 3), seed=1, name="w").astype(np.float64)
        with pytest.raises(AssertionError, match="kurtosis is"):
            stats.check_family(even, draw)

    def test_an_identity_with_another_value(self) -> None:
        with pytest.raises(AssertionError, match="other than"):
            stats.check_family(np.eye(3) * 2.0, fanin.identity().draw((3, 3)))

    def test_rows_that_depend_on_each_other(self) -> None:
        weight = self.good()
        stats.check_spectrum(weight, self.draw)
        weight[1::2] = weight[::2]
        stats.check_variance(weight.astype(np.float64), self.draw, np.zeros(1))
        with pytest.raises(AssertionError, match="singular value is"):
            stats.check_spectrum(weight, self.draw)

    def test_columns_that_share_a_part(self) -> None:
        weight = self.good()
        common = 0.1 * np.random.default_rng(0).standard_normal((512, 1)) * self.draw.std
        with pytest.raises(AssertionError, match="largest singular value"):
            stats.check_spectrum(weight + 2.5 * common, self.draw)

    def test_a_constant_that_varies(self) -> None:
        with pytest.raises(AssertionError, match="values differ"):
            stats.check_family(np.array([1.0, 1.5]), Constant(value=1.0))

    def test_a_cut_taken_at_other_bounds(self) -> None:
        draw = moments.truncated_normal(std=1.0, lower=-1.0, upper=3.0)
        assert isinstance(draw, TruncatedNormal)
        mirrored = -fanin.sample(draw, (512, 384), seed=1, name="w").astype(np.float64)
        stats.check_variance(mirrored, draw, np.zeros(1))
        with pytest.raises(AssertionError, match="another family"):
            stats.check_family(mirrored, draw)
