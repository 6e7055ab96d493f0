"""Complex-valued models: planned by what is computed, filled, and power kept through the layers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import fanin
import fanin.torch as ft
from fanin.records.draw import Constant, Normal

WIDTH = 1024
Z = 6.0
"""Standard errors that a normal statistic exceeds, either way, twice in 1e9."""


class ComplexReLU(nn.Module):
    """ReLU on the real and on the imaginary part."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.complex(torch.relu(z.real), torch.relu(z.imag))


class ModulusReLU(nn.Module):
    """ReLU on the modulus plus a bias, the phase kept."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        modulus = z.abs()
        return torch.relu(modulus + self.bias) * z / (modulus + 1e-6)


class Net(nn.Module):
    def __init__(self, activation: type[nn.Module]) -> None:
        super().__init__()
        kind = torch.complex64
        self.first = nn.Linear(WIDTH, WIDTH, dtype=kind)
        self.one = activation()
        self.second = nn.Linear(WIDTH, WIDTH, dtype=kind)
        self.two = activation()
        self.third = nn.Linear(WIDTH, WIDTH, dtype=kind)
        self.head = nn.Linear(WIDTH, 5, dtype=kind)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.two(self.second(self.one(self.first(x))))
        out: torch.Tensor = self.head(self.third(hidden)).abs()
        return out


def inputs() -> torch.Tensor:
    return torch.randn(8, WIDTH, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("activation", "gain"), [(ComplexReLU, math.sqrt(2.0)), (ModulusReLU, 1.0)])
def test_a_complex_net_keeps_its_power(activation: type[nn.Module], gain: float) -> None:
    net, x = Net(activation), inputs()
    plan = ft.init_(net, x, seed=1)
    for name in ("first", "second"):
        draw = plan[f"{name}.weight"].draw
        assert isinstance(draw, Normal)
        assert draw.std == pytest.approx(gain / math.sqrt(WIDTH), rel=1e-3)
        assert plan[f"{name}.bias"].draw == Constant(value=0.0)
        assert (getattr(net, name).bias == 0).all()
        weight = fanin.sample(draw, (WIDTH, WIDTH), seed=1, name=f"{name}.weight", dtype="complex64")
        assert (getattr(net, name).weight.detach().numpy() == weight).all()
    before = float(x.abs().square().mean())
    with torch.no_grad():
        for layer, act in ((net.first, net.one), (net.second, net.two)):
            x = act(layer(x))
            power = float(x.abs().square().mean())
            # The relative sd of a layer's power is at most sqrt(5 / width), that of a real ReLU; two layers.
            assert abs(math.log(power / before)) < Z * math.sqrt(2 * 5 / WIDTH)


def test_check_measures_modulus_squared() -> None:
    net, x = Net(ComplexReLU), inputs()
    ft.init_(net, x, seed=1)
    assert ft.check(net, x).healthy
    layer = nn.Linear(WIDTH, WIDTH, dtype=torch.complex64)
    ft.init_(layer, x, seed=1)
    trace = ft.check(layer, x).diagnosis.trace
    power = float(layer(x).detach().abs().square().mean())
    assert trace.measurements[-1].power == pytest.approx(power, rel=1e-5)
    (weight,) = [p for p in trace.parameters if p.name == "weight"]
    assert weight.numel == WIDTH**2
    assert weight.std == pytest.approx(float(layer.weight.detach().abs().square().mean().sqrt()), rel=1e-3)


@pytest.mark.parametrize(("factor", "cause"), [(3.0, "exploding"), (0.3, "vanishing")])
def test_a_sick_complex_model_is_found(factor: float, cause: str) -> None:
    net = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, dtype=torch.complex64) for _ in range(10)))
    x = inputs()
    ft.init_(net, x, seed=1)
    assert ft.check(net, x, target=torch.zeros(len(x), WIDTH, dtype=torch.complex64), tier="deep").healthy
    with torch.no_grad():
        for layer in net:
            layer.weight.mul_(factor)
    report = ft.check(net, x)
    assert [f.code for f in report.findings if str(f.severity) == "failure"] == ["FAN101"]
    assert cause in report.verdict
