"""Faults of other libraries' initializers, each with what fanin does instead.

The first paragraph of a test's docstring is the fault, the second what is right here; the documentation's
list of faults is made from them. Most of these libraries cannot be installed beside the tests: their laws
are those that were read in their sources, as `fanin.dialect` has them.
"""

from __future__ import annotations

import math
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import scipy.stats

import fanin
from fanin.errors import InputError, UnknownNameError
from fanin.laws import moments
from fanin.laws.fans import fans
from fanin.records.axes import Axes, Role
from fanin.records.draw import Normal, Uniform

PEER = "timm, MLX, tinygrad, TensorFlow 1, Sonnet, MXNet, Chainer, Lasagne, Paddle, DL4J, Lux"
Z = 6.2
IN, OUT, REC = Role.IN, Role.OUT, Role.RECEPTIVE


def ratio(peer: str, ours: fanin.Scheme, shape: tuple[int, ...], axes: str | None = None) -> float:
    """A peer's std over ours, for one shape."""
    dialect, _, name = peer.partition(":")
    return fanin.dialect(dialect).get(name).draw(shape).std / ours.draw(shape, axes).std


def test_small_stds_have_no_outliers() -> None:
    """timm's `trunc_normal_` of std 0.002 has values at ±2, a thousand std away; in bfloat16 thousands.

    No value lies beyond the bounds, in any dtype, and none piles up on them.
    """
    draw = fanin.truncated_normal(std=0.002).draw(())
    for dtype in ("float32", "bfloat16"):
        weight = fanin.sample(draw, 1_000_000, seed=0, name="w", dtype=dtype).astype(np.float64)
        bound = 0.002 * 2 / moments.cut_moments(-2.0, 2.0).variance ** 0.5
        # Rounding to bfloat16 may move the last value outwards, by half a unit.
        assert np.abs(weight).max() <= bound * (1 + 2.0**-8)
        assert abs(weight.std() / 0.002 - 1) < Z * math.sqrt(1 / 2 / weight.size) + 2.0**-17
        edge = np.abs(weight) > bound * (1 - 2.0**-7)
        # The density at the cut, two-sided, over this width and what rounding may bring into it.
        share = 2 * scipy.stats.truncnorm(-2, 2).pdf(2.0) * 2.0 * (2.0**-7 + 2.0**-8)
        assert edge.mean() < share + Z * math.sqrt(share / weight.size)


def test_bounds_in_std_with_the_std_asked_for() -> None:
    """timm has two functions: one with bounds in units of the weight, one (`_tf_`) with 12 % too little std.

    One function: bounds in std, and the std that was asked for.
    """
    assert fanin.dialect("timm").trunc_normal_tf_(std=0.02).draw(()).std == pytest.approx(0.01759, abs=1e-5)
    draw = fanin.truncated_normal(std=0.02).spec
    weight = fanin.sample(draw, 200_000, seed=0, name="w")
    assert abs(float(weight.std()) / 0.02 - 1) < Z * math.sqrt(1 / 2 / weight.size)


def test_unknown_modes_are_named() -> None:
    """timm's `variance_scaling_` raises UnboundLocalError for an unknown mode.

    The message has the nearest mode.
    """
    with pytest.raises(UnknownNameError, match="Did you mean 'fan_in'"):
        fanin.variance_scaling(mode="fan_inn")


def test_he_is_twice_lecun() -> None:
    """MLX's and Lasagne's `he_normal` have a gain of 1: LeCun's variance, half of He's.

    The activation decides, and the default is ReLU, whose factor is 2.
    """
    assert ratio("mlx:he_normal", fanin.he_normal(), (64, 32)) == pytest.approx(math.sqrt(0.5))
    assert fanin.he_normal().draw((64, 32)).std ** 2 * 32 == pytest.approx(2.0)


def test_a_flat_orthogonal_matrix_needs_little_memory() -> None:
    """MLX's `orthogonal` factors a square of the larger side: 100,000 x 100,000 for a matrix (8, 100000).

    Memory is that of the matrix, a few times.
    """
    shape = (8, 20_000)
    tracemalloc.start()
    weight = fanin.sample("orthogonal", shape, seed=0, name="w")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * weight.nbytes  # a square would be 2,500 times
    np.testing.assert_allclose(weight.astype(float) @ weight.T.astype(float), np.eye(8), atol=1e-4)


def test_sparse_counts_a_units_inputs() -> None:
    """`sparse(sparsity)` zeroes rows in MLX and columns in PyTorch; in Lasagne it is the share that is kept.

    Each unit is joined to the same number of its inputs, in every layout that roles can say.
    """
    weight = fanin.sample(fanin.sparse(sparsity=0.75), (30, 40), seed=0, name="w")
    assert ((weight != 0).sum(axis=1) == 10).all()
    stored = fanin.sample(fanin.sparse(sparsity=0.75), (40, 30), seed=0, name="w", axes="in out")
    np.testing.assert_array_equal(stored.T, weight)


def test_the_dtype_is_the_one_asked_for() -> None:
    """MLX's functions return the dtype of the factory, whatever the array's.

    The dtype of the call is the dtype of the weight.
    """
    for dtype in ("float16", "float64", ml_dtypes.bfloat16):
        assert fanin.sample("he_normal", (4, 4), seed=0, name="w", dtype=dtype).dtype == np.dtype(dtype)


def test_a_kernels_taps_count_in_both_fans() -> None:
    """tinygrad's `glorot_uniform` leaves the taps out of fan_out: 176 instead of 432 under the root.

    Taps are in both fans.
    """
    found = fans((32, 16, 3, 3))
    assert found.fan_in + found.fan_out == 432
    theirs = fanin.dialect("tinygrad").glorot_uniform().draw((32, 16, 3, 3))
    assert theirs.high == pytest.approx(math.sqrt(6 / 176))  # type: ignore[union-attr]


def test_the_slope_of_relu_is_zero() -> None:
    """tinygrad's `kaiming_normal` has a slope of 0.01 by default, MXNet's MSRAPrelu 0.25 and both fans.

    He's law for ReLU has slope 0 and fan_in.
    """
    assert ratio("tinygrad:kaiming_normal", fanin.he_normal(), (64, 32)) == pytest.approx(1.0001**-0.5)
    assert fanin.dialect("mxnet").MSRAPrelu().draw((96, 64)).std == pytest.approx(math.sqrt(2 / 1.0625 / 80))
    assert fanin.he_normal().draw((96, 64)).std == pytest.approx(math.sqrt(2 / 64))


def test_groups_divide_the_inputs() -> None:
    """tinygrad's convolutions count the inputs of all groups; timm divides fan_out by groups in one model.

    A group's fans are its own, forward and backward.
    """
    axes = Axes(roles=(OUT, IN, REC, REC), groups=4)
    found = fans((64, 8, 3, 3), axes)
    assert (found.fan_in, found.fan_out) == (72, 144)


def test_the_number_of_elements_is_no_fan() -> None:
    """tinygrad's `scaled_uniform` divides by the root of the number of elements.

    `uniform_unit_scaling` divides by fan_in, as the law that is known by this name.
    """
    assert fanin.uniform_unit_scaling().draw((64, 32)).std ** 2 * 32 == pytest.approx(1.0)
    assert fanin.dialect("tinygrad").scaled_uniform().draw((64, 32)).std ** 2 * 64 * 32 == pytest.approx(
        1 / 3
    )


def test_the_correction_for_the_cut_is_exact() -> None:
    """tf.contrib multiplies the variance by 1.3 for the cut: 0.6 % too much. TensorFlow 1 first had none.

    The factor is 1 / Var(z | |z| < 2) = 1.29242, computed for any bounds.
    """
    factor = 1 / moments.cut_moments(-2.0, 2.0).variance
    assert factor == pytest.approx(1.29242, abs=1e-5)
    theirs = fanin.dialect("tf1-contrib").variance_scaling_initializer().draw((128, 8)).std ** 2 * 128
    assert theirs / 2 == pytest.approx(1.3 / factor)
    assert fanin.he_truncated_normal().draw((8, 128)).std ** 2 * 128 == pytest.approx(2.0, rel=1e-12)


def test_delta_orthogonal_has_the_gain() -> None:
    """TensorFlow 1's delta-orthogonal kernel was scaled by the root of the gain in early releases.

    All its singular values are the gain.
    """
    kernel = fanin.sample(fanin.delta_orthogonal(1.5), (16, 8, 3, 3), seed=0, name="w")
    centre = kernel[:, :, 1, 1].astype(float)
    np.testing.assert_allclose(np.linalg.svd(centre, compute_uv=False), 1.5, rtol=1e-5)


def test_modes_need_no_swapping_for_transposed_convolutions() -> None:
    """Sonnet asks its users to swap fan_in and fan_out for a transposed convolution.

    The layer's roles say it once.
    """
    axes = Axes(roles=(IN, OUT, REC, REC), transposed=True)
    assert fans((64, 16, 3, 3), axes).fan_in == 64 * 9
    assert fans((64, 16, 3, 3), axes).fan_out == 16 * 9


def test_uniform_and_normal_have_one_variance() -> None:
    """MXNet's `Xavier(rnd_type="gaussian")` has three times the variance of its uniform.

    A family has one variance, whatever its distribution.
    """
    xavier = [fanin.dialect("mxnet").Xavier(rnd_type=kind).draw((96, 64)) for kind in ("gaussian", "uniform")]
    assert (xavier[0].std / xavier[1].std) ** 2 == pytest.approx(3.0)
    ours = fanin.glorot_normal().draw((96, 64)), fanin.glorot_uniform().draw((96, 64))
    assert ours[0].std == pytest.approx(ours[1].std, rel=1e-14)


def test_orthogonal_matrices_are_haar() -> None:
    """MXNet and Lasagne take the SVD of noise (uniform in MXNet) without fixing signs: not Haar.

    Entries, the trace and the determinant have the laws of Haar's measure.
    """
    n, draws = 8, 3000
    stack = fanin.sample("orthogonal", (draws, n, n), seed=0, name="w", axes="batch out in").astype(float)
    entries = scipy.stats.kstest(stack[:, 2, 3] ** 2, scipy.stats.beta(0.5, (n - 1) / 2).cdf)
    assert entries.pvalue > 1e-9
    traces = stack.trace(axis1=1, axis2=2)
    # Of a Haar matrix the trace has mean 0, variance 1, and a fourth moment of 3 (Diaconis and Shahshahani).
    assert abs(traces.mean()) < Z / math.sqrt(draws)
    assert abs(np.square(traces).mean() - 1) < Z * math.sqrt(2 / draws)
    signs = np.linalg.det(stack) > 0
    assert abs(signs.mean() - 0.5) < Z * 0.5 / math.sqrt(draws)


def test_the_gain_of_orthogonal_is_one() -> None:
    """Orthogonal has a gain of 1.1 by default in Chainer and of 1.414 in MXNet.

    Lengths are kept unless a gain is given.
    """
    assert ratio("chainer:orthogonal", fanin.orthogonal(), (64, 32)) == pytest.approx(1.1)
    assert ratio("mxnet:orthogonal", fanin.orthogonal(), (64, 32)) == pytest.approx(1.414)
    weight = fanin.sample("orthogonal", (32, 32), seed=0, name="w").astype(float)
    np.testing.assert_allclose(np.linalg.svd(weight, compute_uv=False), 1.0, atol=1e-5)


def test_an_empty_orthogonal_matrix_is_empty() -> None:
    """Chainer raises ValueError for an empty orthogonal matrix.

    It is empty.
    """
    assert fanin.sample("orthogonal", (0, 4), seed=0, name="w").shape == (0, 4)


def test_one_layout_for_matrices_and_kernels() -> None:
    """Lasagne's He takes dimension 0 for the inputs of a matrix, and all others for those of a kernel.

    Roles say which dimension is which; without any it is out, in, taps for both.
    """
    assert fans((64, 32)).fan_in == 32
    assert fans((64, 32, 3, 3)).fan_in == 288
    assert fanin.dialect("lasagne").HeNormal("relu").draw((64, 32)).std == pytest.approx(math.sqrt(2 / 64))


def test_a_bool_is_no_slope() -> None:
    """Paddle takes True for the slope of leaky ReLU.

    It is an error.
    """
    with pytest.raises(InputError, match="is out of range"):
        fanin.he_normal("leaky_relu", slope=True)


def test_fans_are_those_of_the_whole_tensor() -> None:
    """Paddle counts the fans of a sharded weight from the local shape.

    A part is drawn with the law of the whole, and is the part of the whole.
    """
    from fanin.sampling.engine import fill_slice

    draw = fanin.he_normal().draw((64, 32))
    part = np.empty((64, 8), np.float32)
    fill_slice(part, draw, shape=(64, 32), index=(slice(0, 64), slice(8, 16)), seed=0, name="w")
    np.testing.assert_array_equal(part, fanin.sample("he_normal", (64, 32), seed=0, name="w")[:, 8:16])


def test_lecun_uniform_has_lecuns_variance() -> None:
    """Deeplearning4j's LECUN_UNIFORM is ±3/sqrt(fan_in), sqrt(3) too wide; so is its uniform by fan_in.

    The bound is sqrt(3 / fan_in).
    """
    assert ratio("dl4j:lecun_uniform", fanin.lecun_uniform(), (64, 96), "in out") == pytest.approx(3**0.5)
    draw = fanin.lecun_uniform().draw((96, 64))
    assert isinstance(draw, Uniform)
    assert draw.high == pytest.approx(math.sqrt(3 / 64))


def test_the_name_says_the_distribution() -> None:
    """XAVIER is normal in Deeplearning4j and uniform in tf.contrib and MXNet.

    There is no name without a distribution.
    """
    assert isinstance(fanin.dialect("dl4j").xavier().draw((8, 8)), Normal)
    assert isinstance(fanin.dialect("mxnet").xavier().draw((8, 8)), Uniform)
    with pytest.raises(UnknownNameError, match=r"xavier_normal|xavier_uniform"):
        fanin.sample("xavier", (8, 8), seed=0, name="w")


def test_a_cut_has_no_values_on_its_bounds() -> None:
    """Lux and the old PyTorch and timm clamp an inverse error function: values pile up on the bounds.

    Probabilities inside the bounds are mapped, so nothing is clamped: no value has more than its density.
    """
    draw = fanin.dialect("lux").truncated_normal(std=1.0, lo=-0.5, hi=0.5).draw(())
    weight = fanin.sample(draw, 1_000_000, seed=0, name="w").astype(np.float64)
    assert np.abs(weight).max() < 0.5
    peer = scipy.stats.truncnorm(-0.5, 0.5)
    assert scipy.stats.kstest(weight[::10], peer.cdf).pvalue > 1e-9
    # At most two of a million on one float32 value: 2^23 of them are there, and 2^20 draws.
    assert np.unique(weight, return_counts=True)[1].max() < 16


def test_named_uniforms_are_symmetric() -> None:
    """The default of `uniform()` is [0, 1), ±0.05, [0, 0.01) or ±0.07, by library.

    There is no default: bounds or a std are asked for.
    """
    with pytest.raises(InputError, match=r"Say uniform\(-0.05, 0.05\) or uniform\(std=0.02\)"):
        fanin.uniform()


def test_orthogonal_kernels_are_outputs_by_the_rest_in_every_layout() -> None:
    """Orthogonal flattens all but the first dimension in PyTorch and Chainer, all but the last elsewhere.

    Roles say which dimension is the outputs', and the same connection has the same number in each layout.
    """
    first = fanin.sample("orthogonal", (24, 16, 3, 3), seed=1, name="w")
    last = fanin.sample("orthogonal", (3, 3, 16, 24), seed=1, name="w", axes="receptive receptive in out")
    np.testing.assert_array_equal(first.transpose(2, 3, 1, 0), last)
    rows = first.reshape(24, -1).astype(float)
    np.testing.assert_allclose(rows @ rows.T, np.eye(24), atol=1e-5)
