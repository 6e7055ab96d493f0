"""Faults of the initializers of JAX, Flax, Haiku and Equinox, each with what fanin does instead.

The first paragraph of a test's docstring is the fault, the second what is right here; the documentation's
list of faults is made from them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fanin
from fanin.errors import InputError, UnknownNameError
from fanin.laws import moments
from fanin.laws.fans import fans
from fanin.records.axes import Axes, Role
from fanin.records.draw import Normal, TruncatedNormal

jax = pytest.importorskip("jax")

import fanin.jax  # noqa: E402 - only where JAX is there

PEER = "JAX, Flax, Haiku, Equinox"
Z = 6.2
KEY = jax.random.key(0)
IN, OUT, REC = Role.IN, Role.OUT, Role.RECEPTIVE


def power(values: Any) -> float:
    return float(np.mean(np.square(np.abs(np.asarray(values)).astype(np.float64))))


def test_an_empty_weight_is_no_division_by_zero() -> None:
    """Shapes with a zero raise ZeroDivisionError (orthogonal ones pass).

    An empty weight is an empty array.
    """
    for name in ("he_normal", "glorot_uniform", "orthogonal"):
        assert getattr(fanin.jax, name)()(KEY, (0, 5)).shape == (0, 5)


def test_bad_parameters_are_refused_when_they_are_given() -> None:
    """Modes and distributions are checked at the call; a scale of 0 gives zeros, a negative one NaN.

    The factory refuses all of them.
    """
    for variance in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="positive and finite"):
            fanin.jax.variance_scaling(variance)
    with pytest.raises(UnknownNameError, match="Did you mean 'fan_in'"):
        fanin.jax.variance_scaling(mode="fan_inn")
    with pytest.raises(UnknownNameError, match="Unknown distribution"):
        fanin.jax.variance_scaling(distribution="gauss")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"])
def test_small_dtypes_are_the_wide_numbers_rounded_once(dtype: str) -> None:
    """The variance is cast to the dtype before its root, and values change with the width of the dtype.

    The law is computed in float64; a small dtype holds the float32 values, rounded once.
    """
    init = fanin.jax.he_normal(seed=0, name="w")
    wide = np.asarray(init(None, (48, 32)))
    np.testing.assert_array_equal(np.asarray(init(None, (48, 32), dtype)), wide.astype(dtype))


@pytest.mark.parametrize(("dtype", "values"), [("bfloat16", 3000), ("float16", 15_000)])
def test_small_dtypes_have_all_their_values(dtype: str, values: int) -> None:
    """Normals have 128 distinct values in bfloat16 and 1024 in float16, with a mean of -0.011 std.

    All values near 0 occur, and the mean is 0.
    """
    weight = np.asarray(fanin.jax.normal(std=1.0)(KEY, (400, 1000), dtype)).astype(np.float64)
    assert len(np.unique(weight)) > values
    assert abs(weight.mean()) < Z / math.sqrt(weight.size)
    assert np.abs(weight).max() > 4.0


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_eight_bit_floats_have_the_law(dtype: str) -> None:
    """In float8 normals have 8 or 4 values and a mean of -0.14 or -0.21, truncated normals are NaN.

    They are finite, symmetric and have the std that rounding leaves.
    """
    from fanin.laws.rounding import rounded

    for init in (fanin.jax.normal(std=1.0), fanin.jax.truncated_normal(std=1.0)):
        weight = np.asarray(init(KEY, (200, 1000), dtype)).astype(np.float64)
        assert np.isfinite(weight).all()
        draw = init.scheme.draw((200, 1000))
        after = rounded(draw, dtype)
        assert abs(weight.mean()) < Z * after.std / math.sqrt(weight.size)
        assert abs(weight.std() / after.std - 1) < Z * math.sqrt(3 / 4 / weight.size)


def test_complex_truncated_normals_have_their_variance() -> None:
    """Complex he, glorot and lecun normals have 1.0188 times their variance: a constant lacks its norm.

    The variance is that of the law.
    """
    cut = 4.0  # |z|^2 is exponential with mean 1; theirs is cut at |z| < 2
    kept = math.sqrt(1 - cut * math.exp(-cut) / (1 - math.exp(-cut)))
    assert kept**2 / 0.95311164380491208**2 == pytest.approx(1.0188, abs=2e-4)
    weight = fanin.sample("glorot_truncated_normal", (300, 300), seed=0, name="w", dtype="complex64")
    assert abs(power(weight) * 300 - 1) < Z * math.sqrt(1 / weight.size)


@pytest.mark.parametrize("name", ["glorot_uniform", "he_truncated_normal"])
def test_complex_parts_share_the_variance(name: str) -> None:
    """Haiku's complex truncated normals and Equinox' complex defaults have twice the variance.

    Both parts together have the variance that was asked for, and each has half of it.
    """
    weight = fanin.sample(name, (300, 300), seed=1, name="w", dtype="complex64")
    variance = fanin.explain(name, shape=(300, 300)).number("std") ** 2
    for part in (weight.real, weight.imag):
        assert abs(power(part) / variance - 0.5) < Z * math.sqrt(1 / weight.size)


def test_truncated_normal_has_its_std() -> None:
    """`truncated_normal(stddev=0.02)` has a std of 0.0176, and Haiku's Linear and Conv 12 % too little.

    The std is that of the samples.
    """
    weight = fanin.jax.truncated_normal(std=0.02)(KEY, (400, 400))
    assert abs(power(weight) / 0.02**2 - 1) < Z * math.sqrt(2 / 160_000)
    assert fanin.dialect("jax").truncated_normal(0.02).draw(()).std == pytest.approx(0.017593, abs=1e-6)
    theirs = fanin.dialect("haiku").default_weight().draw((256, 64)).std * 16
    assert theirs == pytest.approx(moments.cut_moments(-2.0, 2.0).variance ** 0.5)


def test_uniform_says_its_ends() -> None:
    """`uniform(scale)` is from 0 to scale: all weights are positive.

    `uniform` takes both bounds, or a std around a mean of 0.
    """
    assert fanin.uniform(std=0.02).draw(()).mean == 0.0
    with pytest.raises(InputError, match="both bounds, or a standard deviation"):
        fanin.uniform(0.02)
    assert fanin.dialect("jax").uniform(0.02).draw(()).mean == pytest.approx(0.01)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_orthogonal_in_sixteen_bits(dtype: str) -> None:
    """`orthogonal` of 16-bit and 8-bit types, or with an `out_sharding`, raises NotImplementedError.

    It is drawn in float32 and rounded once.
    """
    weight = np.asarray(fanin.jax.orthogonal()(KEY, (64, 32), dtype)).astype(np.float64)
    unit = 2.0**-9 if dtype == "bfloat16" else 2.0**-12
    np.testing.assert_allclose(weight.T @ weight, np.eye(32), atol=8 * unit)
    mesh = jax.make_mesh((1,), ("a",))
    layout = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("a"))
    laid = fanin.jax.orthogonal()(KEY, (8, 8), "float32", layout)
    np.testing.assert_array_equal(np.asarray(laid), np.asarray(fanin.jax.orthogonal()(KEY, (8, 8))))


def test_stacked_weights_keep_their_fan() -> None:
    """A stack of matrices (8, 64, 32) is taken for a kernel of 8 taps: the std is sqrt(8) too small.

    With the role `batch` a copy is in no fan, by name as by position.
    """
    by_role = fans((8, 64, 32), "batch in out")
    assert (by_role.fan_in, by_role.fan_out) == (64, 32)
    init = fanin.jax.lecun_normal(batch_axis=0)
    assert abs(power(init(KEY, (8, 64, 32))) * 64 - 1) < Z * math.sqrt(2 / (8 * 64 * 32))
    assert fanin.dialect("jax").lecun_normal().draw((8, 64, 32)).std == pytest.approx(1 / math.sqrt(8 * 64))


def test_attention_kernels_have_roles() -> None:
    """A kernel (512, 8, 64) of an attention is read as 512 taps: fans of 4096 and 32768.

    Both 8 heads and 64 channels are outputs: fans of 512 and 512.
    """
    found = fans((512, 8, 64), "in out out")
    assert (found.fan_in, found.fan_out) == (512, 512)


def test_swapped_transposed_kernels_have_roles() -> None:
    """Flax's `ConvTranspose(transpose_kernel=True)` stores (k, k, out, in), and fans are swapped.

    Roles are said: `receptive receptive out in`, with the stride.
    """
    axes = Axes(roles=(REC, REC, OUT, IN), stride=4, transposed=True)
    assert fans((4, 4, 16, 256), axes).fan_in == 256 * 16 / 4
    init = fanin.jax.lecun_normal(axes=axes)
    assert abs(power(init(KEY, (4, 4, 16, 256))) * 1024 - 1) < Z * math.sqrt(2 / (16 * 16 * 256))


def test_copies_of_dense_general_are_in_no_fan() -> None:
    """Flax's DenseGeneral multiplies its batch dimensions into fan_in.

    The role `batch` is in neither fan.
    """
    assert fans((5, 64, 32), Axes(roles=(Role.BATCH, IN, OUT))).fan_in == 64


def test_the_order_of_layers_does_not_matter() -> None:
    """Haiku's numbers come from the order in which a transformed function asks for them.

    A name chooses the stream.
    """
    ahead = fanin.sample("he_normal", (4, 4), seed=0, name="second")
    fanin.sample("he_normal", (4, 4), seed=0, name="first")
    np.testing.assert_array_equal(ahead, fanin.sample("he_normal", (4, 4), seed=0, name="second"))


def test_a_scale_of_zero_is_refused() -> None:
    """Haiku's VarianceScaling takes a scale of 0 though its message asks for a positive one.

    It is an error that names `zeros()`.
    """
    with pytest.raises(InputError, match=r"variance=0\.0.*Use zeros\(\)"):
        fanin.variance_scaling(0.0)


def test_roles_of_a_matrix_are_taken() -> None:
    """Haiku's `fan_in_axes` is ignored for two dimensions.

    Roles count in every rank.
    """
    assert fans((784, 256), "in out").fan_in == 784
    assert fans((784, 256), "out in").fan_in == 256


def test_normal_and_truncated_are_two_words() -> None:
    """`variance_scaling(..., "normal")` is not truncated, while `he_normal` is.

    Here the name says it, everywhere.
    """
    assert isinstance(fanin.jax.he_normal().scheme.draw((8, 8)), Normal)
    assert isinstance(fanin.jax.he_truncated_normal().scheme.draw((8, 8)), TruncatedNormal)


def test_delta_orthogonal_kernels_have_the_dtype_of_the_call() -> None:
    """`delta_orthogonal` makes its inner matrix in the factory's dtype, whatever the call asks for.

    The dtype is that of the call: in bfloat16 the float32 numbers, rounded once.
    """
    init = fanin.jax.delta_orthogonal(seed=0, name="w")
    wide, narrow = init(None, (3, 3, 8, 16)), init(None, (3, 3, 8, 16), "bfloat16")
    assert str(narrow.dtype) == "bfloat16"
    np.testing.assert_array_equal(np.asarray(narrow), np.asarray(wide).astype(narrow.dtype))
