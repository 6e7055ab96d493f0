"""Drop-ins in compiled functions: the bits, seeds and errors of eager code, in one graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import fanin.torch as ft
from fanin.errors import InputError
from fanin.records.axes import Axes, Role

# The compiler calls old functions of its own; inductor says that it leaves complex tensors to PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore")
BACKENDS = ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
GROUPED = Axes(roles=(Role.OUT, Role.IN, Role.RECEPTIVE), groups=2)
CALLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "normal_": lambda t: ft.normal_(t, 0.1, 2, seed=3, name="w"),
    "uniform_": lambda t: ft.uniform_(t, a=-1, b=1.5, seed=2**64 - 1),
    "trunc_normal_": lambda t: ft.trunc_normal_(t, b=float("inf"), seed=3),
    "kaiming_normal_": lambda t: ft.kaiming_normal_(t, mode="fan_out", nonlinearity="relu", seed=3),
    "xavier_uniform_": lambda t: ft.xavier_uniform_(tensor=t, gain=2.0, seed=3, name="line\nbreak = ë"),
    "orthogonal_": lambda t: ft.orthogonal_(t, seed=3),
    "sparse_": lambda t: ft.sparse_(t.flatten(1), 0.5, seed=3),
    "he_normal_": lambda t: ft.he_normal_(t, "gelu", seed=3),
    "grouped": lambda t: ft.he_normal_(t, axes=GROUPED, seed=3),
    "words": lambda t: ft.glorot_truncated_normal_(t, axes=("in", "out", "receptive"), seed=3),
    "zeros_": ft.zeros_,
    "constant_": lambda t: ft.constant_(t, 0.1),
    "dirac_": lambda t: ft.dirac_(t, 2),
    "eye_": lambda t: ft.eye_(t[0]),
}


def compiled(function: Callable[..., Any], backend: str) -> Callable[..., Any]:
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CALLS)
def test_the_bits_of_eager_code(name: str, backend: str) -> None:
    want, got = (torch.zeros(4, 6, 3) for _ in range(2))
    CALLS[name](want)
    # The result is used, and so is the tensor that was changed.
    result = compiled(lambda t: CALLS[name](t) + t.max(), backend)(got)
    assert torch.equal(got, want)
    assert torch.equal(result, CALLS[name](torch.zeros(4, 6, 3)) + want.max())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float64, torch.float8_e5m2, torch.complex64, torch.complex128]
)
def test_other_dtypes_and_memory(dtype: torch.dtype, backend: str) -> None:
    def draw(t: torch.Tensor) -> torch.Tensor:
        ft.normal_(t[1:].T, seed=1)
        ft.orthogonal_(t[:, :2], seed=2)
        return t.clone()

    want = draw(torch.zeros(4, 6, dtype=dtype))
    got = torch.zeros(4, 6, dtype=dtype)
    result = compiled(draw, backend)(got)
    for tensor in (got, result):
        assert torch.equal(tensor.view(torch.uint8), want.view(torch.uint8))


@pytest.mark.parametrize("backend", BACKENDS)
def test_seeds_come_from_pytorch(backend: str) -> None:
    def two() -> tuple[torch.Tensor, torch.Tensor]:
        # Alike, but for the seeds that are drawn: no compiler may take one for the other.
        first, second = torch.zeros(3, 4), torch.zeros(3, 4)
        return ft.normal_(first), ft.normal_(second)

    torch.manual_seed(5)
    want = two()
    after = torch.rand(3)
    torch.manual_seed(5)
    got = compiled(two, backend)()
    assert torch.equal(torch.rand(3), after)
    assert not torch.equal(*want)
    for one, other in zip(want, got, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_that_fills_itself(backend: str) -> None:
    layer = nn.Linear(5, 6)

    def step(x: torch.Tensor, std: float, seed: int) -> torch.Tensor:
        ft.normal_(layer.weight, std=std, seed=seed)
        return layer(x)  # type: ignore[no-any-return]

    run = compiled(step, backend)
    x = torch.ones(2, 5)
    # From the second call on the numbers are symbols of the graph, which is compiled no third time.
    for std, seed in ((0.1, 1), (0.2, 2), (0.3, 2**63 - 1), (0.4, 4)):
        out = run(x, std, seed)
        weight = ft.normal_(torch.empty(6, 5), std=std, seed=seed)
        assert torch.equal(layer.weight, weight)
        torch.testing.assert_close(out, nn.functional.linear(x, weight, layer.bias))
    out.sum().backward()
    assert torch.equal(layer.bias.grad, torch.full((6,), 2.0))  # type: ignore[arg-type]
    assert layer.weight.requires_grad


@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_are_said_when_the_graph_runs(backend: str) -> None:
    run = compiled(lambda t: ft.normal_(t, std=-1.0), backend)
    with pytest.raises(InputError, match="must be positive"):
        run(torch.zeros(3))
    run = compiled(lambda t: ft.he_normal_(t, "no such"), backend)
    with pytest.raises(InputError, match="no such"):
        run(torch.zeros(3, 3))
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("backend", BACKENDS)
def test_meta_and_empty_tensors(backend: str) -> None:
    run = compiled(lambda t: ft.normal_(t, seed=1), backend)
    assert run(torch.empty(3, device="meta")).is_meta
    assert run(torch.empty(0, 3)).shape == (0, 3)


def test_what_is_no_argument_of_an_operator_runs_outside() -> None:
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    torch.compiler.reset()
    run = torch.compile(lambda t: ft.normal_(t, generator=generators[0]) * 2, backend="eager")
    assert torch.equal(run(torch.zeros(5)), ft.normal_(torch.zeros(5), generator=generators[1]) * 2)
    torch.compiler.reset()
    run = torch.compile(lambda t: ft.he_normal_(t, math.tanh, seed=1), backend="eager")
    assert torch.equal(run(torch.zeros(5, 5)), ft.he_normal_(torch.zeros(5, 5), math.tanh, seed=1))


def test_export() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return ft.normal_(torch.empty(3, 3), seed=5) + x

    program = torch.export.export(Model(), (torch.zeros(3, 3),))
    assert any("fanin.draw_" in str(node.target) for node in program.graph.nodes)
    assert torch.equal(program.module()(torch.ones(3, 3)), ft.normal_(torch.empty(3, 3), seed=5) + 1)


def test_the_operator_keeps_its_contract() -> None:
    # PyTorch's own test: the schema says what is changed, and tracing agrees with running.
    arguments = (torch.zeros(3, 4), "normal_", "std=real\nseed=whole", [0.5], [3])
    torch.library.opcheck(torch.ops.fanin.draw_.default, arguments)
    torch.ops.fanin.draw_(*arguments)
    assert torch.equal(arguments[0], ft.normal_(torch.zeros(3, 4), std=0.5, seed=3))
