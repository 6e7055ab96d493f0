"""What cannot be checked, or only in part: clear words, and the model as it was."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fanin.cli.main import main
from fanin.errors import FaninError, InputError, ModelError
from fanin.torch import check

NETS = """
import dataclasses, math, torch
from torch import nn

class Model(nn.Module):
    def __init__(self, kind="plain"):
        super().__init__()
        self.layer, self.kind = nn.Linear(4, 3), kind
    def forward(self, x):
        y = self.layer(x)
        if self.kind == "memory":
            torch.empty(10**15)
        if self.kind == "interrupt":
            raise KeyboardInterrupt
        return {"plain": y, "memory": y, "integer": y.argmax(-1), "complex": torch.complex(y, y),
                "none": None, "detached": y.detach()}[self.kind]

class Nothing(nn.Module):
    def forward(self, x):
        return torch.relu(x)

class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
    def forward(self, x):
        return x

def of(kind):
    return lambda: Model(kind)

plain, memory, integer, complex_, none, detached, interrupt = map(
    of, ("plain", "memory", "integer", "complex", "none", "detached", "interrupt"))

def not_a_number():
    x = torch.randn(8, 4)
    x[0, 0] = math.nan
    return x

def equal():
    return torch.ones(8, 4)

def one():
    return torch.randn(1, 4)

def empty():
    return torch.randn(0, 4)
"""


def namespace() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "nets"}
    exec(compile(NETS, "nets.py", "exec"), names)  # noqa: S102 - the text above, as the command line loads it
    return names


REFUSED = [
    ("integer", "normal", "no floating tensor"),
    ("none", "normal", "no floating tensor"),
    ("memory", "normal", "Memory ran out"),
    ("Nothing", "normal", "no weights"),
    ("Idle", "normal", "Nothing was captured"),
    ("plain", "empty", "The batch is empty"),
]

FOUND = [
    ("plain", "not_a_number", "FAN106", "the data, not the model"),
    ("plain", "equal", "FAN402", "the data, not the model"),
    ("plain", "one", "FAN402", "a batch of one"),
    ("detached", "normal", "FAN302", "detach()"),
]


def batch(names: dict[str, Any], name: str) -> torch.Tensor:
    made: torch.Tensor = torch.randn(8, 4) if name == "normal" else names[name]()
    return made


@pytest.mark.parametrize(("model", "data", "words"), REFUSED)
def test_what_cannot_be_checked_is_refused(model: str, data: str, words: str) -> None:
    names = namespace()
    with pytest.raises(FaninError, match=words):
        check(names[model](), batch(names, data))


@pytest.mark.parametrize(("model", "data", "words"), REFUSED)
def test_and_on_the_command_line(
    model: str, data: str, words: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    source = ["-i", "8x4"] if data == "normal" else ["-b", f"nets.py:{data}"]
    assert main(["check", f"nets.py:{model}", *source]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(("model", "data", "code", "cause"), FOUND)
def test_what_is_at_fault_is_named(model: str, data: str, code: str, cause: str) -> None:
    names = namespace()
    report = check(names[model](), batch(names, data))
    (found,) = [f for f in report.findings if f.code == code]
    assert cause in found.cause


@pytest.mark.parametrize(("model", "data", "code", "cause"), FOUND)
def test_and_by_the_command(
    model: str, data: str, code: str, cause: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    source = ["-i", "8x4"] if data == "normal" else ["-b", f"nets.py:{data}"]
    assert main(["check", f"nets.py:{model}", *source, "--fail-on", "info"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert code in out
    assert cause in " ".join(out.split())


@dataclasses.dataclass
class Answer:
    logits: torch.Tensor


@pytest.mark.parametrize(
    "wrap", [lambda y: {"logits": y, "n": 3}, lambda y: (y, None, "s"), Answer, lambda y: [[y]]]
)
def test_outputs_of_many_shapes(wrap: Callable[[torch.Tensor], Any]) -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> Any:
            return wrap(self.layer(x))

    assert check(Wrapped(), torch.randn(8, 4)).healthy


class Restless(nn.Module):
    """Counts, draws, writes and grows while it runs."""

    def __init__(self, fail: type[BaseException] | None = None) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)
        self.norm, self.runs, self.fail = nn.BatchNorm1d(8), 0, fail
        self.register_buffer("count", torch.zeros(1))
        self.seen: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        self.count += 1
        self.seen.append(self.runs)
        random.random()  # noqa: S311
        np.random.rand()  # noqa: NPY002
        with torch.no_grad():
            self.first.weight.mul_(1.5)
        y = self.second(torch.relu(self.norm(self.first(x)))) + 1e-3 * torch.randn(len(x), 3)
        if self.fail is not None:
            raise self.fail
        return y


def state(model: Restless) -> list[Any]:
    hooks = [(m._forward_hooks, m._forward_pre_hooks, m._backward_hooks) for m in model.modules()]
    return [
        [(name, value.tolist()) for name, value in model.state_dict().items()],
        [p.grad for p in model.parameters()], [p.requires_grad for p in model.parameters()],
        [m.training for m in model.modules()], [len(h) for group in hooks for h in group],
        model.runs, list(model.seen), torch.get_rng_state().tolist(), random.getstate(),
        [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],  # noqa: NPY002
    ]  # fmt: skip


@pytest.mark.parametrize("tier", ["fast", "standard", "deep"])
@pytest.mark.parametrize("fail", [None, RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("training", [True, False])
def test_everything_is_put_back(tier: str, fail: type[BaseException] | None, training: bool) -> None:
    model = Restless(fail).train(training)
    before = state(model)
    x, y = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    if fail is None:
        report = check(model, x, target=y, tier=tier, fix=True)
        assert any("draws random numbers" in note for note in report.diagnosis.trace.notes)
    else:
        with pytest.raises(ModelError if fail is RuntimeError else fail):
            check(model, x, target=y, tier=tier)
    assert state(model) == before


def test_a_restless_model_is_not_as_it_was_if_it_is_run_plainly() -> None:
    model = Restless()
    before = state(model)
    model(torch.randn(8, 4))
    assert state(model) != before


def test_interrupts_end_the_command_and_nothing_else(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "nets.py:interrupt", "-i", "8x4"]) == 130
    assert capsys.readouterr().out == ""


def test_what_is_no_tier_and_no_model() -> None:
    with pytest.raises(InputError, match="no such tier"):
        check(nn.Linear(4, 3), torch.randn(8, 4), tier="thorough")
    with pytest.raises(InputError, match="no model"):
        check(lambda: 3, torch.randn(8, 4))  # type: ignore[arg-type, return-value]


def test_infinity_in_one_place_of_a_large_batch_is_seen() -> None:
    x = torch.randn(64, 8192)
    x[17, 4321] = math.inf
    report = check(nn.Sequential(nn.Linear(8192, 8), nn.ReLU(), nn.Linear(8, 2)), x)
    assert [f.code for f in report.findings if f.severity == "failure"] == ["FAN106"]
    assert "the data" in report.findings[0].cause


def test_several_draws_say_between_which_bounds_figures_lie() -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))

    trace = check(make, torch.randn(32, 16), draws=5).diagnosis.trace
    assert trace.draws == 5
    power = {m.node: m.power for m in trace.measurements}
    assert len(trace.spreads) == len(power)
    for spread in trace.spreads:
        assert spread.low <= power[spread.node] <= spread.high
    assert any(spread.low < spread.high for spread in trace.spreads)
