# ruff: noqa: ARG005 - hooks and models have signatures of their own
"""Whatever surrounds a check: settings, threads, interrupts; all is as it was, bit by bit."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from torch import nn

from fanin.torch import check, plan
from odd_models import batch, does, net
from snapshot import changes, snapshot

pytestmark = pytest.mark.filterwarnings("ignore")
CLASSES = torch.arange(32) % 3


def untouched(model: Any, *inputs: Any, **options: Any) -> Any:
    before = snapshot(model, (inputs, options.get("target")))
    report = check(model, *inputs, **options)
    assert changes(before, snapshot(model, (inputs, options.get("target")))) == []
    return report


@contextlib.contextmanager
def _set(put: Callable[[Any], None], value: Any, before: Any) -> Iterator[None]:
    put(value)
    try:
        yield
    finally:
        put(before)


AROUND: dict[str, Callable[[], Any]] = {
    "float64": lambda: _set(torch.set_default_dtype, torch.float64, torch.float32),
    "meta": lambda: _set(torch.set_default_device, "meta", None),
    "in a meta block": lambda: torch.device("meta"),
    "deterministic": lambda: _set(torch.use_deterministic_algorithms, True, False),
    "anomalies": torch.autograd.detect_anomaly,
    "no gradients": lambda: _set(torch.set_grad_enabled, False, True),
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "hooks on saved tensors": lambda: torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t),
}


@pytest.mark.parametrize("name", AROUND)
def test_whatever_is_set_around_it(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 8), net())
    ids = torch.arange(32) % 5
    with AROUND[name]():
        report = untouched(model, ids, target=CLASSES, tier="deep")
        measured = [(m.kind, m.power) for m in report.diagnosis.trace.measurements]
    plainly = [(m.kind, m.power) for m in check(model, ids, target=CLASSES).diagnosis.trace.measurements]
    assert [kind for kind, _ in measured] == [kind for kind, _ in plainly]
    if name != "autocast":
        assert measured == plainly


def test_a_function_that_makes_models_leaves_the_random_states() -> None:
    torch.manual_seed(0)
    first, second = (untouched(net, batch(), draws=3).diagnosis.trace for _ in range(2))
    assert first.spreads == second.spreads
    # The draws are draws: they differ from each other.
    assert any(s.low < s.high for s in first.spreads)


def test_threads_wait_for_one_another() -> None:
    def slow(m: Any, x: torch.Tensor) -> Any:
        time.sleep(0.01)
        inner = torch.utils.checkpoint.checkpoint(m.net, x, use_reentrant=False)
        return nn.functional.dropout(inner, 0.5)

    models = [does(slow) for _ in range(4)]
    alone = [check(model, batch(), target=CLASSES).diagnosis.trace.measurements for model in models]
    before = [snapshot(model) for model in models]
    found: dict[int, Any] = {}
    together = threading.Barrier(4)

    def work(place: int) -> None:
        together.wait()
        model = models[place]
        try:
            found[place] = plan(model, batch()) if place % 2 else check(model, batch(), target=CLASSES)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            found[place] = error

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, model in enumerate(models):
        assert not isinstance(found[place], BaseException), found[place]
        assert changes(before[place], snapshot(model)) == []
        if place % 2 == 0:
            assert found[place].diagnosis.trace.measurements == alone[place]


def test_the_snapshot_sees_what_it_should() -> None:
    def after(act: Callable[[nn.Sequential], Any]) -> list[str]:
        model: nn.Sequential = net()
        before = snapshot(model)
        act(model)
        return changes(before, snapshot(model))

    def bits(model: nn.Sequential) -> None:
        model[0].weight.data[0, 0] *= -1.0

    acts: list[Callable[[nn.Sequential], Any]] = [
        bits, lambda m: m[0].eval(), lambda m: m[0].requires_grad_(False), lambda m: torch.rand(1),
        lambda m: np.random.rand(), lambda m: m.register_buffer("b", None),  # noqa: NPY002
        lambda m: m[0].register_forward_hook(lambda *_: None), lambda m: setattr(m[0], "k", 1),
        lambda m: setattr(m[0].weight, "grad", torch.zeros(16, 8)),
        lambda m: m[0].weight.register_hook(lambda g: g), lambda m: setattr(m, "0", nn.Linear(8, 16)),
    ]  # fmt: skip
    assert after(lambda m: m(batch())) == []
    for place, act in enumerate(acts):
        assert len(after(act)) >= 1, place
    for around in AROUND.values():
        before = snapshot()
        with around():
            assert changes(before, snapshot())
        assert changes(before, snapshot()) == []


def test_every_line_of_a_check_may_be_broken_off() -> None:
    model = does(lambda m, x: m.net(x))
    x = batch()
    before = snapshot(model, x)
    counted = _lines(lambda: check(model, x, target=CLASSES), at=-1)
    for place in range(1, counted, max(1, counted // 20)):
        with contextlib.suppress(KeyboardInterrupt):
            _lines(lambda: check(model, x, target=CLASSES), at=place)
        assert changes(before, snapshot(model, x)) == [], place


def _lines(run: Callable[[], Any], *, at: int) -> int:
    """Run something, count the lines of fanin that it runs, and interrupt it at one of them."""
    seen = 0

    def line(_frame: Any, event: str, _: Any) -> Any:
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == at:
                raise KeyboardInterrupt
        return line

    tracer = sys.gettrace()
    sys.settrace(lambda frame, *_: line if "/src/fanin/" in frame.f_code.co_filename else None)
    try:
        run()
    finally:
        sys.settrace(tracer)
    return seen
