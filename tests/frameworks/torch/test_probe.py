"""The probe: its figures against plain computations, and a model that is left as it was."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fanin.errors import InputError, ModelError
from fanin.records.graph import OpKind
from fanin.records.trace import Measurement, ParameterMeasurement, Trace
from fanin.torch import statistics
from fanin.torch.probe import measure


def mlp(*, inplace: bool = False, head: int = 3, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 16), nn.ReLU(inplace=inplace), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, head)
    )


def batch(n: int = 32, features: int = 6) -> torch.Tensor:
    return torch.randn(n, features, generator=torch.Generator().manual_seed(7))


def at(trace: Trace, module: str, kind: OpKind | None = None) -> Measurement:
    return next(m for m in trace.measurements if m.module == module and kind in (None, m.kind))


def parameter(trace: Trace, name: str) -> ParameterMeasurement:
    return next(p for p in trace.parameters if p.name == name)


# ---------------------------------------------------------------- figures


@pytest.mark.parametrize("inplace", [False, True])
def test_figures_are_those_of_a_plain_forward_and_backward_pass(inplace: bool) -> None:
    model, x = mlp(inplace=inplace), batch()
    _, trace = measure(model, x, seed=5)
    plain = mlp()
    outputs = [x]
    for layer in plain:
        outputs.append(layer(outputs[-1]))
    r = torch.randn(outputs[-1].shape, generator=torch.Generator().manual_seed(5))
    gradients = torch.autograd.grad(outputs[-1], outputs[1:], r, retain_graph=True)
    weights = torch.autograd.grad(outputs[-1], list(plain.parameters()), r)
    outputs = [output.detach() for output in outputs]
    for place, (output, gradient) in enumerate(zip(outputs[1:], gradients, strict=True)):
        found = at(trace, str(place))
        assert found.power == pytest.approx(float(output.square().mean()), rel=1e-5)
        assert found.mean == pytest.approx(float(output.mean()), abs=1e-6)
        assert found.gradient_power == pytest.approx(float(gradient.square().sum()) / len(x), rel=1e-5)
        u = functional.normalize(output.double(), dim=1)
        cosine = float((u @ u.T).sum() - len(x)) / (len(x) * (len(x) - 1))
        assert found.cosine == pytest.approx(cosine, abs=1e-6)
        spread = output.std(dim=0, correction=0).median() / output.square().mean().sqrt()
        # torch's median is the lower of the two middle values, here as there.
        assert found.unit_spread == pytest.approx(float(spread), rel=1e-4)
        assert found.shape == tuple(output.shape)
        assert found.finite
    relu = at(trace, "1")
    assert relu.dead == pytest.approx(float((outputs[2] <= 0).all(dim=0).float().mean()))
    assert relu.zeros == pytest.approx(float((outputs[2] == 0).float().mean()), abs=1e-6)
    assert at(trace, "3").saturated == pytest.approx(
        float((outputs[4].abs() > 0.97).float().mean()), abs=0.02
    )
    for (name, _), gradient in zip(plain.named_parameters(), weights, strict=True):
        assert parameter(trace, name).gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-5)


def test_with_a_target_parameters_have_the_gradient_of_the_loss() -> None:
    model, x, y = mlp(), batch(), torch.arange(32) % 3
    _, trace = measure(model, x, target=y)
    loss = functional.cross_entropy(model(x), y)
    assert trace.loss is not None
    assert trace.loss.value == pytest.approx(float(loss.detach()), rel=1e-6)
    assert trace.loss.expected == pytest.approx(math.log(3))
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True):
        assert parameter(trace, name).gradient_norm == pytest.approx(float(gradient.norm()), rel=1e-5)
    # Nodes keep the random direction: the loss has no part in what the network does to a gradient.
    _, without = measure(model, x)
    assert at(trace, "0").gradient_power == pytest.approx(at(without, "0").gradient_power, rel=1e-5)


def test_channels_of_convolutions_are_units() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(inplace=True), nn.Conv2d(5, 7, 3), nn.ReLU())
    x = torch.randn(4, 3, 9, 9)
    with torch.no_grad():
        model[2].bias[2] = -100.0
        model[0].bias[:2] = -100.0
    _, trace = measure(model, x)
    assert [at(trace, str(i)).units for i in range(4)] == [5, 5, 7, 7]
    assert at(trace, "2").samples == 4 * 5 * 5
    assert at(trace, "3").dead == pytest.approx(1 / 7)
    assert at(trace, "1").dead == pytest.approx(2 / 5)


def test_an_overwritten_output_is_measured_before() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = functional.hardtanh(self.a(x))
            h += 100.0 * x
            return self.b(h)

    torch.manual_seed(0)
    model = Net()
    _, trace = measure(model, batch())
    active = next(m for m in trace.measurements if m.kind == OpKind.ACTIVATION)
    values = functional.hardtanh(model.a(batch())).detach()
    assert active.power == pytest.approx(float(values.square().mean()), rel=1e-5)
    assert active.saturated == pytest.approx(float((values.abs() >= 1.0).float().mean()), abs=0.03)
    assert next(m for m in trace.measurements if m.kind == OpKind.ADD).power > 1000.0


def test_calls_of_a_reused_module_are_told_apart() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(torch.tanh(self.a(x)))

    _, trace = measure(Twice(), batch())
    calls = [m.call for m in trace.measurements if m.module == "a"]
    assert calls == [0, 1]


def test_inputs_are_measured_first() -> None:
    _, trace = measure(mlp(), 5.0 * batch())
    assert trace.measurements[0].kind == OpKind.INPUT
    assert trace.measurements[0].power == pytest.approx(float((5.0 * batch()).square().mean()), rel=1e-5)
    assert trace.batch == 32
    assert trace.mode == "train"


def test_a_head_of_zeros_does_not_hide_the_gradients_behind_it() -> None:
    model = mlp()
    nn.init.zeros_(model[4].weight)
    _, trace = measure(model, batch())
    assert at(trace, "0").gradient_power > 0
    assert any("head is zero" in note for note in trace.notes)


def test_a_frozen_model_has_no_gradients_and_says_so() -> None:
    model = mlp().requires_grad_(False)
    _, trace = measure(model, batch())
    assert all(m.gradient_power is None for m in trace.measurements)
    assert "no parameter is trainable" in trace.notes[0]
    half = mlp()
    half[0].requires_grad_(False)
    _, trace = measure(half, batch())
    assert parameter(trace, "0.weight").gradient_norm is None
    assert parameter(trace, "2.weight").gradient_norm > 0


def test_parameters_of_another_output_take_part() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(6, 4)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.a(x), self.b(x)

    _, trace = measure(Two(), batch())
    assert parameter(trace, "b.weight").gradient_norm > 0
    assert parameter(trace, "c.weight").gradient_norm is None


# ---------------------------------------------------------------- parameters


def test_equal_rows_columns_and_tensors() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    with torch.no_grad():
        model[0].bias.zero_()
        model[0].weight[3] = model[0].weight[1]
        model[0].weight[5] = model[0].weight[1]
        model[2].weight[:, 4] = model[2].weight[:, 0]
        model[4].weight.copy_(model[2].weight)
    _, trace = measure(model, batch())
    assert parameter(trace, "0.weight").identical_units == 2
    assert parameter(trace, "0.weight").identical_inputs == 0
    assert parameter(trace, "2.weight").identical_units == 0
    assert parameter(trace, "2.weight").identical_inputs == 1
    assert parameter(trace, "2.weight").digest == parameter(trace, "4.weight").digest != ""
    assert parameter(trace, "0.weight").digest == ""
    with torch.no_grad():
        model[0].bias[3] = 0.5
    _, trace = measure(model, batch())
    assert parameter(trace, "0.weight").identical_units == 1


def test_moments_of_parameters_to_the_last_digit() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8))
    with torch.no_grad():
        model[1].bias.copy_(1000.0 + 1e-3 * torch.arange(8.0))
    _, trace = measure(model, batch())
    assert parameter(trace, "1.weight").std == 0.0
    assert parameter(trace, "1.weight").mean == 1.0
    values = model[1].bias.detach().double()
    assert parameter(trace, "1.bias").std == pytest.approx(float(values.std(correction=0)), rel=1e-6)
    values = model[0].weight.detach().double()
    found = parameter(trace, "0.weight")
    assert (found.mean, found.std, found.largest) == pytest.approx(
        (float(values.mean()), float(values.std(correction=0)), float(values.abs().max())), rel=1e-9
    )


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_powers_past_the_range_of_float32_squares(scale: float) -> None:
    x = scale * torch.randn(300, 70, generator=torch.Generator().manual_seed(0))
    found = statistics.numbers(x, [1])[1]
    assert found.power == pytest.approx(float(x.double().square().mean()), rel=1e-5)
    assert found.finite


def test_views_expansions_and_small_types() -> None:
    x = torch.randn(5, 7, 11, generator=torch.Generator().manual_seed(0))
    for view in (x.transpose(0, 2), x[:, ::2], x.expand(4, 5, 7, 11), x.half(), x.bfloat16(), x[0, 0, :0]):
        found = statistics.sum_of_squares(view)
        assert found == pytest.approx(float(view.double().square().sum()), rel=1e-5)
    assert statistics.flat(x.transpose(0, 2)).data_ptr() == x.data_ptr()


def test_what_is_not_finite() -> None:
    x = torch.zeros(4, 5)
    for value in (math.nan, math.inf, -math.inf):
        x[1, 2] = value
        assert not statistics.numbers(x, [1])[1].finite
    assert statistics.numbers(x, [1], masked=True)[1].finite


# ---------------------------------------------------------------- left as it was


class Noisy(nn.Module):
    """Batch norm, dropout, a counter in a buffer, randomness of three kinds, and perhaps an error."""

    def __init__(self, *, fail: bool = False) -> None:
        super().__init__()
        self.a, self.norm, self.drop = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)
        self.b, self.fail, self.calls = nn.Linear(8, 2), fail, 0
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.count += 1
        x = self.drop(self.norm(self.a(x))) * random.random() + float(np.random.rand())  # noqa: NPY002, S311
        if self.fail:
            raise ValueError("no")
        return self.b(x)


def state(model: nn.Module) -> dict[str, Any]:
    found: dict[str, Any] = {name: t.detach().clone() for name, t in model.state_dict().items()}
    for name, p in model.named_parameters():
        found[f"{name} grad"] = None if p.grad is None else (id(p.grad), p.grad.clone())
        found[f"{name} requires"] = p.requires_grad
        found[f"{name} hooks"] = len(p._backward_hooks or ())
    found["modes"] = [m.training for m in model.modules()]
    found["hooks"] = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    found["calls"] = getattr(model, "calls", None)
    found["random"] = (torch.get_rng_state(), str(random.getstate()), str(np.random.get_state()))  # noqa: NPY002
    found["grad mode"] = torch.is_grad_enabled()
    return found


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@pytest.mark.parametrize("fail", ["no", "forward", "target", "backward"])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(fail: str, training: bool) -> None:
    model = Noisy(fail=fail == "forward").train(training)
    model.a.bias.requires_grad_(False)
    model.b.weight.grad = torch.ones_like(model.b.weight)
    model.norm.eval()
    target = torch.zeros(32, dtype=torch.long)
    if fail == "target":
        target += 9
    if fail == "backward":
        model.b.weight.register_hook(lambda _g: (_ for _ in ()).throw(RuntimeError("no")))
    before = state(model)
    with torch.no_grad():
        inside = torch.is_grad_enabled()
        try:
            measure(model, batch(), target=target)
        except (ModelError, InputError):
            assert fail != "no"
        else:
            assert fail == "no"
        assert torch.is_grad_enabled() == inside
    after = state(model)
    assert [key for key in before if not same(before[key], after[key])] == []


def test_the_comparison_of_states_can_fail() -> None:
    model = Noisy()
    before = state(model)
    model(batch())
    changed = [key for key, value in state(model).items() if not same(before[key], value)]
    assert {"norm.running_mean", "count", "calls", "random"} <= set(changed)


def test_nothing_is_kept_alive() -> None:
    model = mlp()
    _, trace = measure(model, batch())
    assert all(p.grad is None for p in model.parameters())
    assert not any(p._backward_hooks for p in model.parameters())
    assert trace.measurements


def test_a_history_of_the_users_own_stays_usable() -> None:
    model = mlp()
    penalty = sum(p.square().sum() for p in model.parameters())
    x = batch()
    shifted = x + model[0].weight.mean()
    for _ in range(2):
        measure(model, x, loss=lambda output, _: output.square().mean() + penalty)
        measure(model, shifted, target=torch.arange(32) % 3)
    assert isinstance(penalty, torch.Tensor)
    penalty.backward()
    shifted.sum().backward()
    assert model[0].weight.grad is not None


def test_the_history_of_the_run_is_let_go() -> None:
    held: list[torch.Tensor] = []

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        held.append(nn.functional.cross_entropy(output, target))
        return held[-1]

    measure(mlp(), batch(), target=torch.arange(32) % 3, loss=loss)
    with pytest.raises(RuntimeError, match="second time"):
        held[0].backward()
