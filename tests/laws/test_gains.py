"""Gains against PyTorch's own activations and adaptive integration; recognition by values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.integrate
import torch
from torch.nn import functional as F  # noqa: N812

from fanin.errors import InputError, UnknownNameError
from fanin.laws.activations import ACTIVATIONS, ALIASES, activation
from fanin.laws.gains import conventional_gain, gain, gain_from_values, glu_gain, identify
from fanin.laws.quadrature import NODES

Tensor = torch.Tensor
# Written independently of the table: PyTorch's functions, or the papers' where it has none.
PEERS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "prelu": torch.nn.PReLU(dtype=torch.float64),
    "rrelu": F.rrelu,
    "relu6": F.relu6,
    "relu_squared": lambda x: F.relu(x) * F.relu(x),
    "elu": F.elu,
    "celu": F.celu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "silu": F.silu,
    "mish": F.mish,
    # PyTorch's is the identity past 20, which is off by 2e-9 there.
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "squareplus": lambda x: (x + torch.sqrt(x * x + 4)) / 2,
    "sparse_plus": lambda x: torch.where(x <= -1, 0.0, torch.where(x < 1, (x + 1) ** 2 / 4, x)),
    "sigmoid": torch.sigmoid,
    "logsigmoid": F.logsigmoid,
    # The derivative of PyTorch's has 1/6 in float32.
    "hardsigmoid": lambda x: torch.clamp(x + 3, 0, 6) / 6,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "sparse_sigmoid": lambda x: torch.clamp((x + 1) / 2, 0, 1),
    "tanh": torch.tanh,
    "tanhshrink": F.tanhshrink,
    "softsign": F.softsign,
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
    "sin": torch.sin,
    "gaussian": lambda x: torch.exp(-x * x),
    "exponential": torch.exp,
}


def run(name: str, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and derivatives by autograd, in float64."""
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    y = PEERS[name](x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.detach().numpy(), slope.numpy()


def moment(name: str, which: int, power: int) -> float:
    """E f^power (which 0) or E f'^power (which 1) by Simpson's rule between the kinks."""
    total = 0.0
    edges = sorted({-12.0, 12.0, *activation(name).kinks})
    for a, b in itertools.pairwise(edges):
        # Inside the interval, so that one-sided values at a kink are the interval's own.
        x = np.linspace(a, b, 4001) + np.array([1e-13, *[0.0] * 3999, -1e-13])
        density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        total += float(scipy.integrate.simpson(run(name, x)[which] ** power * density, x=x))
    return total


def test_every_activation_has_a_peer() -> None:
    assert set(PEERS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_derivatives_are_those_of_pytorch(name: str) -> None:
    points = np.linspace(-9.03, 9.02, 1001)
    entry = activation(name)
    values, slopes = run(name, points)
    np.testing.assert_allclose(entry.function(points), values, rtol=1e-13, atol=2e-15)
    np.testing.assert_allclose(entry.derivative(points), slopes, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_moments_agree_with_an_independent_integral(name: str) -> None:
    got = gain(name)
    # Simpson's error: (24 / 4000)^4 / 180 * f'''' < 1e-11 of the scale of f^2.
    assert got.mean == pytest.approx(moment(name, 0, 1), rel=1e-9, abs=1e-10)
    assert got.second_moment == pytest.approx(moment(name, 0, 2), rel=1e-9)
    assert got.derivative_second_moment == pytest.approx(moment(name, 1, 2), rel=1e-9)
    assert got.forward == pytest.approx(1 / math.sqrt(got.second_moment))
    assert got.backward == pytest.approx(1 / math.sqrt(got.derivative_second_moment))
    assert got.chi == pytest.approx(got.derivative_second_moment / got.second_moment)
    assert float(got) == got.forward


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"hardshrink"}))
def test_gains_from_values_alone(name: str) -> None:
    table, named = gain_from_values(activation(name).function(NODES)), gain(name)
    for field in ("mean", "second_moment", "derivative_second_moment"):
        assert getattr(table, field) == pytest.approx(getattr(named, field), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("q", [0.1, 4.0])
def test_gains_at_another_input_variance(q: float) -> None:
    got = gain_from_values(np.maximum(NODES, 0.0), q)
    # ReLU's moments scale with q, so its gains do not depend on it.
    assert (got.forward, got.backward) == pytest.approx((math.sqrt(2), math.sqrt(2)))
    assert gain_from_values(np.tanh(NODES), q).forward != pytest.approx(gain("tanh").forward, rel=0.01)


def test_selu_fixes_its_own_scale() -> None:
    assert gain("selu").forward == pytest.approx(1.0, rel=1e-14)
    assert gain("selu").mean == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize(
    ("name", "slope", "second"),
    [("leaky_relu", 0.2, 0.52), ("leaky_relu(0.2)", None, 0.52), ("prelu", 0.5, 0.625), ("sin", 30.0, 0.5)],
)
def test_parameters(name: str, slope: float | None, second: float) -> None:
    assert gain(name, slope).second_moment == pytest.approx(second, rel=1e-12)


def test_closed_forms_with_parameters() -> None:
    for name, slope in (("elu", 0.3), ("celu", 2.0), ("sin", 1.7), ("leaky_relu", -0.4)):
        entry, got = activation(name, slope), gain(name, slope)
        x = np.linspace(-12, 12, 8001)
        density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        for field, f in (("mean", entry.function), ("second_moment", lambda t: entry.function(t) ** 2)):  # noqa: B023
            assert getattr(got, field) == pytest.approx(
                float(scipy.integrate.simpson(f(x) * density, x=x)), rel=1e-8, abs=1e-10
            )


def test_any_function_has_a_gain() -> None:
    assert gain(np.tanh).forward == pytest.approx(gain("tanh").forward, rel=1e-10)
    by_scalar = gain(lambda x: x if x > 0 else 0.1 * x)
    assert by_scalar.forward == pytest.approx(gain("leaky_relu", 0.1).forward, rel=1e-10)
    assert by_scalar.backward == pytest.approx(gain("leaky_relu", 0.1).backward, rel=1e-8)
    assert gain(lambda x: x * torch.sigmoid(torch.tensor(x)).numpy()).chi == pytest.approx(
        gain("silu").chi, rel=1e-8
    )


def test_a_flat_function_keeps_the_signal_and_stops_the_gradient() -> None:
    assert gain_from_values(np.ones(len(NODES))).backward == math.inf


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases(alias: str) -> None:
    assert gain(alias).second_moment == gain(ALIASES[alias]).second_moment


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"Unknown activation\. Received: 'gellu'.*Did you mean 'gelu'"
    ):
        gain("gellu")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: gain("relu", 0.1), "takes no parameter"),
        (lambda: gain("leaky_relu(x)"), "is no number"),
        (lambda: gain("leaky_relu", math.nan), "out of range"),
        (lambda: gain("celu", 0.0), "finite number, and positive"),
        (lambda: gain(np.tanh, 0.1), "A slope is for named activations"),
        (lambda: gain(np.zeros_like), "No gain restores a signal"),
        (lambda: gain(lambda x: np.log(np.where(x > 0, x, np.nan))), "no finite real numbers"),
    ],
)
def test_inputs_without_a_gain(call: Callable[[], object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        call()


def test_a_gate_multiplies_two_signals() -> None:
    got = glu_gain("silu")
    pairs = np.random.default_rng(0).standard_normal((2, 1_000_000))
    outputs = (pairs[0] / (1 + np.exp(-pairs[0])) * pairs[1]) ** 2
    # 6.1 standard errors: false alarm rate 1e-9.
    assert abs(outputs.mean() - got.second_moment) < 6.1 * outputs.std() / 1000
    assert got.name == "glu(silu)"


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"prelu", "rrelu", "celu"}))
def test_identify_by_float32_values(name: str) -> None:
    values = PEERS[name](torch.tensor(NODES, dtype=torch.float32)).detach().numpy()
    assert identify(values) == name


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (np.where(NODES > 0, NODES, 0.2 * NODES), "leaky_relu(0.2)"),
        (np.where(NODES > 0, NODES, -0.7 * NODES), "leaky_relu(-0.7)"),
        (np.where(NODES > 0, NODES, NODES * (11 / 48)).astype(np.float32), "leaky_relu(0.229167)"),
        (np.where(NODES > 0, NODES, 0.3 * np.expm1(np.minimum(NODES, 0))), "elu(0.3)"),
        (np.maximum(NODES, 0.0) + 1e-4 * NODES**2, None),
        (np.cos(NODES), None),
        (2.0 * np.maximum(NODES, 0.0), None),
    ],
)
def test_identify_families_and_strangers(values: np.ndarray, name: str | None) -> None:
    assert identify(values) == name
    if name is not None:
        assert gain(name).second_moment == pytest.approx(gain_from_values(values).second_moment, rel=1e-5)


def test_identify_tells_the_gelus_apart() -> None:
    assert identify(activation("gelu").function(NODES)) == "gelu"
    assert identify(activation("gelu_tanh").function(NODES)) == "gelu_tanh"


@pytest.mark.parametrize(
    "name", ["linear", "conv2d", "conv_transpose1d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)
def test_the_conventional_table_is_pytorchs(name: str) -> None:
    assert conventional_gain(name) == torch.nn.init.calculate_gain(name)
    assert conventional_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


def test_the_conventional_table_ends_there() -> None:
    with pytest.raises(UnknownNameError, match="nonlinearity of the torch table") as caught:
        conventional_gain("gelu")
    assert "gain('gelu') is computed" in caught.value.__notes__[0]
