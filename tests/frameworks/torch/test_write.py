"""The writer: exactly what the plan says, or nothing."""

from __future__ import annotations

import signal
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import fanin
from fanin.errors import InputError
from fanin.records.draw import Constant, Draw, Normal, Orthogonal
from fanin.records.plan import Entry, Plan, Status
from fanin.sampling.streams import STREAM_VERSION
from fanin.torch import commit as committing
from fanin.torch.names import named_tensors
from fanin.torch.store import dtype_name
from fanin.torch.write import write


def entry(name: str, tensor: torch.Tensor, draw: Draw | None, **more: Any) -> Entry:
    status = Status.KEPT if draw is None else Status.CLAIMED
    shape = tuple(tensor.shape)
    return Entry(
        **{"name": name, "shape": shape, "dtype": dtype_name(tensor), "status": status, "draw": draw}
        | {"scheme": "test", "rule": "test", "reason": "test"}
        | more
    )


def plan_of(model: nn.Module, *, seed: int = 5, **draws: Draw) -> Plan:
    """Normal draws for every floating-point parameter; buffers kept; some given by attribute."""
    entries = [
        entry(
            t.name,
            t.tensor,
            None if t.buffer else draws.get(t.attribute, Normal(std=0.5)),
            aliases=t.aliases,
            buffer=t.buffer,
        )
        for t in named_tensors(model)
    ]
    return Plan(
        model="Test",
        framework="torch",
        policy="test",
        seed=seed,
        stream=STREAM_VERSION,
        entries=tuple(entries),
    )


def small() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def bits(model: nn.Module) -> dict[str, bytes]:
    return {
        t.name: t.tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        for t in named_tensors(model)
        if t.tensor.numel()
    }


def test_values_are_those_of_sample() -> None:
    model = small()
    write(model, plan_of(model))
    want = fanin.sample(Normal(std=0.5), (5, 6), seed=5, name="0.weight")
    assert torch.equal(model[0].weight, torch.from_numpy(want))


def test_kept_tensors_and_buffers_are_untouched() -> None:
    model = small()
    model[1].running_mean.fill_(3.0)
    plan = plan_of(model)
    kept = replace(plan, entries=tuple(replace(e, draw=None) if "2." in e.name else e for e in plan.entries))
    before = bits(model)
    write(model, kept)
    after = bits(model)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_twice_is_once() -> None:
    model = small()
    write(model, plan_of(model))
    once = bits(model)
    write(model, plan_of(model))
    assert bits(model) == once


@pytest.mark.parametrize("draw", [Constant(value=2.5), Normal(std=0.5)])
def test_scalars_are_written_where_they_are(draw: Draw) -> None:
    model = nn.Module()
    model.gate = nn.Parameter(torch.tensor(7.0))
    write(model, plan_of(model, gate=draw))
    assert model.gate.item() == float(fanin.sample(draw, (), seed=5, name="gate"))


def test_another_seed_is_other_values() -> None:
    model = small()
    write(model, plan_of(model))
    once = bits(model)
    write(model, plan_of(model, seed=6))
    drawn = [name for name in once if "running" not in name and "num_batches" not in name]
    assert all(bits(model)[name] != once[name] for name in drawn)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_narrow_and_wide_types_are_rounded_once(dtype: torch.dtype) -> None:
    model = nn.Linear(6, 5).to(dtype)
    write(model, plan_of(model))
    want = fanin.sample(Normal(std=0.5), (5, 6), seed=5, name="weight", dtype="float64")
    exact = torch.from_numpy(want)
    spacing = torch.finfo(dtype).eps if dtype != torch.float64 else 1e-15
    assert model.weight.dtype == dtype
    # Half a unit in the last place, and what float32 adds before it.
    assert bool(((model.weight.double() - exact).abs() <= (0.5 * spacing + 2e-6) * exact.abs() + 1e-7).all())


def test_float8_bit_patterns() -> None:
    model = nn.Module()
    weight = torch.zeros(4, 8).to(torch.float8_e4m3fn)
    model.weight = nn.Parameter(weight, requires_grad=False)
    write(model, plan_of(model))
    want = fanin.sample(Normal(std=0.5), (4, 8), seed=5, name="weight", dtype="float8_e4m3fn")
    assert model.weight.view(torch.uint8).numpy().tobytes() == want.view("uint8").tobytes()
    assert float(model.weight.float().std()) > 0.3


def test_orthogonal_matrices_in_16_bits() -> None:
    model = nn.Linear(8, 8, bias=False).to(torch.bfloat16)
    write(model, plan_of(model, weight=Orthogonal(gain=1.0, std=8**-0.5)))
    product = model.weight.float() @ model.weight.float().T
    # Each of 8 products of two rounded numbers is off by at most 2 * 2^-9.
    assert torch.allclose(product, torch.eye(8), atol=8 * 2.0**-8)


def test_tied_weights_are_one_tensor() -> None:
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7, bias=False))
    model[1].weight = model[0].weight
    plan = plan_of(model)
    assert [e.aliases for e in plan.entries] == [("1.weight",)]
    write(model, plan)
    assert model[1].weight is model[0].weight


def test_the_padding_row_is_zero() -> None:
    model = nn.Embedding(7, 4, padding_idx=2)
    plan = plan_of(model)
    write(model, replace(plan, entries=(replace(plan.entries[0], zeroed=2),)))
    assert model.weight[2].tolist() == [0.0] * 4
    assert int((model.weight == 0).sum()) == 4


def test_memory_layout_changes_no_value() -> None:
    plain, odd = nn.Conv2d(4, 6, 3, bias=False), nn.Conv2d(4, 6, 3, bias=False)
    odd.to(memory_format=torch.channels_last)
    for model in (plain, odd):
        write(model, plan_of(model))
    assert not odd.weight.is_contiguous()
    assert torch.equal(plain.weight, odd.weight)


def test_wrappers_change_no_value() -> None:
    plain, wrapped = small(), nn.DataParallel(small())
    compiled = torch.compile(small(), backend="eager")
    plan = plan_of(plain)
    for model in (plain, wrapped, compiled):
        write(model, plan)
    assert bits(wrapped) == bits(plain) == bits(compiled)


def test_order_of_registration_changes_no_value() -> None:
    one, two = nn.Module(), nn.Module()
    for model, names in ((one, "ab"), (two, "ba")):
        for name in names:
            model.add_module(name, nn.Linear(3, 3))
    write(one, plan_of(one))
    write(two, plan_of(two))
    assert torch.equal(one.a.weight, two.a.weight)
    assert not torch.equal(one.a.weight, one.b.weight)


def test_parametrised_weights_are_written_underneath() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4, bias=False))
    plan = plan_of(layer)
    names = [e.name for e in plan.entries]
    assert names == ["parametrizations.weight.original0", "parametrizations.weight.original1"]
    write(layer, plan)
    want = fanin.sample(Normal(std=0.5), (4, 4), seed=5, name=names[1])
    assert torch.equal(layer.parametrizations.weight.original1, torch.from_numpy(want))


def test_autograd_notices_and_gradients_stay() -> None:
    model = nn.Linear(3, 3)
    model.weight.grad = torch.ones(3, 3)
    loss = (model.weight**2).sum()
    version, identity = model.weight._version, id(model.weight)
    write(model, plan_of(model))
    assert model.weight._version > version
    assert id(model.weight) == identity
    assert float(model.weight.grad.sum()) == 9.0
    assert model.weight.requires_grad
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def with_matrices(plan: Plan) -> Plan:
    """The plan with orthogonal matrices, which are staged, and vectors, which are drawn in place."""
    matrix = Orthogonal(gain=1.0, std=0.5)
    return replace(
        plan, entries=tuple(replace(e, draw=matrix) if len(e.shape) == 2 else e for e in plan.entries)
    )


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("after", [False, True])
def test_a_failure_half_way_puts_everything_back(
    monkeypatch: Any, error: type[BaseException], after: bool
) -> None:
    """An exception before or after each single copy of what is staged leaves every bit as it was."""
    monkeypatch.setattr(committing, "_PART", 7)
    copy, half_done = torch.Tensor.copy_, 0
    for last in range(1, 1000):
        model = small()
        # Matrices are staged; the vectors beside them go in place, after all that can fail.
        plan, before, calls = with_matrices(plan_of(model)), bits(model), 0

        def failing(
            self: torch.Tensor, source: torch.Tensor, *, last: int = last, model: nn.Module = model
        ) -> torch.Tensor:
            nonlocal calls, half_done
            calls += 1
            if calls == last and not after:
                raise error("power cut")
            result = copy(self, source)
            if calls == last:
                half_done += bits(model) != before  # noqa: B023 - called within this turn of the loop
                raise error("power cut")
            return result

        monkeypatch.setattr(torch.Tensor, "copy_", failing)
        try:
            write(model, plan)
        except error:
            monkeypatch.setattr(torch.Tensor, "copy_", copy)
            assert bits(model) == before, last
        else:
            monkeypatch.setattr(torch.Tensor, "copy_", copy)
            break
    # Two matrices in parts of 7: each part is copied twice.
    assert calls == 2 * sum(-(-n // 7) for n in (30, 15))
    assert last == calls + 1
    assert bits(model) != before
    if after:
        assert half_done == calls


def test_an_interrupt_waits_until_all_numbers_are_in(monkeypatch: Any) -> None:
    done, interrupted = small(), small()
    write(done, plan_of(done))
    ready, calls = committing.ready, 0

    def interrupt(draw: Callable[[], None]) -> None:
        nonlocal calls
        calls += 1
        # Python's handlers run between its own steps: after the first, and after the kernel's return.
        signal.raise_signal(signal.SIGINT)
        draw()
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(committing, "ready", lambda *a, **k: partial(interrupt, ready(*a, **k)))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        write(interrupted, plan_of(interrupted))
    assert calls == 1
    assert bits(interrupted) == bits(done)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_while_matrices_are_exchanged_waits_too(monkeypatch: Any) -> None:
    done, interrupted = small(), small()
    write(done, with_matrices(plan_of(done)))
    swap = committing.exchange

    def interrupt(pairs: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        swap(pairs)

    monkeypatch.setattr(committing, "exchange", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(interrupted, with_matrices(plan_of(interrupted)))
    assert bits(interrupted) == bits(done)


def test_other_threads_write_too() -> None:
    one, two = small(), small()
    write(one, plan_of(one))
    thread = threading.Thread(target=write, args=(two, plan_of(two)))
    thread.start()
    thread.join()
    assert bits(one) == bits(two)


def test_writing_takes_no_second_copy_of_the_model() -> None:
    layer = nn.Linear(1024, 1024, bias=False)
    plan = plan_of(layer)
    tracemalloc.start()
    write(layer, plan)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < layer.weight.nbytes / 4


def test_a_draw_that_cannot_be_made_changes_nothing() -> None:
    model = small()
    plan = plan_of(model)
    bad = replace(plan.entries[-1], draw=Constant(value=float("nan")))
    before = bits(model)
    with pytest.raises(InputError):
        write(model, replace(plan, entries=(*plan.entries[:-1], bad)))
    assert bits(model) == before


def broken(model: nn.Module, what: str) -> tuple[nn.Module, Plan]:
    plan = plan_of(model)
    first = plan.entries[0]
    match what:
        case "absent":
            return model, replace(plan, entries=(*plan.entries, replace(first, name="extra")))
        case "unplanned":
            return model, replace(plan, entries=plan.entries[1:])
        case "twice":
            return model, replace(plan, entries=(first, *plan.entries))
        case "shape":
            return model, replace(plan, entries=(replace(first, shape=(6, 5)), *plan.entries[1:]))
        case "dtype":
            return model.half(), plan
        case "stream":
            return model, replace(plan, stream=99)
        case "row":
            return model, replace(plan, entries=(replace(first, zeroed=5), *plan.entries[1:]))
        case _:
            return model.to("meta"), plan


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("absent", r"is for another model. Received: not in the model: extra"),
        ("unplanned", r"not in the plan: 0.weight"),
        ("twice", r"planned twice: 0.weight"),
        ("shape", r"'0.weight' has another shape than in the plan. Received: \(5, 6\) in the model"),
        ("dtype", r"'0.weight' has another dtype than in the plan. Received: float16 in the model"),
        ("stream", r"another version of the random streams. Received: stream 99"),
        ("row", r"no row that can be zeroed. Received: row 5 of shape \(5, 6\)"),
        ("meta", r"tensors without memory.*apply_\(model, plan, device='cpu'\)"),
    ],
)
def test_plans_that_do_not_fit(what: str, message: str) -> None:
    model, plan = broken(small(), what)
    with pytest.raises(InputError, match=message):
        write(model, plan)


def test_tensors_that_cannot_be_written() -> None:
    model = nn.Module()
    model.weight = nn.Parameter(torch.zeros(1, 4).expand(3, 4))
    with pytest.raises(InputError, match="an expanded tensor"):
        write(model, plan_of(model))
    with torch.inference_mode():
        model.weight = nn.Parameter(torch.zeros(3, 4))
    with pytest.raises(InputError, match="inference_mode"):
        write(model, plan_of(model))
    model.weight = nn.Parameter(torch.zeros(3, 4, dtype=torch.int8), requires_grad=False)
    with pytest.raises(InputError, match=r"'weight' cannot hold a drawn weight. Received: dtype int8"):
        write(model, plan_of(model))


@pytest.mark.parametrize(("model", "plan"), [(None, None), (nn.Linear(1, 1), "plan.json")])
def test_what_is_no_model_or_no_plan(model: Any, plan: Any) -> None:
    with pytest.raises(InputError, match=r"no model to write to|no plan to carry out.*Plan.load"):
        write(model, plan)


def test_cleared_random_state_is_untouched() -> None:
    model = small()
    torch.manual_seed(1)
    want = torch.rand(3)
    torch.manual_seed(1)
    write(model, plan_of(model))
    assert torch.equal(torch.rand(3), want)
