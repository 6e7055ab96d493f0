# ruff: noqa: E501, ARG005 - a table of cases, each in as few lines as may be
"""Hostile models, batches, targets, losses and surroundings: clear words, and all as it was, bit by bit."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from torch import nn

from fanin.errors import FaninError, InputError, ModelError
from fanin.torch import check
from odd_models import batch, does, net
from snapshot import changes, snapshot

pytestmark = pytest.mark.filterwarnings("ignore")
CLASSES = torch.arange(32) % 3


def untouched(model: Any, *inputs: Any, raises: Any = None, match: str = "", **options: Any) -> Any:
    """Check a model, and raise unless it, its inputs and the process are as they were, bit by bit."""
    given = (inputs, options.get("target"))
    before = snapshot(model, given)
    report, told = None, None
    if raises is None:
        report = check(model, *inputs, **options)
    else:
        with pytest.raises(raises, match=match) as told:
            check(model, *inputs, **options)
    assert changes(before, snapshot(model, given)) == []
    if told is not None and issubclass(told.type, FaninError):
        assert "\n" not in str(told.value)
    return report


def alarms(report: Any) -> list[str]:
    return [f.code for f in report.findings if str(f.severity) != "info"]


class Back(torch.autograd.Function):
    """Leaves values alone, and does what `act` does on the way back."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, act: Callable[[torch.Tensor], Any]) -> torch.Tensor:
        ctx.act = act
        return x * 1

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return ctx.act(gradient), None


def back(act: Callable[[torch.Tensor], Any]) -> nn.Module:
    return does(lambda m, x: m.net[2](torch.relu(Back.apply(m.net[0](x), act))))


def fails(error: type[BaseException]) -> Callable[..., Any]:
    def function(*_: Any) -> None:
        raise error("not today")

    return function


def hooked(kind: str, function: Callable[..., Any]) -> nn.Module:
    model: nn.Sequential = net()
    getattr(model[0], kind)(function)
    return model


def changed(model: nn.Module, name: str) -> nn.Module:
    """A model one of whose layers or buffers has no values."""
    if name == "buffer":
        model.register_buffer("table", torch.zeros(3, device="meta"))
    else:
        model.get_submodule(name).to("meta")
    return model


# ---------------------------------------------------------------- what cannot be checked


REFUSED: dict[str, tuple[Callable[[], tuple[Any, ...]], dict[str, Any], str]] = {
    "generator": (lambda: (does(lambda m, x: (y for y in [m.net(x)])), batch()), {}, "type generator.*Wrap the"),
    "namespace": (lambda: (does(lambda m, x: types.SimpleNamespace(y=m.net(x))), batch()), {}, "SimpleNamespace"),
    "whole numbers": (lambda: (does(lambda m, x: m.net(x).argmax(-1)), batch()), {}, "Tensor, int64"),
    "jagged output": (
        lambda: (does(lambda m, x: torch.nested.as_nested_tensor(
            [m.net(x[:4]), m.net(x[4:])], layout=torch.jagged)), batch()), {}, "nested, float32"),
    "nested inside": (
        lambda: (does(lambda m, x: torch.nested.as_nested_tensor([m.net(x[:4]), m.net(x[4:])])), batch()), {}, "padded"),
    "nested input": (
        lambda: (net(), torch.nested.nested_tensor([torch.zeros(3, 8), torch.zeros(5, 8)])), {}, "a nested tensor"),
    "quantised input": (
        lambda: (net(), torch.quantize_per_tensor(batch(), 0.1, 0, torch.qint8)), {}, "x.dequantize"),
    "meta batch": (lambda: (net(), batch().to("meta")), {}, "device meta"),
    "meta layer": (lambda: (changed(net(), "2"), batch()), {}, "weights have no values"),
    "meta buffer": (lambda: (changed(net(), "buffer"), batch()), {}, "buffers on the meta device"),
    "lazy": (lambda: (nn.Sequential(nn.LazyLinear(16)), batch()), {}, "LazyLinear.*first forward pass"),
    "frozen script": (lambda: (torch.jit.freeze(torch.jit.script(net().eval())), batch()), {}, "no weights"),
    "float8": (
        lambda: (net().to(torch.float8_e4m3fn), batch().to(torch.float8_e4m3fn)), {}, "not implemented for 'Float8"),
    "forward": (lambda: (does(fails(AssertionError)), batch()), {}, "AssertionError: not today"),
    "stop": (lambda: (does(fails(StopIteration)), batch()), {}, "StopIteration: not today"),
    "endless": (lambda: (does(lambda m, x: m.function(m, x)), batch()), {}, "RecursionError"),
    "forward hook": (lambda: (hooked("register_forward_hook", fails(ValueError)), batch()), {}, "module '0'.*not to"),
    "backward hook": (
        lambda: (hooked("register_full_backward_hook", fails(ValueError)), batch()), {}, r"model\(batch\).sum\(\).bac"),
    "backward": (lambda: (back(fails(ValueError)), batch()), {"target": CLASSES}, "pass failed.*ValueError: not"),
    "memory": (lambda: (does(fails(MemoryError)), batch()), {}, "Memory ran out. Received: not today"),
    "memory, back": (lambda: (back(lambda g: torch.empty(10**15)), batch()), {}, "Memory ran out"),
    "memory, loss": (lambda: (net(), batch()), {"loss": lambda o, t: torch.empty(10**15)}, "Memory ran out"),
    "a function": (lambda: (torch.relu, batch()), {}, "'relu' cannot be called to make a model"),
    "a class": (lambda: (nn.Linear, batch()), {}, "'Linear' cannot be called"),
    "target: text": (lambda: (net(), batch()), {"target": "cat"}, "no tensor of classes or numbers. Received: str"),
    "target: None": (lambda: (net(), batch()), {"target": [None] * 32}, "Received: list: Could not infer"),
    "target: objects": (lambda: (net(), batch()), {"target": np.array([object()])}, "Received: ndarray"),
    "target: meta": (lambda: (net(), batch()), {"target": CLASSES.to("meta")}, "Received: Tensor: meta"),
    "target: shape": (lambda: (net(), batch()), {"target": CLASSES[1:]}, r"\(31,\)"),
    "target: class": (lambda: (net(), batch()), {"target": CLASSES + 5}, "classes 5 to 7 for 3"),
    "loss: vector": (lambda: (net(), batch()), {"loss": lambda o, t: o.sum(1)}, r"shape \(32,\).*Take its mean"),
    "loss: a float": (lambda: (net(), batch()), {"loss": lambda o, t: 3.0}, "Received: float 3.0"),
    "loss: detached": (lambda: (net(), batch()), {"loss": lambda o, t: o.sum().detach()}, "The loss has no gradient"),
    "loss: whole": (lambda: (net(), batch()), {"loss": lambda o, t: o.sum().long()}, "no gradient.*int64"),
    "loss: elsewhere": (
        lambda: (net(), batch()), {"loss": lambda o, t: torch.ones((), requires_grad=True)}, "does not depend on the m"),
    "loss: complex": (lambda: (net(), batch()), {"loss": lambda o, t: o.sum() + 0j}, "complex64"),
    "loss: a class": (lambda: (net(), batch()), {"loss": nn.MSELoss}, r"Give an instance: loss=MSELoss\(\)"),
    "loss: text": (lambda: (net(), batch()), {"loss": "mse"}, "The loss is no function. Received: 'mse'"),
    "loss: no target": (lambda: (net(), batch()), {"loss": nn.MSELoss()}, "No target was given"),
    "loss: fails": (lambda: (net(), batch()), {"loss": fails(KeyError)}, "KeyError: 'not today'"),
    "seed": (lambda: (net(), batch()), {"seed": 1.5}, "seed=1.5. It is a whole number of at least 0 and below 2"),
    "large seed": (lambda: (net(), batch()), {"seed": 2**64}, "below 2"),
    "draws": (lambda: (net, batch()), {"draws": 0}, "draws=0. It is a whole number of at least 1"),
    "select": (lambda: (net(), batch()), {"select": 3}, "select holds no codes. Received: select=3"),
    "ignore": (lambda: (net(), batch()), {"ignore": "FAN1,FAN9"}, "Unknown finding code. Received: 'FAN9'"),
    "plan": (lambda: (net(), batch()), {"plan": []}, "This is no plan. Received: list"),
    "lr": (lambda: (net(), batch()), {"lr": "fast"}, "lr is no learning rate"),
    "tier": (lambda: (net(), batch()), {"tier": None}, "no such tier"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_checked_is_said_and_nothing_is_changed(name: str) -> None:
    make, options, words = REFUSED[name]
    torch.manual_seed(0)
    untouched(*make(), raises=FaninError, match=words, **options)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("where", ["forward", "loss", "backward", "hook", "factory"])
def test_what_is_no_error_passes_through(error: type[BaseException], where: str) -> None:
    torch.manual_seed(0)
    function = fails(error)
    models: dict[str, Any] = {
        "forward": lambda: does(function), "loss": net, "backward": lambda: back(function),
        "hook": lambda: hooked("register_full_backward_hook", function), "factory": lambda: function,
    }  # fmt: skip
    options = {"loss": function} if where == "loss" else {"target": CLASSES}
    untouched(models[where](), batch(), raises=error, match="not today", **options)


# ---------------------------------------------------------------- what can, and what is said of it


def _own_gradient(m: Any, x: torch.Tensor) -> Any:
    out = m.net(x)
    return out + torch.autograd.grad(out.sum(), m.net[0].weight, create_graph=True)[0].sum()


def _writes(m: Any, x: torch.Tensor) -> Any:
    with torch.no_grad():
        m.net[0].weight.mul_(0.9)
    m.cache = {"x": x}
    m.register_buffer("late", torch.ones(8))
    m.more = nn.Linear(8, 8)
    return m.net(m.more(x.mul_(2.0)) + m.late)


WORKS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "nested": lambda: (does(lambda m, x: [[{"y": (m.net(x), "text", None)}]]), batch()),
    "sparse": lambda: (does(lambda m, x: m.net(x).to_sparse()), batch()),
    "compressed": lambda: (does(lambda m, x: m.net(x).to_sparse_csr()), batch()),
    "complex": lambda: (does(lambda m, x: torch.fft.fft(m.net(x))), batch()),
    "empty": lambda: (does(lambda m, x: m.net(x)[:0]), batch()),
    "writes": lambda: (does(_writes), batch()),
    "gradient inside": lambda: (does(_own_gradient), batch()),
    "vmap": lambda: (does(lambda m, x: torch.vmap(m.net)(x)), batch()),
    "functional": lambda: (
        does(lambda m, x: torch.func.functional_call(m.net, dict(m.net.named_parameters()), (x,))), batch()),
    # (torch makes its tangents of zeros without memory.)
    "tangents": lambda: (does(lambda m, x: m.net(x) + torch.func.jvp(m.net, (x,), (x,))[1]), batch()),
    "script": lambda: (torch.jit.script(net()), batch()),
    "traced": lambda: (torch.jit.trace(net(), batch()), batch()),
    "replicas": lambda: (nn.DataParallel(net()), batch()),
    "old weight norm": lambda: (nn.Sequential(torch.nn.utils.weight_norm(nn.Linear(8, 3))), batch()),
    "old spectral norm": lambda: (nn.Sequential(torch.nn.utils.spectral_norm(nn.Linear(8, 3))), batch()),
    "hook changes": lambda: (hooked("register_forward_hook", lambda _m, _i, y: 2 * y), batch()),
    "partial": lambda: (functools.partial(nn.Linear, 8, 3), batch()),
    "half": lambda: (net().half(), batch().half()),
    "deep recursion": lambda: (does(lambda m, x: _again(m, x, 250)), batch()),
    "batch of one": lambda: (net(), batch(1)),
}  # fmt: skip


def _again(m: Any, x: torch.Tensor, times: int) -> Any:
    return m.net(x) if times == 0 else _again(m, x, times - 1)


@pytest.mark.parametrize("tier", ["standard", "deep"])
@pytest.mark.parametrize("name", WORKS)
def test_what_works_is_put_back(name: str, tier: str) -> None:
    torch.manual_seed(0)
    report = untouched(*WORKS[name](), tier=tier)
    assert report.diagnosis.trace.measurements
    assert "FAN106" not in alarms(report)


@pytest.mark.parametrize("rows", [slice(None), 3])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_batch_that_is_not_finite_is_the_datas_fault(rows: Any, value: float) -> None:
    x = batch()
    x[rows] = value
    report = untouched(net(), x, target=CLASSES)
    assert alarms(report)[0] == "FAN106"
    assert "the data, not the model" in report.findings[0].cause


def test_a_gradient_that_is_not_finite_is_a_failure() -> None:
    # Outputs and loss are finite, and the first step makes NaN of all weights.
    spoiled = {
        "by hand": back(lambda g: g * math.nan),
        "a root of zero": does(lambda m, x: m.net(x) + (m.net[0].weight * 0.0).square().sum().sqrt()),
        "where": does(
            lambda m, x: m.net(x) + torch.where(x < 9, x, (m.net[0].bias[:8] * 0).sqrt() / 0).sum()
        ),
    }
    for name, model in spoiled.items():
        report = untouched(model, batch(), target=CLASSES)
        found = {f.code: f for f in report.findings}
        assert "FAN106" in found, name
        assert "gradient of" in found["FAN106"].summary
        assert not report.healthy


def test_a_loss_that_overflows_is_told_from_one_that_is_large() -> None:
    assert alarms(untouched(net(), batch(), loss=lambda o, _: o.square().sum() * 1e30)) == []
    assert alarms(untouched(net(), batch(), loss=lambda o, _: o.square().sum() * 1e38)) == ["FAN106"]
    assert alarms(untouched(net(), batch(), loss=lambda o, _: o.square().sum() * 1e-30)) == []


class Counts(nn.Module):
    """A loss with a memory: a centre that follows the outputs, and the number of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(3))
        self.weight, self.calls, self.seen = nn.Parameter(torch.ones(3)), 0, []

    def forward(self, output: torch.Tensor, _: Any) -> torch.Tensor:
        self.calls += 1
        self.seen.append(float(output.detach().mean()))
        self.centre += output.detach().mean(0)
        return ((output - self.centre) * self.weight).square().mean()


@pytest.mark.parametrize("tier", ["fast", "standard", "deep"])
def test_a_loss_with_a_memory_is_put_back(tier: str) -> None:
    model, loss = net(), Counts()
    loss(torch.randn(4, 3), None).backward()
    before = snapshot(loss)
    untouched(model, batch(), target=CLASSES, loss=loss, tier=tier)
    assert changes(before, snapshot(loss)) == []
    loss(torch.randn(4, 3), None)
    assert changes(before, snapshot(loss)) != []


def test_two_kinds_of_errors() -> None:
    with pytest.raises(ModelError):
        check(does(fails(ValueError)), batch())
    with pytest.raises(InputError):
        check(net(), batch(), target="cat")
