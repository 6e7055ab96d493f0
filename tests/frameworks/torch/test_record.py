"""Recording: every operator is seen, and the model is afterwards what it was, bit for bit."""

from __future__ import annotations

import random
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from fanin.errors import InputError, ModelError
from fanin.torch.inputs import as_call
from fanin.torch.names import named_tensors
from fanin.torch.record import record

ENGINES: tuple[Literal["fake", "real"], ...] = ("fake", "real")


class Restless(nn.Module):
    """A model that changes everything that a forward pass can change."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3)
        self.norm = nn.BatchNorm1d(4)
        self.spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
        self.table = nn.Embedding(10, 4, max_norm=0.1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)
        self.register_buffer("steps", torch.zeros(4))
        self.count = 0
        self.kept: torch.Tensor | None = None
        self.log: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        self.kept = x
        self.log.append(x)
        self.steps = self.steps + 1
        random.random()  # noqa: S311
        np.random.rand()  # noqa: NPY002
        y = self.drop(self.norm(self.conv(x))).mean(-1)
        y = self.spectral(y) + self.table(torch.tensor([1, 2]))
        out: torch.Tensor = self.head(y)
        return out


def snapshot(model: Restless) -> dict[str, Any]:
    return {
        "bits": {name: value.numpy().tobytes() for name, value in model.state_dict().items()},
        "objects": [id(value) for value in (*model.parameters(), *model.buffers())],
        "plain": (model.count, model.kept, list(model.log), model.training),
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": str(np.random.get_state(legacy=False)["state"]),  # noqa: NPY002
        "python": random.getstate(),
    }


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_left_behind(engine: Literal["fake", "real"], training: bool) -> None:
    model = Restless().train(training)
    before = snapshot(model)
    record(model, (torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0)),), {}, engine=engine)
    assert snapshot(model) == before


def test_the_comparison_sees_a_run_that_is_not_undone() -> None:
    model = Restless()
    before = snapshot(model)
    model(torch.randn(2, 3, 8))
    after = snapshot(model)
    assert [key for key in before if before[key] != after[key]] == [
        "bits",
        "objects",
        "plain",
        "torch",
        "numpy",
        "python",
    ]


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (Restless(), (2, 3, 8)),
        (nn.LSTM(3, 4, 2, bidirectional=True), (5, 2, 3)),
        (nn.GRU(3, 4), (5, 2, 3)),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 3, 8)),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), (2, 3, 8)),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(inplace=True)), (2, 3, 8, 8)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_both_engines_run_the_same_operators(model: nn.Module, shape: tuple[int, ...]) -> None:
    runs = [record(model, (torch.ones(shape),), {}, engine=engine) for engine in ENGINES]
    assert [(op.name, op.shape, op.module) for op in runs[0].ops] == [
        (op.name, op.shape, op.module) for op in runs[1].ops
    ]


def test_a_model_on_meta_is_recorded_without_memory() -> None:
    with torch.device("meta"):
        # 40 GB in float32, were they real.
        model = nn.Sequential(nn.Linear(100_000, 50_000), nn.ReLU(), nn.Linear(50_000, 100_000))
    run = record(model, (torch.zeros(1, 100_000),), {}, engine="fake")
    assert run.ops[-1].shape == (1, 100_000)
    assert all(parameter.is_meta for parameter in model.parameters())


def test_a_real_run_on_meta_borrows_random_numbers_and_leaves_the_model_on_meta() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    run = record(model, (torch.zeros(1, 3),), {}, engine="real")
    assert run.engine == "random tensors"
    assert all(parameter.is_meta for parameter in model.parameters())


def test_a_real_run_of_a_large_model_on_meta_is_refused_before_memory_is_taken() -> None:
    with torch.device("meta"):
        model = nn.Linear(100_000, 50_000)
    with pytest.raises(ModelError, match=r"18\.6 GiB.*Up to 4 GiB"):
        record(model, (torch.zeros(1, 100_000),), {}, engine="real")


def test_the_observer_sees_the_tensors_that_get_the_history() -> None:
    seen: dict[int, torch.Tensor] = {}
    changed: list[int] = []

    class Watcher:
        def after(self, id: int, output: torch.Tensor) -> None:
            seen[id] = output

        def before_mutation(self, id: int, tensor: torch.Tensor) -> None:
            changed.append(id)
            assert bool((tensor < 0).any())

    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.BatchNorm1d(4), nn.Linear(4, 2))
    run = record(
        model,
        (torch.randn(8, 3, generator=torch.Generator().manual_seed(1)),),
        {},
        engine="real",
        observer=Watcher(),
    )
    hidden = next(op.id for op in run.ops if op.name == "aten.addmm.default")
    assert changed == [hidden]
    last = run.outputs[0].op
    assert last is not None
    gradients = torch.autograd.grad(seen[last].sum(), [seen[hidden], *model.parameters()], allow_unused=True)
    assert all(gradient is not None for gradient in gradients)


def test_paths_and_calls_follow_the_modules() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.inner(self.inner(x)) + 1
            return out

    ops = record(Twice(), (torch.zeros(1, 3),), {}, engine="fake").ops
    assert [(op.module, op.call) for op in ops if op.name == "aten.addmm.default"] == [
        ("inner.0", 0),
        ("inner.0", 1),
    ]
    assert ops[-1].module == ""


def test_a_failing_forward_names_the_module_and_repeats_the_models_own_words() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(5, 6)))
    with pytest.raises(ModelError) as caught:
        record(model, (torch.zeros(2, 3),), {}, engine="real")
    assert "module '1.0'" in str(caught.value)
    assert "mat1 and mat2 shapes cannot be multiplied (2x4 and 5x6)" in str(caught.value)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_function_is_no_model() -> None:
    with pytest.raises(InputError, match=r"There is no model to run. Received: 'function'"):
        record(lambda x: x, (torch.zeros(1),), {}, engine="fake")  # type: ignore[arg-type, return-value]


def test_a_lazy_module_is_told_to_run_first() -> None:
    with pytest.raises(ModelError, match=r"'weight' has no shape yet.*Run the model once"):
        record(nn.LazyLinear(3), (torch.zeros(1, 2),), {}, engine="fake")


def test_names_are_those_of_the_users_model() -> None:
    inner = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    names = [entry.name for entry in named_tensors(inner)]
    assert [entry.name for entry in named_tensors(nn.DataParallel(inner))] == names
    assert [entry.name for entry in named_tensors(torch.compile(inner, backend="eager"))] == names


def test_a_users_own_module_called_module_keeps_its_name() -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = nn.Linear(2, 2)

    assert [entry.name for entry in named_tensors(Holder())] == ["module.weight", "module.bias"]


def test_tied_tensors_are_one_entry() -> None:
    model = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3, bias=False), "c": nn.Linear(3, 3)})
    model["b"].weight = model["a"].weight
    model["c"].weight.data = model["a"].weight.data  # the same memory under another parameter
    (first, *others) = named_tensors(model)
    assert (first.name, first.aliases) == ("a.weight", ("b.weight", "c.weight"))
    assert [entry.name for entry in others] == ["a.bias", "c.bias"]


def test_parts_of_one_storage_are_not_tied() -> None:
    flat = torch.zeros(12)
    model = nn.ParameterDict({"a": nn.Parameter(flat[:6]), "b": nn.Parameter(flat[6:])})
    assert [entry.name for entry in named_tensors(model)] == ["a", "b"]


def test_a_mapping_is_keyword_inputs() -> None:
    assert as_call(({"x": 1},)) == ((), {"x": 1})
    assert as_call((1, {"x": 1})) == ((1, {"x": 1}), {})
    with pytest.raises(InputError, match="Keyword inputs need names"):
        as_call(({0: 1},))
