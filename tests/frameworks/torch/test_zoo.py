"""Models that no rule was written for: all are planned with reasons, and start healthy."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import fanin.torch as ft
from fanin.records.draw import Constant
from fanin.records.graph import Graph, Use, UseKind
from fanin.records.plan import Status
from fanin.torch.read import read
from zoo import ZOO

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")

TRUE_FINDINGS = {
    "codebook": {"FAN302"},  # a straight-through estimator gives the codes no gradient; a loss does
}


def made(name: str) -> tuple[Any, tuple[object, ...]]:
    torch.manual_seed(0)
    model, inputs = ZOO[name]()
    return model, inputs


def uses(graph: Graph, name: str) -> tuple[Use, ...]:
    return next(p.uses for p in graph.parameters if p.name == name)


def parts(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    inside = inside or list(getattr(value, "__dict__", {}).values())
    return [tensor for item in inside for tensor in parts(item)]


@pytest.mark.parametrize("name", sorted(ZOO))
def test_every_tensor_has_a_use_that_a_rule_knows_and_outputs_of_some_power(name: str) -> None:
    model, inputs = made(name)
    plan = ft.init_(model, *inputs)
    assert [e.name for e in plan.entries if e.status == Status.UNRECOGNISED] == []
    model.train()
    outputs = parts(model(*inputs))
    assert outputs
    for output in outputs:
        # Far beyond what heads of std 0.5, sigmoids, temperatures and sums over a few items make.
        power = float(output.detach().square().mean())
        assert 1e-4 < power < 1e4, power


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ZOO))
def test_it_starts_healthy(name: str) -> None:
    model, inputs = made(name)
    ft.init_(model, *inputs)
    report = ft.check(model, *inputs)
    found = {f.code for f in report.findings if str(f.severity) == "failure"}
    assert found <= TRUE_FINDINGS.get(name, set()), report.verdict


def test_scripted_and_traced_modules_are_planned_like_what_they_were_made_from() -> None:
    plain = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    batch = torch.randn(16, 8)
    wanted = [(e.name, e.draw) for e in ft.plan(plain, batch).entries]
    for model in (torch.jit.script(plain), torch.jit.trace(plain, batch)):
        plan = ft.plan(model, batch)
        assert [(e.name, e.draw) for e in plan.entries] == wanted
        assert any("scripted or traced" in note for note in plan.notes)


def test_a_temperature_is_no_scale_of_the_norm_before_it() -> None:
    model, inputs = made("siamese")
    ft.init_(model, *inputs)
    assert float(model.temperature.detach()) == pytest.approx(2.66)


def test_a_standardised_weights_gain_answers_for_its_output() -> None:
    model, inputs = made("nfnet")
    graph = read(model, *inputs)
    (use,) = uses(graph, "first.0.weight")
    fan_in = 32 * 9
    # Standardised by var * n with n - 1 in the variance: (n - 1) / n of 1 / n.
    assert use.spread == pytest.approx(math.sqrt(1 / fan_in), rel=1e-2)
    plan = ft.init_(model, *inputs)
    gain = plan["first.0.gain"].draw
    assert isinstance(gain, Constant)
    weight = plan["first.0.weight"].draw
    assert weight is not None
    assert gain.value * use.spread == pytest.approx(weight.std, rel=1e-9)


def test_biases_of_stacked_weights_are_biases() -> None:
    model, inputs = made("einsum_mixer")
    assert uses(read(model, *inputs), "b")[0].kind == UseKind.BIAS


def test_a_scale_of_a_branch_knows_its_branch_and_a_decay_is_one() -> None:
    model, inputs = made("relative_positions")
    graph = read(model, *inputs)
    assert [uses(graph, f"{i}.layer_scale")[0].branch for i in (1, 2)] == [0, 1]
    assert uses(graph, "1.scale")[0].branch is None
    model, inputs = made("selective_scan")
    graph = read(model, *inputs)
    assert {use.kind for use in uses(graph, "1.A_log")} == {UseKind.DECAY}
    assert {use.kind for use in uses(graph, "1.D")} == {UseKind.SCALE}


def test_a_router_is_told_from_a_classifier() -> None:
    model, inputs = made("experts_loop")
    graph = read(model, *inputs)
    assert [u.router for u in uses(graph, "router.weight")] == [True]
    assert not any(u.router for p in graph.parameters for u in p.uses if p.name != "router.weight")


def test_an_adapter_beside_a_frozen_weight_starts_as_nothing() -> None:
    model, inputs = made("low_rank")
    (batch,) = inputs
    assert isinstance(batch, torch.Tensor)
    before = model(batch)
    plan = ft.init_(model, *inputs)
    assert plan["0.B"].rule == plan["2.B"].rule == "adapter"
    assert plan["0.A"].draw is not None
    assert plan["0.A"].draw.std > 0
    model[0].A.data.zero_()  # (the user's own zero-initialized B: the output was that of the base)
    assert torch.allclose(model(batch), before, atol=1e-6)
    for layer in (model[0], model[2]):
        layer.base.requires_grad_(True)
    assert ft.plan(model, *inputs)["0.B"].rule != "adapter"


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("running_mean", "statistics"),
        ("num_batches_tracked", "counter"),
        ("index", "index"),
        ("hidden", "mask"),
        ("waves", "table, not saved"),
    ],
)
def test_buffers_say_what_they_are_for(name: str, role: str) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = nn.BatchNorm1d(4), nn.Linear(4, 2)
            self.register_buffer("index", torch.arange(3))
            self.register_buffer("hidden", torch.ones(4, dtype=torch.bool))
            self.register_buffer("waves", torch.randn(4), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.norm(x)[self.index].masked_fill(~self.hidden, 0.0)
            return self.head(x * self.waves)

    graph = read(Model(), torch.randn(8, 4))
    assert next(p for p in graph.parameters if p.name.endswith(name)).role == role


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    ("wrap", "name"),
    [
        (nn.utils.parametrizations.weight_norm, "WeightNorm"),
        (nn.utils.parametrizations.spectral_norm, "SpectralNorm"),
        (nn.utils.weight_norm, "WeightNorm"),
    ],
)
def test_parametrisations_have_their_names(wrap: object, name: str) -> None:
    assert callable(wrap)
    graph = read(nn.Sequential(wrap(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 2)), torch.randn(2, 4))
    named = {p.name: p.parametrisation for p in graph.parameters if p.parametrisation and not p.buffer}
    assert named
    assert set(named.values()) == {name}
    assert not any(n.startswith("2.") for n in named)


def test_a_mask_of_the_lowest_numbers_is_no_overflow() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.qkv(x).chunk(3, -1)
            hidden = torch.full((5, 5), torch.finfo(x.dtype).min).triu(1)
            scores = q @ k.transpose(1, 2) / math.sqrt(8) + hidden
            return self.head(scores.softmax(-1) @ v)

    assert "FAN112" not in {f.code for f in ft.check(Masked(), torch.randn(4, 5, 8)).findings}


def test_relative_positions_that_queries_multiply_start_small() -> None:
    class Window(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 2)
            self.table = nn.Parameter(torch.zeros(9, 8))
            self.register_buffer("places", torch.arange(5)[:, None] - torch.arange(5)[None] + 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.qkv(x).chunk(3, -1)
            near = torch.einsum("bqd,qkd->bqk", q, self.table[self.places])
            return self.head((q @ k.transpose(1, 2) / math.sqrt(8) + near).softmax(-1) @ v)

    entry = ft.plan(Window(), torch.randn(4, 5, 8))["table"]
    assert entry.draw is not None
    assert (entry.rule, entry.draw.std) == ("positions", 0.02)
