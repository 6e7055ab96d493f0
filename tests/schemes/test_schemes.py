"""Laws of the schemes as numbers worked out by hand, and the inputs that they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import fanin
from fanin.errors import InputError
from fanin.laws.gains import gain
from fanin.records.axes import Axes, Role
from fanin.records.draw import Constant, Normal, Orthogonal, Sparse, TruncatedNormal, Uniform
from fanin.schemes.base import Scheme

SHAPE = (300, 100)  # fan_in 100, fan_out 300


@pytest.mark.parametrize(
    ("scheme", "variance"),
    [
        (fanin.glorot_normal(), 1 / 200),
        (fanin.glorot_normal(3.0), 9 / 200),
        (fanin.he_normal(), 2 / 100),
        (fanin.he_normal(mode="fan_out"), 2 / 300),
        (fanin.he_normal(mode="fan_avg"), 2 / 200),
        (fanin.he_normal(mode="fan_geo_avg"), 2 / math.sqrt(30_000)),
        (fanin.he_normal("leaky_relu", slope=0.5), 2 / 1.25 / 100),
        (fanin.he_normal("linear"), 1 / 100),
        (fanin.he_normal(lambda x: 3.0 * x), 1 / 9 / 100),
        (fanin.lecun_normal(), 1 / 100),
        (fanin.variance_scaling(0.3, "fan_out"), 0.3 / 300),
    ],
    ids=repr,
)
def test_variances(scheme: Scheme, variance: float) -> None:
    draw = scheme.draw(SHAPE)
    assert isinstance(draw, Normal)
    assert draw.std**2 == pytest.approx(variance, rel=1e-10)


@pytest.mark.parametrize("family", ["glorot", "he", "lecun"])
def test_one_law_in_three_distributions(family: str) -> None:
    normal = getattr(fanin, f"{family}_normal")().draw(SHAPE)
    uniform = getattr(fanin, f"{family}_uniform")().draw(SHAPE)
    truncated = getattr(fanin, f"{family}_truncated_normal")().draw(SHAPE)
    assert isinstance(uniform, Uniform)
    assert isinstance(truncated, TruncatedNormal)
    assert uniform.std == pytest.approx(normal.std, rel=1e-14)
    assert truncated.std == normal.std
    assert uniform.low == -uniform.high
    assert (truncated.mean, truncated.lower, truncated.upper) == (0.0, -2.0, 2.0)


def test_the_bounds_of_the_papers() -> None:
    assert fanin.glorot_uniform().draw(SHAPE).high == pytest.approx(math.sqrt(6 / 400), rel=1e-14)
    assert fanin.he_uniform().draw(SHAPE).high == pytest.approx(math.sqrt(6 / 100), rel=1e-14)
    assert fanin.lecun_uniform().draw(SHAPE).high == pytest.approx(math.sqrt(3 / 100), rel=1e-14)


def test_backward_modes_take_the_backward_gain() -> None:
    gelu = gain("gelu")
    forward = fanin.he_normal("gelu").draw(SHAPE).std ** 2 * 100
    backward = fanin.he_normal("gelu", mode="fan_out").draw(SHAPE).std ** 2 * 300
    assert forward == pytest.approx(gelu.forward**2, rel=1e-14)
    assert backward == pytest.approx(gelu.backward**2, rel=1e-14)
    assert forward != pytest.approx(backward, rel=0.01)


def test_roles_decide() -> None:
    assert fanin.he_normal().draw((100, 300), "in out") == fanin.he_normal().draw((300, 100))
    conv = fanin.he_normal().draw((64, 32, 3, 3))
    assert conv == fanin.he_normal().draw((3, 3, 32, 64), "receptive receptive in out")
    assert conv.std == pytest.approx(math.sqrt(2 / 288))


@pytest.mark.parametrize(
    ("scheme", "draw"),
    [
        (fanin.uniform(-1.0, 2.0), Uniform(low=-1.0, high=2.0)),
        (fanin.normal(std=0.02), Normal(mean=0.0, std=0.02)),
        (fanin.normal(0.5, std=2), Normal(mean=0.5, std=2.0)),
        (fanin.constant(3), Constant(value=3.0)),
        (fanin.zeros(), Constant(value=0.0)),
        (fanin.ones(), Constant(value=1.0)),
    ],
)
def test_plain_draws_fit_every_shape(scheme: Scheme, draw: object) -> None:
    for shape in ((), (5,), (2, 3), (0,)):
        assert scheme.draw(shape) == draw


def test_uniform_by_its_std() -> None:
    draw = fanin.uniform(mean=1.0, std=0.5).draw(())
    assert isinstance(draw, Uniform)
    assert (draw.mean, draw.std) == pytest.approx((1.0, 0.5), rel=1e-14)


@pytest.mark.parametrize(
    ("shape", "axes", "side"),
    [
        ((64, 100), None, 100),
        ((100, 64), None, 100),
        ((16, 8, 3, 3), None, 72),
        ((5, 16, 8), "batch out in", 16),
        ((64, 8, 3), Axes(roles=(Role.OUT, Role.IN, Role.RECEPTIVE), groups=8), 24),
        ((64, 2, 3), Axes(roles=(Role.IN, Role.OUT, Role.RECEPTIVE), groups=4, transposed=True), 48),
    ],
)
def test_orthogonal_entries(shape: tuple[int, ...], axes: Axes | str | None, side: int) -> None:
    draw = fanin.orthogonal(1.5).draw(shape, axes)
    assert isinstance(draw, Orthogonal)
    assert draw.std == pytest.approx(1.5 / math.sqrt(side), rel=1e-14)
    # The engine's matrices have exactly this root mean square: all singular values are the gain.
    weight = fanin.sample(fanin.orthogonal(1.5), shape, seed=3, name="w", axes=axes, dtype="float64")
    assert np.sqrt((weight**2).mean()) == pytest.approx(draw.std, rel=1e-6)


CONV = ((36, 9, 3, 3), None, 1)
GROUPED = ((36, 9, 3, 3), Axes(roles=(Role.OUT, Role.IN, Role.RECEPTIVE, Role.RECEPTIVE), groups=3), 3)
EXPERTS = ((5, 36, 9), "batch out in", 5)


@pytest.mark.parametrize(
    ("scheme", "case", "std"),
    [
        (fanin.orthogonal(1.5, blocks=4), ((36, 25), None, 1), 1.5 / 5),
        (fanin.orthogonal(1.5, blocks=2), GROUPED, 1.5 / 9),
        (fanin.delta_orthogonal(1.5), CONV, 1.5 / 18),
        (fanin.delta_orthogonal(1.5), GROUPED, 1.5 / math.sqrt(12 * 9)),
        (fanin.delta_orthogonal(1.5), EXPERTS, 1.5 / 6),
        (fanin.orthogonal_convolution(1.5), CONV, 1.5 / 18),
        (fanin.orthogonal_convolution(1.5), GROUPED, 1.5 / math.sqrt(12 * 9)),
        (fanin.identity(1.5), EXPERTS, 1.5 * math.sqrt(1 / 36 * 35 / 36)),
        (fanin.dirac(1.5), CONV, 1.5 * math.sqrt(1 / 324 * 323 / 324)),
        (fanin.dirac(1.5), GROUPED, 1.5 * math.sqrt(1 / 108 * 107 / 108)),
    ],
    ids=repr,
)
def test_root_mean_squares_that_are_exact(
    scheme: Scheme, case: tuple[tuple[int, ...], Axes | str | None, int], std: float
) -> None:
    shape, axes, _ = case
    draw = scheme.draw(shape, axes)
    assert draw.std == pytest.approx(std, rel=1e-14)
    weight = fanin.sample(scheme, shape, seed=3, name="w", axes=axes, dtype="float64")
    assert np.sqrt(np.square(weight - draw.mean).mean()) == pytest.approx(std, rel=1e-12)


def test_identities() -> None:
    draw = fanin.identity(2.0).draw((4, 8))
    assert (draw.mean, draw.std) == pytest.approx((2 / 8, 2 * math.sqrt(7) / 8), rel=1e-14)
    assert fanin.identity().draw((1, 1)).std == 0.0


def test_connections() -> None:
    assert fanin.sparse(15, std=2.0).draw((7, 60)) == Sparse(parent_std=2.0, kept=15, std=1.0)
    assert fanin.sparse(15).draw((60, 7), "in out") == Sparse(parent_std=1.0, kept=15, std=0.5)
    assert fanin.sparse(15).draw((8, 20, 3, 1)).std == 0.5  # 15 of 60
    # As PyTorch does, the number of zeros is rounded up.
    assert fanin.sparse(sparsity=0.5).draw((3, 5)).kept == 2
    assert fanin.sparse(sparsity=0.0).draw((3, 5)).kept == 5


@pytest.mark.parametrize(
    ("scheme", "formula"),
    [
        (fanin.orthogonal(1.5), "1.5 / sqrt(max(out, in × receptive))"),
        (fanin.delta_orthogonal(1.5), "1.5 / sqrt(out × receptive)"),
        (fanin.orthogonal_convolution(), "1 / sqrt(out × receptive)"),
        (fanin.dirac(), "1 × sqrt(p (1 - p)), p = 1 / (max(out, in) × receptive)"),
        (fanin.sparse(9), "3 / sqrt(in × receptive)"),
        (fanin.sparse(sparsity=0.75, std=0.5), "0.25"),
    ],
    ids=repr,
)
def test_formulas(scheme: Scheme, formula: str) -> None:
    assert getattr(scheme, "formula", None) == formula


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: fanin.orthogonal(blocks=0), "at least one block.*blocks=0"),
        (lambda: fanin.orthogonal(blocks=1.5), "at least one block.*blocks=1.5"),
        (lambda: fanin.orthogonal(blocks=3).draw((8, 8)), "do not divide.*blocks=3, 8 outputs"),
        (lambda: fanin.delta_orthogonal(0.0), r"delta_orthogonal needs a gain.*gain=0.0.*zeros\(\)"),
        (lambda: fanin.delta_orthogonal().draw((8, 9, 3)), "an output for each input.*8 outputs, 9 inputs"),
        (lambda: fanin.orthogonal_convolution(NAN), "orthogonal_convolution needs a gain.*gain=nan"),
        (
            lambda: fanin.orthogonal_convolution().draw((8, 9, 3)),
            "an output for each input.*8 outputs, 9 inputs",
        ),
        (lambda: fanin.identity(INF), "identity needs a gain.*gain=inf"),
        (lambda: fanin.identity().draw((8, 8, 3)), r"identity is a matrix.*3 taps.*Use dirac\(\)"),
        (lambda: fanin.dirac(-1.0), "dirac needs a gain.*gain=-1.0"),
        (lambda: fanin.dirac().draw((8,)), "fewer than two dimensions"),
        (lambda: fanin.dirac().draw((0, 8, 8), "batch out in"), "without elements"),
        (fanin.sparse, r"number of connections, or a share.*Say sparse\(15\)"),
        (lambda: fanin.sparse(3, sparsity=0.5), "number of connections, or a share"),
        (lambda: fanin.sparse(0), "needs a connection.*connections=0"),
        (lambda: fanin.sparse(True), "needs a connection.*connections=True"),
        (lambda: fanin.sparse(sparsity=1.0), "no share.*sparsity=1.0"),
        (lambda: fanin.sparse(sparsity=NAN), "no share.*sparsity=nan"),
        (lambda: fanin.sparse(1, std=0.0), "positive and finite.*std=0.0"),
        (lambda: fanin.sparse(15).draw((100, 14)), "so many connections.*15 of 14 inputs.*normal"),
        (lambda: fanin.sparse(sparsity=0.99).draw((100, 14)), "so many connections.*0 of 14 inputs.*zeros"),
        (lambda: fanin.normal(std=0.0), r"std=0.0.*Use constant\(mean\)"),
        (lambda: fanin.normal(std=-1.0), "positive and finite.*std=-1.0"),
        (lambda: fanin.normal(std=NAN), "std=nan"),
        (lambda: fanin.normal(INF, std=1.0), "finite mean"),
        (fanin.uniform, r"both bounds, or a standard deviation.*Say uniform\(-0.05, 0.05\)"),
        (lambda: fanin.uniform(1.0), "both bounds, or a standard deviation"),
        (lambda: fanin.uniform(-1.0, 1.0, std=1.0), "both bounds, or a standard deviation"),
        (lambda: fanin.uniform(-1.0, 1.0, mean=1.0), "both bounds, or a standard deviation"),
        (lambda: fanin.uniform(1.0, 1.0), "low < high"),
        (lambda: fanin.uniform(-INF, 1.0), "low < high, both finite"),
        (lambda: fanin.uniform(std=NAN), "not positive and finite"),
        (lambda: fanin.truncated_normal(std=1.0, lower=2.0, upper=2.0), "lower < upper"),
        (lambda: fanin.truncated_normal(std=1.0, lower=NAN), "lower < upper"),
        (lambda: fanin.truncated_normal(std=0.0), "not positive and finite"),
        (lambda: fanin.constant(NAN), "A constant must be finite.*value=nan"),
        (lambda: fanin.orthogonal(0.0), r"gain=0.0.*Use zeros\(\)"),
        (lambda: fanin.orthogonal(NAN), "gain=nan"),
        (lambda: fanin.glorot_normal(-1.0), "glorot_normal needs a gain.*gain=-1.0"),
        (lambda: fanin.variance_scaling(0.0), r"variance=0.0.*Var\[w\] = variance / fan_in.*Use zeros\(\)"),
        (lambda: fanin.variance_scaling(NAN), "variance=nan"),
        (lambda: fanin.variance_scaling(mode="fanin"), "Unknown mode.*'fanin'.*Did you mean 'fan_in'"),
        (lambda: fanin.variance_scaling(distribution="trunc_normal"), "Did you mean 'truncated_normal'"),
        (lambda: fanin.he_normal(mode="avg"), "Unknown mode"),
        (lambda: fanin.he_normal("rleu"), "Unknown activation.*Did you mean 'relu'"),
        (lambda: fanin.he_normal("relu", slope=0.1), "takes no parameter"),
        (lambda: fanin.he_normal(np.ones_like, mode="fan_out"), r"E f'\^2 = 0.*Use mode='fan_in'"),
        (lambda: fanin.he_normal().draw((5,)), "fewer than two dimensions"),
        (lambda: fanin.orthogonal().draw(()), "fewer than two dimensions"),
        (lambda: fanin.glorot_uniform().draw((0, 4)), "A fan is zero"),
        (lambda: fanin.he_normal().draw((3, 4), "out"), "exactly one role a dimension"),
    ],
)
def test_inputs_without_a_law(call: Callable[[], object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        call()
