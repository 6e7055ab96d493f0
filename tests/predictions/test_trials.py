"""Operations without a law: what they are tried on, and what comes out."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fanin.torch
from fanin.predictions.signal import Marginal
from fanin.predictions.trial import Drawn, counted, drawn
from fanin.records.prediction import Certainty
from fanin.torch.read import read
from fanin.torch.trials import Trials

SIGMAS = 6.1  # of a normal law: false alarm 1e-9


def normals(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(sum(name.encode())).standard_normal(shape)


@pytest.mark.parametrize(
    ("shape", "unit"), [((8, 16, 256), 2), ((8, 256, 4, 4), 1), ((128, 256), 1), ((16, 8, 256), 2)]
)
@pytest.mark.parametrize(("near", "far"), [(0.25, 0.25), (1.5, 0.5), (0.5, 1.5), (4.0, 4.0)])
def test_numbers_have_the_moments_that_were_asked_for(
    shape: tuple[int, ...], unit: int, near: float, far: float
) -> None:
    spec = Drawn(node=1, shape=shape, unit=unit, batch=8, mean=0.5, power=4.0, near=near, far=far)
    found = counted(drawn(spec, normals), unit, 8)
    # What all samples share is 256 numbers: the sd of a mean of squares is sqrt(2 / 256) of its variance,
    # that of the mean 2 / 16; a wide figure serves them all.
    error = SIGMAS * 4.0 * math.sqrt(2.0 / 256)
    assert found.mean == pytest.approx(0.5, abs=SIGMAS * 2.0 / 16)
    for seen, wanted in ((found.power, 4.0), (found.near, near), (found.far, far)):
        assert abs(seen - wanted) < error


def test_numbers_of_another_law_and_numbers_like_others() -> None:
    coin = Marginal(points=(-1.0, 1.0), masses=(0.5, 0.5))
    spec = Drawn(
        node=1, shape=(64, 512), unit=1, batch=64, mean=2.0, power=5.0, near=4.0, far=4.0, marginal=coin
    )
    x = drawn(spec, normals)
    inside = (x > 1.01) & (x < 2.99)  # between the two points only where the table steps
    assert inside.mean() < 0.01
    assert abs(x.mean() - 2.0) < SIGMAS / math.sqrt(x.size)
    plain = Drawn(node=2, shape=(64, 512), unit=1, batch=64, mean=0.0, power=1.0, near=0.0, far=0.0)
    a = drawn(plain, normals)
    like = Drawn(
        node=3, shape=(64, 512), unit=1, batch=64, mean=0.0, power=1.0, near=0.0, far=0.0, likeness=-0.6
    )
    b = drawn(like, normals, a)
    assert abs(np.mean(a * b) + 0.6) < SIGMAS * math.sqrt(2.0 / a.size)
    assert abs(np.mean(b * b) - 1.0) < SIGMAS * math.sqrt(2.0 / a.size)


class Rotary(nn.Module):
    """Queries turned by angles that are constants of the model, as in most language models of today."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(64, 64), nn.Linear(64, 8)
        self.register_buffer("frequency", torch.logspace(0, -3, 32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        angles = (torch.arange(12.0)[:, None] * self.frequency).repeat(1, 2)
        turned = torch.cat([-y[..., 32:], y[..., :32]], dim=-1)
        return self.head(y * angles.cos() + turned * angles.sin())  # type: ignore[no-any-return]


def test_a_rotation_keeps_the_power_forward_and_back() -> None:
    torch.manual_seed(0)
    model, x = Rotary(), torch.randn(16, 12, 64)
    found = fanin.torch.predict(model, x)
    assert {p.certainty for p in found.nodes} == {Certainty.EXACT, Certainty.APPROXIMATE}
    layer = next(p for p in found.nodes if p.module == "layer")
    total = [p for p in found.nodes if "add" in p.op and p.module == ""][-1]
    # Each product is tried on at least 3 draws of 12,288 numbers.
    assert total.power / layer.power == pytest.approx(1.0, abs=SIGMAS * math.sqrt(2.0 / 36_864) * 2)
    assert layer.gradient_power is not None
    assert total.gradient_power is not None
    assert layer.gradient_power / total.gradient_power == pytest.approx(1.0, abs=0.1)


def test_a_trial_repeats_itself_and_leaves_random_states_alone() -> None:
    torch.manual_seed(0)
    model, x = Rotary(), torch.randn(16, 12, 64)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    first = fanin.torch.predict(model, x)
    second = fanin.torch.predict(model, x)
    assert [p.power for p in first.nodes] == [p.power for p in second.nodes]
    assert [p.gradient_power for p in first.nodes] == [p.gradient_power for p in second.nodes]
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert states[2] == random.getstate()
    other = fanin.torch.predict(model, x, seed=1)
    assert [p.power for p in first.nodes] != [p.power for p in other.nodes]


class Deep(nn.Module):
    """The same unknown operation again and again."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(64) for _ in range(depth)])
        self.layers = nn.ModuleList([nn.Linear(64, 64, bias=False) for _ in range(depth)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = layer(torch.cumsum(norm(x), dim=-1))
        return x


def test_equal_operations_are_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    tried = Trials._tried

    def counting(*args: Any) -> Any:
        runs.append(args)
        return tried(*args)

    monkeypatch.setattr(Trials, "_tried", counting)
    torch.manual_seed(0)
    with torch.device("meta"):
        model, x = Deep(6), torch.randn(16, 64)
    found = fanin.torch.predict(model, x)
    assert sum("cumsum" in p.op for p in found.nodes) == 6
    # The first norm reads the input, all others a layer: two kinds of inputs, six operations.
    assert len(runs) <= 2


def test_what_cannot_be_tried_says_why() -> None:
    torch.manual_seed(0)
    model, x = Rotary(), torch.randn(16, 12, 64)
    graph = read(model, x)
    other = read(nn.Linear(64, 8), x)
    trials = Trials(model, (x,), other)
    node = next(n for n in graph.nodes if "mul" in n.op)
    spec = Drawn(
        node=node.inputs[0], shape=(16, 12, 64), unit=2, batch=16, mean=0.0, power=1.0, near=0.0, far=0.0
    )
    assert trials(node, (spec,), {}, 2) == "another run of the model does not repeat it"
    found = Trials(model, (x,), graph)(node, (spec,), {}, 2)
    assert not isinstance(found, str)
    assert found.draws >= 3
    assert 0.0 < found.error < 0.1
