"""Through real layers of PyTorch: unit-variance inputs come out with the variance that the fans promise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import fanin
from fanin.laws.blocks import block_fans
from fanin.laws.fans import fans
from fanin.records.axes import Axes, Role
from fanin.records.draw import Draw
from fanin.schemes import registry
from layer_checks import Z, band, check

torch = pytest.importorskip("torch")

OUT, IN, REC = Role.OUT, Role.IN, Role.RECEPTIVE
SCHEMES = ["he_normal", "glorot_uniform", "lecun_truncated_normal", "orthogonal"]


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def filled(parameter: Any, scheme: str, axes: Axes | str | None, name: str = "w") -> Draw:
    """Write a sampled weight into a layer, and return what it was drawn from."""
    shape = tuple(parameter.shape)
    weight = fanin.sample(scheme, shape, seed=3, name=name, axes=axes)
    parameter.data.copy_(torch.from_numpy(weight))
    return registry.get(scheme).draw(shape, axes)


def normal(*shape: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_linear(scheme: str) -> None:
    layer = torch.nn.Linear(256, 384, bias=False)
    draw = filled(layer.weight, scheme, "out in")
    power = float(layer(normal(512, 256)).square().mean())
    check(power, 256 * draw.std**2, band(draw, samples=512, fan=256, units=384, weights=384 * 256))


def _convolution(groups: int) -> tuple[Any, Axes, tuple[int, ...]]:
    layer = torch.nn.Conv2d(64, 128, 3, groups=groups, bias=False)
    return layer, Axes(roles=(OUT, IN, REC, REC), groups=groups), (48, 64, 9, 9)


def _transposed(stride: int) -> tuple[Any, Axes, tuple[int, ...]]:
    layer = torch.nn.ConvTranspose2d(96, 32, 4, stride=stride, padding=0, bias=False)
    return layer, Axes(roles=(IN, OUT, REC, REC), stride=stride**2, transposed=True), (48, 96, 8, 8)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("make", "number"),
    [
        (_convolution, 1),
        (_convolution, 4),
        (_convolution, 32),
        (_transposed, 1),
        (_transposed, 2),
        (_transposed, 4),
    ],
)
def test_convolutions(
    make: Callable[[int], tuple[Any, Axes, tuple[int, ...]]], number: int, scheme: str
) -> None:
    layer, axes, shape = make(number)
    draw = filled(layer.weight, scheme, axes)
    out = layer(normal(*shape))
    # Without the rim, where an output meets fewer inputs.
    rim = 4 if axes.transposed else 0
    inner = out[..., rim : out.shape[-2] - rim, rim : out.shape[-1] - rim]
    fan = fans(tuple(layer.weight.shape), axes).fan_in
    # Neighbouring places share inputs, so only the samples count as independent.
    half = band(draw, samples=shape[0], fan=fan, units=out.shape[1], weights=layer.weight.numel())
    check(float(inner.square().mean()), fan * draw.std**2, half)


def test_the_promise_of_he_holds_under_stride_where_the_peers_fails() -> None:
    """kaiming_normal takes the outputs of a transposed convolution for inputs, and ignores the stride."""
    layer, axes, shape = _transposed(2)
    filled(layer.weight, "lecun_normal", axes)
    rim = slice(4, -4)
    ours = float(layer(normal(*shape))[..., rim, rim].square().mean())
    assert ours == pytest.approx(1.0, abs=0.1)
    torch.nn.init.kaiming_normal_(
        layer.weight, nonlinearity="linear", generator=torch.Generator().manual_seed(1)
    )
    theirs = float(layer(normal(*shape))[..., rim, rim].square().mean())
    assert theirs == pytest.approx(96 / 32 / 4, rel=0.1)


@pytest.mark.parametrize("scheme", ["glorot_uniform", "glorot_normal", "orthogonal"])
def test_multihead_attention_projects_with_blocks_of_their_own(scheme: str) -> None:
    """The packed (3 n, n) weight, said as three groups, has the law of each projection."""
    n = 128
    layer = torch.nn.MultiheadAttention(n, 4, bias=False)
    packed = Axes(roles=(OUT, IN), groups=3)
    draw = filled(layer.in_proj_weight, scheme, packed)
    assert fans((3 * n, n), packed) == block_fans((3 * n, n), (n, n, n))[0]
    inputs = normal(512, n)
    half = band(draw, samples=512, fan=n, units=n, weights=n * n)
    for block in torch.nn.functional.linear(inputs, layer.in_proj_weight).chunk(3, dim=-1):
        check(float(block.square().mean()), 1.0, half)
    # What the layer itself sets: one fan for all three, so half the power.
    torch.manual_seed(1)
    peer = torch.nn.MultiheadAttention(n, 4, bias=False).in_proj_weight.detach()
    powers = [
        float(part.square().mean()) for part in torch.nn.functional.linear(inputs, peer).chunk(3, dim=-1)
    ]
    for power in powers:
        check(power, 0.5, half)
    with pytest.raises(AssertionError, match="power 0"):
        check(powers[0], 1.0, half)
    # Equal values everywhere: attention is a mean over one token, and the path is value, then output.
    filled(layer.out_proj.weight, scheme, "out in", name="out")
    token = normal(1, 512, n)
    out, _ = layer(token, token, token)
    check(float(out.square().mean()), 1.0, 2 * half)


def test_lstm_gates() -> None:
    """Four gates in one weight: each gets unit power from inputs, and the state's length from its block."""
    hidden, inputs = 128, 96
    cell = torch.nn.LSTM(inputs, hidden)
    packed = Axes(roles=(OUT, IN), groups=4)
    draw = filled(cell.weight_ih_l0, "lecun_normal", packed)
    filled(cell.weight_hh_l0, "orthogonal", packed)
    x, state = normal(1, 256, inputs), normal(1, 256, hidden)
    half = band(draw, samples=256, fan=inputs, units=hidden, weights=hidden * inputs)
    for gate in (x[0] @ cell.weight_ih_l0.detach().T).chunk(4, dim=-1):
        check(float(gate.square().mean()), 1.0, half)
    for gate in (state[0] @ cell.weight_hh_l0.detach().T).chunk(4, dim=-1):
        np.testing.assert_allclose(gate.square().sum(-1), state[0].square().sum(-1), rtol=1e-4)
    # The real cell with the forget bias: gates of independent unit parts have variance 2 around their bias.
    bias = fanin.sample("lstm_forget_bias", 4 * hidden, seed=0, name="b")
    for parameter in (cell.bias_ih_l0, cell.bias_hh_l0):
        torch.nn.init.zeros_(parameter)
    cell.bias_ih_l0.data.copy_(torch.from_numpy(bias))
    _, (_, kept) = cell(x, (state, torch.ones_like(state)))
    z = np.random.default_rng(0).standard_normal((4, 400_000)) * math.sqrt(2.0)
    opened = 1 / (1 + np.exp(-(z[1] + 1.0)))
    entered = np.tanh(z[2]) / (1 + np.exp(-z[0]))
    expected = float(np.mean(opened + entered))
    # A unit's gate has one bias of its own only through its weights, so units are the independent samples.
    error = Z * float(np.std(opened + entered)) / math.sqrt(hidden)
    assert abs(float(kept.mean()) - expected) < error
    torch.nn.init.zeros_(cell.bias_ih_l0)
    _, (_, closed) = cell(x, (state, torch.ones_like(state)))
    assert float(kept.mean() - closed.mean()) > 0.1


@pytest.mark.parametrize("equation", ["ebc,ecd->ebd", "bse,ehd->bshd"])
def test_einsum_layers(equation: str) -> None:
    from fanin.laws.einsum import axes_from_einsum, fans_from_einsum

    shape = (6, 64, 48) if equation.startswith("ebc") else (64, 4, 16)
    inputs = normal(6, 256, 64) if equation.startswith("ebc") else normal(16, 64, 64)
    axes = axes_from_einsum(equation)
    weight = torch.from_numpy(fanin.sample("lecun_normal", shape, seed=2, name="w", axes=axes))
    draw = fanin.lecun_normal().draw(shape, axes)
    fan = fans_from_einsum(equation, shape)
    half = band(draw, samples=256, fan=fan.fan_in, units=int(fan.fan_out), weights=weight.numel())
    check(float(torch.einsum(equation, inputs, weight).square().mean()), 1.0, half)
