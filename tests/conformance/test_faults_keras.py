"""Faults of Keras' initializers, each with what fanin does instead.

The first paragraph of a test's docstring is the fault, the second what is right here; the documentation's
list of faults is made from them. On the NumPy backend; `test_layers_keras` runs layers on the others.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fanin
from fanin.errors import InputError
from fanin.laws.einsum import fans_from_einsum
from fanin.laws.fans import fans
from fanin.records.draw import Normal, TruncatedNormal

keras = pytest.importorskip("keras")

import fanin.keras  # noqa: E402 - only where Keras is there

PEER = "Keras"
Z = 6.2


def values(tensor: Any) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(getattr(tensor, "value", tensor)))


def power(found: NDArray[Any]) -> float:
    return float(np.mean(np.square(found.astype(np.float64))))


def test_vectors_have_no_fans_by_themselves() -> None:
    """A vector of n counts as fan_in = fan_out = n, and a scalar as 1, without a word.

    A scheme with fans refuses such shapes and says which roles to give.
    """
    with pytest.raises(InputError, match="Fans need roles for a shape with fewer than two dimensions"):
        fanin.keras.HeNormal(seed=0)((7,))
    assert values(fanin.keras.HeNormal(seed=0, axes="in")((4000,))).std() == pytest.approx(
        math.sqrt(2 / 4000), rel=Z / math.sqrt(2 * 4000)
    )


def test_positions_count_one_at_a_time() -> None:
    """`input_axes` is ignored unless `output_axes` is given too; all other axes are dropped from the fans.

    Each position counts; dimensions that are not named are the kernel's.
    """
    init = fanin.keras.HeNormal(seed=0, input_axes=0)
    assert str(init.roles((64, 4, 8))) == "in receptive out"
    assert fans((64, 4, 8), init.roles((64, 4, 8))).fan_in == 256


def test_normal_is_a_normal() -> None:
    """`VarianceScaling(distribution="normal")` silently means a truncated normal.

    `normal` and `truncated_normal` are two words.
    """
    theirs = fanin.dialect("keras").VarianceScaling(distribution="normal").draw((64, 32))
    assert isinstance(theirs, TruncatedNormal)
    assert isinstance(fanin.variance_scaling(distribution="normal").draw((64, 32)), Normal)


def test_truncated_normal_has_its_std() -> None:
    """`TruncatedNormal(stddev=0.05)` has a standard deviation of 0.044: nobody makes good for the cut.

    The std is that of the samples.
    """
    weight = values(fanin.keras.TruncatedNormal(std=0.05, seed=0)((400, 400)))
    assert abs(power(weight) / 0.05**2 - 1) < Z * math.sqrt(2 / weight.size)
    assert fanin.dialect("keras").TruncatedNormal().draw(()).std == pytest.approx(0.04398, abs=1e-5)


def test_truncation_holds_for_every_value() -> None:
    """On the PyTorch backend 11 of 4 million values of TruncatedNormal lie beyond the bounds, up to 2.87 std.

    No value lies beyond, on any backend: all draw the same bits.
    """
    draw = fanin.dialect("keras").TruncatedNormal(stddev=1.0).draw(())
    weight = fanin.sample(draw, 4_000_000, seed=0, name="w")
    assert np.abs(weight).max() < 2.0


def test_a_shared_initializer_gives_distinct_values() -> None:
    """Every call of one initializer gives the same values, so two layers that share it begin as twins.

    Each call gives new values; `shared=True` asks for the old way.
    """
    init = fanin.keras.HeNormal(seed=0)
    first, second = values(init((16, 16))), values(init((16, 16)))
    assert (first != second).mean() > 0.99
    old = fanin.keras.HeNormal(seed=0, shared=True)
    np.testing.assert_array_equal(values(old((16, 16))), values(old((16, 16))))


def test_attention_kernels_are_distinct() -> None:
    """In MultiHeadAttention an initializer with a seed gives queries, keys and values the same kernel.

    Copies of an initializer count on.
    """
    layer = keras.layers.MultiHeadAttention(2, 8, kernel_initializer=fanin.keras.HeNormal(seed=0))
    layer.build((None, 5, 16), (None, 5, 16))
    kernels = [values(weight) for weight in layer.weights if weight.name == "kernel"][:3]
    assert all((one != other).mean() > 0.99 for one, other in pairwise(kernels))


def test_names_and_shapes_separate_streams_of_one_seed() -> None:
    """Two initializers with one seed draw one stream: layers of other laws or shapes are correlated (0.998).

    Scheme, shape and name choose the stream together with the seed.
    """
    one = values(fanin.keras.HeNormal(seed=3)((200, 200))).ravel()
    for other in (fanin.keras.GlorotUniform(seed=3), fanin.keras.HeNormal(seed=3, name="other")):
        two = values(other((200, 200))).ravel()
        assert abs(np.corrcoef(one, two)[0, 1]) < Z / math.sqrt(one.size)
    wider = values(fanin.keras.HeNormal(seed=3)((200, 201))).ravel()[: one.size]
    assert abs(np.corrcoef(one, wider)[0, 1]) < Z / math.sqrt(one.size)


def test_the_numbers_are_those_of_every_backend() -> None:
    """One seed gives other numbers on each backend.

    They are the bits of `fanin.sample`, here as on JAX, PyTorch and TensorFlow.
    """
    made = values(fanin.keras.HeNormal(seed=0, name="fc1.weight")((784, 256)))
    np.testing.assert_array_equal(made.T, fanin.sample("he_normal", (256, 784), seed=0, name="fc1.weight"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_orthogonal_in_every_dtype(dtype: str) -> None:
    """Orthogonal fails in 16-bit types on two backends; on the NumPy backend it returns another dtype.

    It is drawn in every dtype, and has the dtype that was asked for.
    """
    weight = values(fanin.keras.Orthogonal(seed=0)((32, 16), dtype))
    assert weight.dtype == dtype
    unit = max(float(np.finfo(dtype).eps) / 2, 1e-6)
    np.testing.assert_allclose(weight.astype(float).T @ weight.astype(float), np.eye(16), atol=4 * unit)


def test_sixteen_bits_have_all_their_values() -> None:
    """bfloat16 draws on the JAX backend have 128 distinct values.

    Each is a float32 draw rounded once, so all values that the format has near 0 occur.
    """
    wide = fanin.sample(Normal(std=1.0), 400_000, seed=0, name="w")
    narrow = fanin.sample(Normal(std=1.0), 400_000, seed=0, name="w", dtype="bfloat16")
    np.testing.assert_array_equal(narrow, wide.astype(narrow.dtype))
    assert len(np.unique(narrow)) > 3000


def test_each_gate_has_an_orthogonal_matrix() -> None:
    """The recurrent kernel of LSTM is orthogonal as a whole (h, 4 h): its gates are not.

    `blocks=4` makes each gate's matrix orthogonal.
    """
    kernel = values(fanin.keras.Orthogonal(blocks=4, seed=0)((32, 128))).astype(float)
    for gate in np.split(kernel, 4, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(32), atol=1e-4)


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in"),
    [("DepthwiseConv2D", (3, 3, 64, 1), 9), ("SeparableConv2D", (5, 5, 32, 2), 25)],
)
def test_depthwise_kernels_count_their_own_channel(layer: str, shape: tuple[int, ...], fan_in: int) -> None:
    """Depthwise and separable kernels count all channels as inputs of each: Glorot's std is 0.058, not 0.33.

    With the roles of the layer, a channel is a group.
    """
    axes = fanin.keras.kernel_axes(layer)
    assert fans(shape, axes).fan_in == fan_in
    if shape == (3, 3, 64, 1):
        assert fanin.glorot_uniform().draw(shape, axes).std == pytest.approx(1 / 3)
        assert fanin.dialect("keras").glorot_uniform().draw(shape).std == pytest.approx(0.0585, abs=1e-4)


def test_transposed_kernels_count_their_inputs() -> None:
    """The kernel of Conv2DTranspose lies as (k, k, out, in), and He's law takes the outputs for inputs.

    The layer's roles have them right, the stride too.
    """
    shape = (3, 3, 16, 256)
    axes = fanin.keras.kernel_axes("Conv2DTranspose")
    assert fanin.he_normal().draw(shape, axes).std == pytest.approx(math.sqrt(2 / (256 * 9)))
    assert fanin.dialect("keras").he_normal().draw(shape).std == pytest.approx(math.sqrt(2 / (16 * 9)))


def test_expert_letters_are_no_outputs() -> None:
    """EinsumDense("ebc,ecd->ebd") counts the letter of the experts as an output.

    A letter that all operands and the result have is in neither fan.
    """
    found = fans_from_einsum("ebc,ecd->ebd", (8, 64, 32))
    assert (found.fan_in, found.fan_out) == (64, 32)
    assert fanin.glorot_uniform().draw((8, 64, 32), "batch in out").std == pytest.approx(math.sqrt(2 / 96))


@pytest.mark.parametrize("name", ["xavier_uniform", "XavierUniform", "kaiming_normal", "he_normal", "msra"])
def test_strings_have_all_names(name: str) -> None:
    """`get` knows neither xavier nor kaiming, and minds upper and lower case.

    Every alias of a scheme is known to Keras, in both forms.
    """
    found = keras.initializers.get(f"fanin>{name}")
    assert isinstance(found, fanin.keras.SchemeInitializer)
    assert values(found((4, 4))).shape == (4, 4)


def test_identities_have_copies() -> None:
    """Identity is for two dimensions only.

    Stacked matrices are one identity a copy, and kernels have `dirac`.
    """
    weight = values(fanin.keras.Identity(axes="batch in out")((3, 4, 4)))
    np.testing.assert_array_equal(weight, np.broadcast_to(np.eye(4), (3, 4, 4)))


def test_an_empty_weight_has_no_fan() -> None:
    """A fan of zero counts as 1.

    An empty weight is made without a law; a law asked for its fans says that one is zero.
    """
    assert values(fanin.keras.HeNormal(seed=0)((0, 4))).shape == (0, 4)
    with pytest.raises(InputError, match="A fan is zero"):
        fanin.he_normal().draw((0, 4), "in out")
