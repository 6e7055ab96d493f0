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
from fanin.predictions.trial import SPENT, Drawn, counted, drawn
from fanin.predictions.weights import Moments
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


class Loop(nn.Module):
    """Steps written out, each with an operation without a law, of its own place and of the state."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps, self.layer, self.head = steps, nn.Linear(64, 64), nn.Linear(64, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        h = torch.zeros_like(y[:, 0])
        for t in range(self.steps):
            h = torch.cumsum(y[:, t], dim=-1) + 0.15 * torch.cumsum(h, dim=-1)
        return self.head(h)  # type: ignore[no-any-return]


def powers_of_a_loop(steps: int) -> list[tuple[float, float]]:
    torch.manual_seed(0)
    model, x = Loop(steps), torch.randn(16, steps, 64)
    found = fanin.torch.predict(model, x)
    return [(p.power, p.spread) for p in found.nodes if "add" in p.op and p.module == ""]


def test_steps_of_a_loop_are_tried_a_few_times_and_not_each(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    tried = Trials._tried

    def counting(*args: Any) -> Any:
        runs.append(args)
        return tried(*args)

    monkeypatch.setattr(Trials, "_tried", counting)
    few = powers_of_a_loop(40)
    assert len(runs) <= 12  # of 80
    count = len(runs)
    monkeypatch.setattr("fanin.torch.memo._OFTEN", ())
    every = powers_of_a_loop(40)
    assert len(runs) - count > count
    # Both are off by what their trials leave to chance, which the prediction itself says.
    for (a, off), (b, by) in zip(few, every, strict=True):
        assert abs(math.log(a / b)) <= SIGMAS * math.hypot(off, by)
    assert max(off for _, off in few) < 0.3


def test_trials_that_cost_too_much_say_so_and_leave_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanin.torch.trials._BUDGET", 0)
    torch.manual_seed(0)
    model, x = Deep(2), torch.randn(16, 64)
    found = fanin.torch.check(model, x, target=torch.randn(16, 64)).diagnosis
    assert found.prediction is not None
    assert any(SPENT in note and "cumsum" in note for note in found.prediction.notes)
    sums = [p for p in found.prediction.nodes if "cumsum" in p.op]
    assert {p.certainty for p in sums} == {Certainty.UNKNOWN}
    assert all(any(SPENT in reason for reason in p.reasons) for p in sums)
    seen = {m.node: m.power for m in found.trace.measurements}
    assert sums[0].power == pytest.approx(seen[sums[0].node])
    alone = fanin.torch.predict(model, x)
    assert any(SPENT in note for note in alone.notes)


class Shifted(nn.Module):
    """An operation without a law that reads a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.level = nn.Linear(64, 64), nn.Parameter(torch.randn(64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp(self.layer(x), self.level)


def test_other_moments_of_a_parameter_are_another_trial() -> None:
    torch.manual_seed(0)
    model, x = Shifted(), torch.randn(16, 64)
    graph = read(model, x)
    node = next(n for n in graph.nodes if "logaddexp" in n.op)
    spec = Drawn(
        node=node.inputs[0], shape=(16, 64), unit=1, batch=16, mean=0.0, power=1.0, near=0.0, far=0.0
    )
    trials = Trials(model, (x,), graph)
    for variance in (1.0, 100.0):
        found = trials(node, (spec,), {"level": Moments(mean=0.0, variance=variance)}, 1)
        assert not isinstance(found, str)
        # max(a, b) <= log(e^a + e^b): of a level of deviation 10, half the power is that of the level.
        assert (found.output.power > 20.0) == (variance > 1.0)


def test_figures_past_the_range_of_a_double_end_where_they_begin() -> None:
    class Squares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(64, 64), nn.Linear(64, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.layer(x)
            for _ in range(12):
                x = x * x
            return self.head(x)  # type: ignore[no-any-return]

    torch.manual_seed(0)
    found = fanin.torch.check(Squares(), 0.5 * torch.rand(16, 64), target=torch.randn(16, 8)).diagnosis
    assert found.prediction is not None
    assert not any("nothing was predicted" in note for note in found.trace.notes)
