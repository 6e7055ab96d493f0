"""What models do with their tensors: parametrisations, wrappers, marks, odd memory."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import fanin.torch
from fanin.errors import ModelError
from fanin.records.plan import Status

WIDTH = 256
BATCH = torch.zeros(2, WIDTH)
HE = math.sqrt(2.0 / WIDTH)
Z = 6.0
"""Two-sided 1e-9, rounded down."""
BAND = Z / math.sqrt(2.0 * WIDTH**2)
"""Relative error of the std of a square weight."""


def around(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, nn.ReLU(), nn.Linear(WIDTH, 8))


def linear() -> nn.Linear:
    return nn.Linear(WIDTH, WIDTH)


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * self.factor


class Standardised(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return (weight - weight.mean(1, keepdim=True)) / (weight.std(1, keepdim=True) * math.sqrt(WIDTH))


class Cubed(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight**3


class Failing(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        if not isinstance(weight, nn.Parameter) and not torch.is_grad_enabled():
            raise RuntimeError("only for training")
        return weight


def parametrised(how: nn.Module) -> nn.Linear:
    layer = linear()
    parametrize.register_parametrization(layer, "weight", how, unsafe=True)
    return layer


@pytest.mark.parametrize(
    "make",
    [
        linear,
        lambda: parametrizations.weight_norm(linear()),
        lambda: nn.utils.weight_norm(linear()),
        lambda: parametrised(Times(2.0)),
        lambda: parametrised(Times(0.1)),
    ],
    ids=["plain", "weight_norm", "old weight_norm", "doubled", "a tenth"],
)
def test_the_effective_weight_has_the_planned_law(make: Callable[[], nn.Linear]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        layer = make()
    model = around(layer)
    fanin.torch.init_(model, BATCH)
    model(BATCH)
    assert float(layer.weight.detach().std()) == pytest.approx(HE, rel=BAND + 0.001)
    assert abs(float(layer.weight.detach().mean())) < Z * HE / WIDTH


def test_a_factor_is_told_and_taken_back() -> None:
    plan = fanin.torch.plan(around(parametrised(Times(2.0))), BATCH)
    name = "0.parametrizations.weight.original"
    assert plan[name].std == pytest.approx(HE / 2.0, rel=1e-6)
    assert "multiplies the std by 2 " in plan.why(name)


def test_other_parametrisations_are_told() -> None:
    name = "0.parametrizations.weight.original"
    plan = fanin.torch.plan(around(parametrised(Standardised())), BATCH)
    assert "whatever its scale" in plan.why(name)
    plan = fanin.torch.plan(around(parametrised(Cubed())), BATCH)
    assert "not linear" in plan.why(name)
    plan = fanin.torch.plan(around(parametrised(Failing())), BATCH)
    assert "could not be tried" in plan.why(name)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("kind", ["linear", "convolution", "transposed"])
@pytest.mark.parametrize("meta", [False, True])
def test_spectral_norms_follow_the_new_weight(old: bool, kind: str, meta: bool) -> None:
    made: nn.Module = linear()
    batch = BATCH
    with torch.device("meta" if meta else "cpu"):
        if kind != "linear":
            channels = nn.Conv1d if kind == "convolution" else nn.ConvTranspose1d
            made, batch = channels(24, 32, 3), torch.zeros(1, 24, 9)
        else:
            made = linear()
        layer = (nn.utils.spectral_norm if old else parametrizations.spectral_norm)(made)
        model = nn.Sequential(layer)
    plan = fanin.torch.init_(model, batch, device="cpu" if meta else None)
    model.eval()
    model(batch)
    weight = layer.weight.detach()
    matrix = (weight.transpose(0, 1) if kind == "transposed" else weight).flatten(1)
    # The power method of a random matrix, a hundred steps on.
    assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(1.0, abs=0.01)
    vectors = [e for e in plan.entries if e.buffer]
    assert len(vectors) == 2
    assert all("computed again" in e.reason for e in vectors)


def test_a_spectral_norm_over_a_frozen_weight_is_left_alone() -> None:
    layer = parametrizations.spectral_norm(linear())
    layer.parametrizations.weight.original.requires_grad_(False)
    before = copy.deepcopy(layer.state_dict())
    fanin.torch.init_(around(layer), BATCH)
    after = layer.state_dict()
    assert all(
        torch.equal(after[name], value) for name, value in before.items() if "parametrizations" in name
    )


@pytest.fixture
def group() -> Iterator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))


X = torch.zeros(1, 8)


def distributed(model: nn.Module) -> nn.Module:
    return nn.parallel.DistributedDataParallel(model)


def checkpointed(model: nn.Module) -> nn.Module:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    return nn.Sequential(*(checkpoint_wrapper(layer) for layer in model))


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "data parallel": nn.DataParallel,
    "distributed": distributed,
    "compiled": lambda m: torch.compile(m, backend="eager"),
    "compiled and distributed": lambda m: torch.compile(distributed(m), backend="eager"),
    "checkpointed": checkpointed,
    "scripted": torch.jit.script,
    "traced": lambda m: torch.jit.trace(m, X),
}


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrappers_change_no_name_and_no_value(wrap: Callable[[nn.Module], nn.Module]) -> None:
    plain = net()
    plan = fanin.torch.init_(plain, X, seed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = wrap(net())
        made = fanin.torch.init_(wrapped, X, seed=3)
    assert [e.name for e in made.entries] == [e.name for e in plan.entries]
    for a, b in zip(plain.parameters(), wrapped.parameters(), strict=True):
        assert torch.equal(a, b)


def test_marked_and_frozen_tensors_are_left() -> None:
    model = net()
    model[0].weight.requires_grad_(False)
    model[2].weight._is_hf_initialized = True
    before = [model[0].weight.clone(), model[2].weight.clone()]
    plan = fanin.torch.init_(model, X)
    assert torch.equal(model[0].weight, before[0])
    assert torch.equal(model[2].weight, before[1])
    assert [plan[name].status for name in ("0.weight", "2.weight")] == [Status.KEPT] * 2
    assert float(model[0].bias.detach().abs().max()) == 0.0


def test_copies_of_a_layer_are_drawn_anew() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    first = [one.linear1.weight for one in model.layers]
    assert torch.equal(first[0], first[1])
    fanin.torch.init_(model, torch.zeros(1, 4, 16))
    assert not any(torch.equal(first[0], other) for other in first[1:])


def test_twice_is_once() -> None:
    model = around(parametrizations.spectral_norm(linear()))
    plan = fanin.torch.init_(model, BATCH)
    once = copy.deepcopy(model.state_dict())
    assert fanin.torch.init_(model, BATCH).diff(plan).changes == ()
    assert all(torch.equal(value, once[name]) for name, value in model.state_dict().items())


def test_hooks_that_change_outputs_are_part_of_the_model() -> None:
    model = net()
    model[0].register_forward_hook(lambda _module, _given, output: output * 3.0)
    plan = fanin.torch.plan(model, X)
    # Three times the output before a ReLU: a third of He's gain.
    assert plan["0.weight"].std == pytest.approx(math.sqrt(2.0 / 8.0) / 3.0, rel=1e-6)


class Raising(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x))


def quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(net(), {nn.Linear}, torch.qint8)


def sparse(layout: str) -> nn.Module:
    model = net()
    model[0].weight = nn.Parameter(getattr(torch.eye(12, 8), layout)())
    return model


def thoughtless() -> nn.Module:
    with torch.inference_mode():
        return net()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Sequential(Raising()), ModelError, r"failed in module '0.b'.*mat1 and mat2 shapes"),
        (
            lambda: nn.Sequential(nn.LazyLinear(4)),
            ModelError,
            r"'0.weight' has no shape yet.*Run the model once",
        ),
        (quantised, ModelError, r"Module '0' is quantised.*quantise it then"),
        (lambda: sparse("to_sparse"), ModelError, r"'0.weight' is not dense.*sparse_coo"),
        (lambda: sparse("to_sparse_csr"), ModelError, r"'0.weight' is not dense.*sparse_csr"),
        (thoughtless, ModelError, r"'0.weight' can never be written.*Build the model outside"),
    ],
)
def test_what_is_refused_with_the_place_and_the_remedy(
    make: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make()
    with pytest.raises(error, match=message):
        fanin.torch.init_(model, X)
