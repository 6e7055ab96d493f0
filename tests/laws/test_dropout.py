"""Gains under dropout against samples, and through a layer of PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fanin
from fanin.errors import InputError
from fanin.laws.dropout import dropout_gain
from fanin.laws.gains import gain

Z = 6.2


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["relu", "gelu", "tanh"])
def test_moments_against_samples(name: str, rate: float) -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal(1_000_000)
    from fanin.laws.activations import activation

    values = activation(name).function(z) * (rng.random(z.size) >= rate) / (1 - rate)
    found = dropout_gain(gain(name), rate)
    for power, expected in ((values, found.mean), (values**2, found.second_moment)):
        assert abs(float(power.mean()) - expected) < Z * float(power.std()) / math.sqrt(z.size)
    assert found.forward == pytest.approx(gain(name).forward * math.sqrt(1 - rate))
    assert found.backward == pytest.approx(gain(name).backward * math.sqrt(1 - rate))
    assert found.chi == pytest.approx(gain(name).chi)


def test_a_layer_behind_dropout_keeps_its_power() -> None:
    torch = pytest.importorskip("torch")
    width, samples, rate = 512, 512, 0.3
    found = dropout_gain(gain("relu"), rate)
    scheme = fanin.variance_scaling(found.forward**2)
    weight = torch.from_numpy(fanin.sample(scheme, (width, width), seed=0, name="w"))
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(samples, width, generator=generator)
    torch.manual_seed(1)
    out = torch.nn.functional.dropout(torch.relu(z), rate, training=True) @ weight.T
    # Of the inputs E f^4 / (E f^2)^2 = 6 of ReLU, over 1 - p; their mean reaches a unit at once.
    spread = 4 / (samples * width) + (6 / (1 - rate)) / (samples * width) * 2 + 4 / width / width
    mean = found.mean**2 / found.second_moment
    half = Z * (math.sqrt(spread + 2 / (samples * width)) + mean * math.sqrt(2 / width))
    assert abs(float(out.square().mean()) - 1) < half
    plain = torch.relu(z) @ weight.T
    assert float(plain.square().mean()) == pytest.approx(1 - rate, abs=half)


@pytest.mark.parametrize("rate", [1.0, -0.1, math.nan, "0.5", True])
def test_bad_rates(rate: float) -> None:
    with pytest.raises(InputError, match="The rate of dropout is no share"):
        dropout_gain(gain("relu"), rate)
