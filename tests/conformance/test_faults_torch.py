"""Faults of PyTorch's initializers, each with what fanin does instead.

The first paragraph of a test's docstring is the fault, the second what is right here; the documentation's
list of faults is made from them. Laws without a number of samples are held exactly, samples at a false
alarm rate of 1e-9.
"""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

import fanin
from fanin.errors import InputError
from fanin.laws.fans import fans
from fanin.laws.gains import conventional_gain, gain
from fanin.records.axes import Axes, Role
from fanin.records.draw import Normal, TruncatedNormal
from fanin.sampling.engine import fill_slice

torch = pytest.importorskip("torch")

import fanin.torch  # noqa: E402 - only where PyTorch is there

PEER = "PyTorch"
Z = 6.2
IN, OUT, REC = Role.IN, Role.OUT, Role.RECEPTIVE


def power(values: np.ndarray) -> float:
    return float(np.mean(np.square(np.abs(values).astype(np.float64))))


def test_an_empty_weight_is_no_division_by_zero() -> None:
    """`xavier_uniform_` of shape (0, 0) raises ZeroDivisionError; other empty shapes pass.

    An empty weight has no law to break: it is returned as it is.
    """
    assert fanin.torch.xavier_uniform_(torch.empty(0, 0)).shape == (0, 0)
    assert fanin.sample("glorot_uniform", (0, 0), seed=0, name="w").shape == (0, 0)


def test_a_slope_that_is_not_used_is_refused() -> None:
    """`kaiming_normal_(a=0.2, nonlinearity="relu")` ignores the slope and says nothing.

    `he_normal("relu", slope=0.2)` is an error; slopes go with functions that have one, and a bool is none.
    """
    with pytest.raises(InputError, match="takes no parameter"):
        fanin.he_normal("relu", slope=0.2)
    with pytest.raises(InputError, match="parameter of leaky_relu is out of range"):
        fanin.he_normal("leaky_relu", slope=True)
    assert fanin.he_normal("leaky_relu", slope=0.2).variance == pytest.approx(2 / 1.04)


@pytest.mark.parametrize("name", ["gelu", "silu", "elu", "mish", "softplus", "prelu", "identity", "celu"])
def test_gains_of_every_activation(name: str) -> None:
    """`calculate_gain` has no gain for GELU, SiLU, ELU, Mish, softplus, PReLU or the identity.

    Gains are computed from the function: 1 / sqrt(E f(z)^2), for these, for all others and for any callable.
    """
    z = np.random.default_rng(0).standard_normal(400_000)
    found = gain(name)
    with torch.no_grad():
        function = {"identity": lambda x: x, "prelu": lambda x: torch.where(x > 0, x, 0.25 * x)}.get(
            name, getattr(torch.nn.functional, name, None)
        )
        values = np.square(function(torch.from_numpy(z)).numpy())
    error = Z * float(values.std()) / math.sqrt(values.size)
    assert abs(float(values.mean()) - found.second_moment) < error
    assert found.forward == pytest.approx(found.second_moment**-0.5, rel=1e-12)


def test_gains_that_are_conventions_say_so() -> None:
    """`calculate_gain` gives 3/4 for SELU (from a forum), 5/3 for tanh and 1 for the sigmoid.

    Those are listed as conventions beside the computed gains, 1.0000, 1.5925 and 1.8462, which keep E f^2.
    """
    for name, convention, computed in (
        ("selu", 0.75, 1.0),
        ("tanh", 5 / 3, 1.59254),
        ("sigmoid", 1, 1.84623),
    ):
        assert conventional_gain(name) == pytest.approx(convention)
        assert gain(name).forward == pytest.approx(computed, abs=1e-5)


def test_half_open_and_far_tails_end() -> None:
    """`trunc_normal_` raises for an infinite bound, and does not end for bounds far out, (4, 1e6).

    Any bounds are exact, by an inverse distribution function: one number an element, no rejection.
    """
    began = time.perf_counter()
    for bounds in ((4.0, math.inf), (4.0, 1e6), (5.0, 1000.0), (-math.inf, -8.0)):
        draw = fanin.truncated_normal(std=1.0, lower=bounds[0], upper=bounds[1]).spec
        assert isinstance(draw, TruncatedNormal)
        weight = fanin.sample(draw, 20_000, seed=1, name="w").astype(np.float64)
        assert abs(weight.std() - 1.0) < Z * math.sqrt(9.0 / 4 / weight.size)  # kurtosis of a tail is 9
        assert abs(weight.mean()) < Z / math.sqrt(weight.size)
    assert time.perf_counter() - began < 20


def test_a_std_of_zero_is_an_error_with_a_remedy() -> None:
    """`trunc_normal_(std=0)` raises ZeroDivisionError.

    The message says which value was wrong and what to use for weights that do not vary.
    """
    with pytest.raises(InputError, match=r"std=0\.0.*constant"):
        fanin.truncated_normal(std=0.0)


@pytest.mark.parametrize("bound", [1.0, 2.0, 3.0])
def test_truncation_keeps_the_std_that_was_asked_for(bound: float) -> None:
    """`trunc_normal_(std=1)` gives a standard deviation of 0.88.

    `std` is that of the samples, for any bounds; the parent is widened.
    """
    draw = fanin.truncated_normal(std=1.0, lower=-bound, upper=bound).spec
    weight = fanin.sample(draw, 200_000, seed=1, name="w")
    assert abs(power(weight) - 1.0) < Z * math.sqrt(2.0 / weight.size)


def test_bounds_are_in_units_of_the_std() -> None:
    """`trunc_normal_(std=0.02)` takes its bounds of ±2 in units of the weight: nothing is cut, to 100 std.

    Bounds are in standard deviations of the parent, so the largest weight is 2.27 std.
    """
    weight = fanin.sample(fanin.truncated_normal(std=0.02), 1_000_000, seed=1, name="w")
    assert 0.04 < np.abs(weight).max() < 0.0455
    theirs = fanin.dialect("torch").trunc_normal_(std=0.02).draw(())
    assert theirs.upper == pytest.approx(100.0)


def test_a_draw_does_not_depend_on_what_was_drawn_before() -> None:
    """`trunc_normal_` consumes random numbers by what it rejects; one more layer changes all later weights.

    A weight is a function of seed, name and index: nothing else is asked.
    """
    first = fanin.sample("he_normal", (8, 8), seed=0, name="fc2.weight")
    torch.manual_seed(9)
    fanin.sample(fanin.truncated_normal(std=1.0, lower=3.0, upper=4.0), 1000, seed=0, name="fc1.weight")
    torch.randn(17)
    np.testing.assert_array_equal(first, fanin.sample("he_normal", (8, 8), seed=0, name="fc2.weight"))


def test_orthogonal_columns_are_never_zeroed() -> None:
    """`orthogonal_` multiplies by sign(diag R), which is 0 where R has a zero: that column vanishes.

    The sign of zero counts as positive, and a matrix of one row or column has the length of the gain.
    """
    for shape in ((1, 1), (1, 7), (7, 1), (5, 5)):
        for seed in range(20):
            w = fanin.sample("orthogonal", shape, seed=seed, name="w").astype(np.float64)
            np.testing.assert_allclose(np.linalg.svd(w, compute_uv=False), 1.0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_orthogonal_in_sixteen_bits(dtype: torch.dtype) -> None:
    """`orthogonal_` of a float16 or bfloat16 tensor raises NotImplementedError.

    It is drawn in float32 and rounded once, in every dtype.
    """
    weight = fanin.torch.orthogonal_(torch.empty(64, 32, dtype=dtype), seed=0).double()
    # Each entry is off by half a unit of its own; 64 products of entries of about 1/8 add up.
    unit = torch.finfo(dtype).eps / 2
    torch.testing.assert_close(weight.T @ weight, torch.eye(32).double(), atol=2 * unit, rtol=0)


def test_orthogonal_complex_matrices_are_unitary() -> None:
    """`orthogonal_` of a complex tensor raises NotImplementedError.

    It is a unitary matrix.
    """
    weight = fanin.sample("orthogonal", (24, 16), seed=0, name="w", dtype="complex64")
    np.testing.assert_allclose(weight.conj().T @ weight, np.eye(16), atol=1e-5)


def test_a_sparse_weight_is_reproducible() -> None:
    """`sparse_` takes its places from the global generator, whatever `generator=` is given.

    Places and values both follow from the seed, or from the generator.
    """
    made = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        generator = torch.Generator().manual_seed(5)
        made.append(fanin.torch.sparse_(torch.empty(40, 30), 0.5, generator=generator))
    assert torch.equal(*made)
    assert (made[0] == 0).sum() == 20 * 30


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_eight_bit_floats(dtype: torch.dtype) -> None:
    """No random function of `torch.nn.init` fills float8 tensors.

    All do, rounded once from float32.
    """
    weight = fanin.torch.xavier_uniform_(torch.empty(30, 20, dtype=dtype), seed=1)
    wide = fanin.torch.xavier_uniform_(torch.empty(30, 20), seed=1)
    assert torch.equal(weight.float(), wide.to(dtype).float())


def test_integers_are_refused_with_a_reason() -> None:
    """Integer tensors fail with "not implemented for 'Int'".

    The message lists the dtypes that weights are drawn in.
    """
    with pytest.raises(InputError, match=r"int32.*A weight is drawn in one of float32"):
        fanin.torch.normal_(torch.empty(4, dtype=torch.int32), seed=0)


@pytest.mark.parametrize("scheme", ["glorot_uniform", "glorot_normal", "glorot_truncated_normal"])
def test_complex_weights_have_the_variance_that_was_asked_for(scheme: str) -> None:
    """A complex `xavier_uniform_` has E|w|^2 twice that of `xavier_normal_`: each part gets the full bound.

    E|w|^2 is the variance of the law, whatever its family.
    """
    weight = fanin.sample(scheme, (300, 300), seed=0, name="w", dtype="complex64")
    assert abs(power(weight) * 300 - 1.0) < Z * math.sqrt(1.0 / weight.size)


def test_sixteen_bit_uniforms_have_even_ends() -> None:
    """bfloat16 `uniform_(-1, 1)` sends what rounds to 1 to -1: P(-1) doubles and the mean is -0.002.

    Values are symmetric and rounded once, so both ends have the same probability.
    """
    weight = fanin.torch.uniform_(torch.empty(2_000_000, dtype=torch.bfloat16), -1, 1, seed=3).double()
    low, high = int((weight == -1).sum()), int((weight == 1).sum())
    assert abs(low - high) < Z * math.sqrt(low + high)
    assert abs(float(weight.mean())) < Z / math.sqrt(3 * weight.numel())


def test_transposed_convolutions_count_their_inputs() -> None:
    """A transposed kernel lies as (in, out, ...): fans are swapped, so 256 to 16 channels get 16 as inputs.

    Roles say which dimension is which; a plan reads them from the computation.
    """
    axes = Axes(roles=(IN, OUT, REC, REC), transposed=True)
    assert fans((256, 16, 3, 3), axes).fan_in == 256 * 9
    theirs = fanin.dialect("torch").kaiming_normal(nonlinearity="relu").draw((256, 16, 3, 3))
    assert theirs.std == pytest.approx(math.sqrt(2 / (16 * 9)))
    layer = torch.nn.Sequential(torch.nn.ConvTranspose2d(256, 16, 3), torch.nn.ReLU())
    assert fanin.torch.plan(layer, torch.zeros(1, 256, 4, 4))["0.weight"].fan_in == 256 * 9


def test_strides_of_transposed_convolutions_count() -> None:
    """No library divides by the stride of a transposed convolution, whose outputs skip inputs.

    fan_in = in x taps / product of strides.
    """
    assert fans((256, 16, 4, 4), Axes(roles=(IN, OUT, REC, REC), stride=4, transposed=True)).fan_in == 1024


def test_groups_count_in_fan_out() -> None:
    """fan_out of a grouped or depthwise convolution counts the outputs of all groups.

    Each group has a fan_out of its own.
    """
    assert fans((64, 1, 3, 3), Axes(roles=(OUT, IN, REC, REC), groups=64)).fan_out == 9
    assert fanin.dialect("torch").kaiming_normal(mode="fan_out").draw((64, 1, 3, 3)).std == pytest.approx(
        math.sqrt(2 / (64 * 9))
    )


def test_packed_projections_have_fans_of_their_own() -> None:
    """`MultiheadAttention` and `Transformer` apply Xavier to the packed (3 n, n) weight: sqrt(2) too small.

    A plan treats queries, keys and values as blocks, each with its own fans.
    """
    n = 32
    attention = torch.nn.MultiheadAttention(n, 4)
    entry = fanin.torch.plan(attention, *(torch.zeros(1, 3, n),) * 3)["in_proj_weight"]
    assert [(block.fan_in, block.fan_out) for block in entry.blocks] == [(n, n)] * 3
    packed = Axes(roles=(OUT, IN), groups=3)
    ours, theirs = (fanin.glorot_uniform().draw((3 * n, n), axes).std for axes in (packed, None))
    assert ours / theirs == pytest.approx(math.sqrt(2))


def test_a_linear_layers_default_keeps_the_power() -> None:
    """`Linear` and `Conv` set kaiming_uniform(a=sqrt(5)): a variance of 1 / (3 fan_in), a sixth of He's.

    A plan gives a layer the variance that the function after it asks for.
    """
    theirs = fanin.dialect("torch").default_weight().draw((64, 32))
    assert theirs.std**2 * 32 == pytest.approx(1 / 3)
    model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64))
    entry = fanin.torch.plan(model, torch.zeros(1, 32))["0.weight"]
    assert entry.draw is not None
    assert entry.draw.std**2 * 32 == pytest.approx(2.0)


def test_recurrent_biases_follow_their_gates() -> None:
    """RNN, LSTM and GRU draw all weights, biases too, from U(±1/sqrt(hidden)), whatever the inputs.

    A plan gives each gate its own law, orthogonal state matrices, open forget gates and else zero biases.
    """
    model = torch.nn.LSTM(16, 24)
    plan = fanin.torch.init_(model, torch.zeros(2, 3, 16))
    added = (model.bias_ih_l0 + model.bias_hh_l0).reshape(4, 24)
    assert added.tolist() == [[value] * 24 for value in (0.0, 1.0, 0.0, 0.0)]  # input, forget, cell, output
    assert plan["weight_ih_l0"].draw.std == pytest.approx(math.sqrt(2 / (16 + 24)))  # type: ignore[union-attr]
    assert "orthogonal" in str(plan["weight_hh_l0"].draw)


def test_a_shard_has_the_numbers_of_the_whole() -> None:
    """A sharded tensor's numbers come from offsets of each shard: they differ from those of one device.

    A part of a weight is computed alone, and is that part of the whole.
    """
    whole = fanin.sample(Normal(std=1.0), (12, 10), seed=4, name="w")
    part = np.empty((4, 10), np.float32)
    fill_slice(part, Normal(std=1.0), shape=(12, 10), index=(slice(4, 8), slice(0, 10)), seed=4, name="w")
    np.testing.assert_array_equal(part, whole[4:8])


def test_vectors_are_told_which_roles_to_give() -> None:
    """Fans of a vector raise "can not be computed for tensor with fewer than 2 dimensions".

    The error says which roles to give, and giving them is enough.
    """
    with pytest.raises(InputError, match=r"Give roles, for example axes='in' or axes='out'"):
        fanin.he_normal().draw((5,))
    assert fanin.he_normal().draw((5,), "in").std == pytest.approx(math.sqrt(2 / 5))


def test_only_the_named_function_is_truncated() -> None:
    """`he_normal`, `glorot_normal` and `normal` are truncated in some libraries and not in others.

    Here `normal` never is, and `truncated_normal` always is.
    """
    for family in ("he", "glorot", "lecun"):
        assert isinstance(getattr(fanin, f"{family}_normal")().draw((8, 8)), Normal)
        assert isinstance(getattr(fanin, f"{family}_truncated_normal")().draw((8, 8)), TruncatedNormal)


def test_an_embedding_fits_what_reads_it() -> None:
    """`Embedding` is N(0, 1) whatever follows: tied to a head its logits have a std of sqrt(dim).

    A plan reads what the table is for: power 1 for a layer that follows, the head's std where it is tied.
    """
    free = torch.nn.Sequential(torch.nn.Embedding(100, 64), torch.nn.Linear(64, 5))
    assert fanin.torch.plan(free, torch.zeros(1, 3, dtype=torch.long))["0.weight"].draw.std == 1.0  # type: ignore[union-attr]

    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(100, 64)
            self.head = torch.nn.Linear(64, 100, bias=False)
            self.head.weight = self.table.weight

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.head(torch.nn.functional.layer_norm(self.table(tokens), (64,)))  # type: ignore[no-any-return]

    draw = fanin.torch.plan(Tied(), torch.zeros(1, 3, dtype=torch.long))["table.weight"].draw
    assert draw is not None
    assert draw.std * math.sqrt(64) <= 1.0
