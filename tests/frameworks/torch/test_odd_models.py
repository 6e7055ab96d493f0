"""Odd models are planned, initialised, checked and audited, and left as they were; or it is said why not."""

from __future__ import annotations

import copy
import random
import signal
import sys
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from torch import nn
from torch.utils._pytree import tree_flatten
from torch.utils.data import DataLoader, TensorDataset

import fanin.torch as ft
from fanin.errors import FaninError, InputError
from fanin.torch.interrupts import deferred
from fanin.torch.names import every_module, named_tensors
from odd_models import ODD, Does, batch, net

pytestmark = pytest.mark.filterwarnings("ignore")


def raw(tensor: torch.Tensor) -> bytes:
    # (A copy: memory that NumPy sees cannot be resized, as observers of ranges do.)
    flat = tensor.detach().clone().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def tensors(model: nn.Module) -> dict[str, bytes]:
    return {one.name: raw(one.tensor) for one in named_tensors(model)}


def held(value: Any) -> list[Any]:
    """What an attribute holds, one level deep."""
    if isinstance(value, dict):
        return [(key, id(inner)) for key, inner in value.items()]
    return [id(inner) for inner in value] if isinstance(value, list | set) else [id(value)]


def state(model: nn.Module, inputs: tuple[Any, ...]) -> list[Any]:
    modules = every_module(model)
    plain = [m for m in modules if not isinstance(m, torch.jit.ScriptModule)]
    leaves, structure = tree_flatten(inputs)
    objects = [leaf for leaf in leaves if hasattr(leaf, "__dict__") and not isinstance(leaf, torch.Tensor)]
    named = [one.tensor for one in named_tensors(model)]
    return [
        tensors(model), [(id(t), t.requires_grad) for t in named],
        [(id(t.grad), None if t.grad is None else raw(t.grad)) for t in named if t.is_leaf],
        [(m.training, type(m)) for m in modules],
        [[(key, held(value)) for key, value in vars(m).items()] for m in plain],
        str(structure), [raw(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor)],
        [(k, raw(v) if isinstance(v, torch.Tensor) else str(v)) for o in objects for k, v in vars(o).items()],
        torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.is_grad_enabled(), torch.get_default_dtype(), sys.getrecursionlimit(),
        torch.backends.mha.get_fastpath_enabled(), torch.utils.checkpoint.CheckpointFunction,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_everything_works_and_is_put_back(name: str) -> None:
    torch.manual_seed(0)
    model, inputs = ODD[name]()
    given = copy.deepcopy(inputs)
    before = state(model, inputs)
    plan = ft.plan(model, *inputs)
    assert state(model, inputs) == before
    assert [e.name for e in plan.entries] == [t.name for t in named_tensors(model)]
    if name != "observed":  # (learned quantisation hides what a weight is for)
        assert not [e.name for e in plan.unrecognised]
    report = ft.check(model, *inputs)
    assert state(model, inputs) == before
    assert report.diagnosis.trace.measurements
    ft.audit(model, *inputs)
    assert state(model, inputs) == before
    ft.init_(model, *inputs)
    once = tensors(model)
    ft.init_(model, *copy.deepcopy(given))
    assert tensors(model) == once
    assert [f.code for f in ft.check(model, *inputs).findings if str(f.severity) == "failure"] == []


def test_a_model_that_runs_plainly_is_not_as_it_was() -> None:
    for name in ("changes_its_inputs", "changes_itself", "goes_backward"):
        model, inputs = ODD[name]()
        before = state(model, inputs)
        model(*inputs)
        assert state(model, inputs) != before


def test_a_checkpoint_without_gradients_is_still_found() -> None:
    # Reentrant, and no input asks for a gradient: PyTorch gives the layers inside none.
    model = Does(
        lambda m, x: m.b(torch.utils.checkpoint.checkpoint(m.a, x, use_reentrant=True)),
        a=nn.Sequential(nn.Linear(8, 16), nn.ReLU()), b=nn.Linear(16, 3),
    )  # fmt: skip
    report = ft.check(model, batch())
    assert [f.code for f in report.findings if str(f.severity) == "warning"] == ["FAN302"]


def test_weights_outside_of_the_model_are_told() -> None:
    model = Does(lambda m, x: m.o(torch.relu(m.hidden[0](x))), o=nn.Linear(16, 3), hidden=[nn.Linear(8, 16)])
    (note,) = ft.plan(model, batch()).notes
    assert "no module registers" in note
    assert "(16, 8), (16,)" in note


def test_factors_of_two_types_are_told() -> None:
    (note,) = ft.plan(net(), batch().double()).notes
    assert "float32 and float64 in module '0'" in note


REFUSED: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "whole numbers": (net, (torch.ones(4, 8, dtype=torch.long),), r"module '0'.*but got Long and Float"),
    "loader": (net, (DataLoader(TensorDataset(torch.zeros(4, 8))),), r"source of batches.*next\(iter"),
    "data set": (net, (TensorDataset(torch.zeros(4, 8)),), r"source of batches.*DataLoader"),
    "optimiser": (net, (torch.optim.SGD(net().parameters(), lr=0.1),), r"There is no batch.*SGD"),
    "swapped": (batch, (net(),), "There is no (batch|model)"),
    "a list": (net, ([torch.zeros(4, 8), torch.zeros(4)],), r"module '0'.*unpack it, verb\(model, \*batch\)"),
    "an array": (net, (np.zeros((4, 8), np.float32),), r"module '0'.*torch.from_numpy"),
    "nothing": (net, (), r"Give the batch that the model takes"),
    "shape": (net, (torch.zeros(4, 9),), r"module '0'.*mat1 and mat2 shapes"),
    "several lines": (lambda: Does(_many_lines, net=net()), (batch(),), r"one two three\. Check"),
}  # fmt: skip


def _many_lines(*_: Any) -> None:
    raise ValueError("one\n  two\n\nthree")


@pytest.mark.parametrize("verb", ["plan", "init_", "check", "audit"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_said_in_one_line(name: str, verb: str) -> None:
    make, inputs, words = REFUSED[name]
    if name == "nothing" and verb == "audit":
        words = "nothing to compare the weights with"
    model = make()
    before = state(model, inputs) if isinstance(model, nn.Module) else []
    with pytest.raises(FaninError, match=words) as caught:
        getattr(ft, verb)(model, *inputs)
    assert "\n" not in str(caught.value)
    if isinstance(model, nn.Module):
        assert state(model, inputs) == before


@pytest.mark.parametrize("make", [nn.Linear, lambda x: x, net().state_dict(), "gpt2", None, lambda: 3])
def test_what_is_no_model(make: Any) -> None:
    with pytest.raises(InputError, match=r"no model|cannot be called to make a model"):
        ft.check(make, batch())
    for verb in (ft.plan, ft.init_, ft.audit):
        with pytest.raises(InputError, match="no model"):
            verb(make, batch())


def _shared() -> nn.Module:
    memory = torch.randn(200)
    model = Does(lambda m, x: torch.relu(x @ m.a.T) @ m.b.T)
    model.a, model.b = nn.Parameter(memory[:128].view(16, 8)), nn.Parameter(memory[100:148].view(3, 16))
    return model


def test_lines_that_share_memory_are_named() -> None:
    model = _shared()
    before = tensors(model)
    with pytest.raises(InputError, match=r"'a' and 'b' share a part of their memory"):
        ft.init_(model, batch())
    assert tensors(model) == before


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.parametrize("verb", ["plan", "check", "audit"])
def test_interrupts_at_any_time(verb: str) -> None:
    model, inputs = ODD["checkpointed"]()
    getattr(ft, verb)(model, *inputs)
    before = state(model, inputs)
    moments = random.Random(3)  # noqa: S311
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    broken = 0
    try:
        for _ in range(12):
            try:
                signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.001, 0.03))
                getattr(ft, verb)(model, *inputs)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                broken += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert state(model, inputs) == before
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert broken > 0


def test_signals_wait_and_a_second_one_does_not() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: heard.append(number))
    try:
        with deferred() as interrupts:
            signal.raise_signal(signal.SIGALRM)
            assert (heard, len(interrupts.waiting)) == ([], 1)
            interrupts.deliver()
            assert heard == [signal.SIGALRM]
            signal.raise_signal(signal.SIGALRM)
            signal.raise_signal(signal.SIGALRM)
            assert len(heard) == 3
            signal.raise_signal(signal.SIGALRM)
        assert len(heard) == 4
    finally:
        signal.signal(signal.SIGALRM, before)
