"""Models and batches that do what tutorials do not."""

from __future__ import annotations

import random
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

Made = tuple[nn.Module, tuple[Any, ...]]
ODD: dict[str, Callable[[], Made]] = {}


def odd(make: Callable[[], Made]) -> Callable[[], Made]:
    ODD[make.__name__.rstrip("_")] = make
    return make


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


def batch(samples: int = 32) -> torch.Tensor:
    return torch.randn(samples, 8, generator=torch.Generator().manual_seed(0))


class Does(nn.Module):
    """Runs a function of itself and its inputs, with parts."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self, *args, **kwargs)


def does(function: Callable[..., Any]) -> Does:
    """A module that runs a function of itself, with `net`, and its inputs."""
    return Does(function, net=net())


def around(wrap: Callable[[nn.Sequential], nn.Module]) -> Callable[[], Made]:
    return lambda: (wrap(net()), (batch(),))


def parametrised(wrap: Callable[[nn.Module], Any]) -> Callable[[], Made]:
    def make() -> Made:
        model = net()
        wrap(model[0])
        return model, (batch(),)

    return make


ODD |= {
    "averaged": around(torch.optim.swa_utils.AveragedModel),
    "exported": around(lambda m: torch.export.export(m, (batch(),)).module()),
    "fx traced": around(torch.fx.symbolic_trace),
    "scripted": around(torch.jit.script),
    "compiled in place": around(lambda m: (m.compile(backend="eager"), m)[1]),
    "frozen": around(lambda m: m.requires_grad_(False)),
    "expm": parametrised(lambda m: parametrizations.orthogonal(m, orthogonal_map="matrix_exp")),
    "cayley": parametrised(lambda m: parametrizations.orthogonal(m, orthogonal_map="cayley")),
    "householder": parametrised(lambda m: parametrizations.orthogonal(m, orthogonal_map="householder")),
    "plain householder": parametrised(lambda m: parametrizations.orthogonal(m, use_trivialization=False)),
    "pruned": parametrised(lambda m: prune.random_unstructured(m, "weight", 0.5)),
}


class Lora(nn.Module):
    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, 2, bias=False)
        self.up = nn.Linear(2, base.out_features, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.base(x) + 2.0 * self.up(self.down(x))
        return out


@odd
def adapter() -> Made:
    return nn.Sequential(Lora(nn.Linear(8, 16)), nn.ReLU(), Lora(nn.Linear(16, 3))), (batch(),)


def _recomputed(reentrant: bool) -> Made:
    inner = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.ReLU())
    model = Does(
        lambda m, x: m.last(checkpoint(m.inner, m.first(x), use_reentrant=reentrant)),
        first=nn.Linear(8, 8), inner=inner, last=nn.Linear(16, 3),
    )  # fmt: skip
    return model, (batch(),)


ODD["checkpointed"] = lambda: _recomputed(False)
ODD["checkpointed, reentrant"] = lambda: _recomputed(True)


@odd
def mixed_precision() -> Made:
    def run(m: Any, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            out: torch.Tensor = m.net(x)
        return out

    return Does(run, net=net()), (batch(),)


@odd
def eight_bits() -> Made:
    weight = nn.Parameter(torch.randn(16, 8).to(torch.float8_e4m3fn), requires_grad=False)
    return Does(lambda m, x: m.o(torch.relu(x @ m.w.float().T)), w=weight, o=nn.Linear(16, 3)), (batch(),)


@odd
def complex_numbers() -> Made:
    layers = [nn.Linear(8, 16, dtype=torch.complex64), nn.Linear(16, 3, dtype=torch.complex64)]
    return nn.Sequential(*layers), (batch().to(torch.complex64),)


@odd
def sparse_gradients() -> Made:
    return nn.Sequential(nn.Embedding(11, 8, sparse=True), net()), (torch.arange(11).repeat(3).view(3, 11),)


@odd
def short_rows() -> Made:
    return nn.Sequential(nn.Embedding(11, 8, max_norm=0.5), net()), (torch.arange(11).repeat(3).view(3, 11),)


@odd
def changes_its_inputs() -> Made:
    def run(m: Any, given: dict[str, Any], extra: Any) -> torch.Tensor:
        x = given.pop("x").mul_(2.0).add_(1.0)
        given["seen"], extra.x, extra.new = x, extra.x * 2.0, 3
        out: torch.Tensor = m.net(x + extra.x)
        return out

    return Does(run, net=net()), ({"x": batch()}, types.SimpleNamespace(x=batch(), deep={"y": [batch()]}))


@odd
def changes_itself() -> Made:
    def run(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.runs += 1
        m.seen.append(m.runs)
        m.count += 1
        m.net[0].weight.data.mul_(0.5)
        m.net[2].requires_grad_(False)
        m.late = nn.Parameter(torch.ones(()))
        m.train(not m.training)
        out: torch.Tensor = m.net(x)
        m.net[0].bias.grad = torch.ones(16)
        return out

    model = Does(run, net=net(), runs=0, seen=[])
    model.register_buffer("count", torch.zeros((), dtype=torch.long))
    return model, (batch(),)


@odd
def changes_settings() -> Made:
    def run(m: Any, x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        random.seed(0)
        out: torch.Tensor = m.net(x)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return out

    return Does(run, net=net()), (batch(),)


@odd
def goes_backward() -> Made:
    def run(m: Any, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = m.net(x)
        out.sum().backward(retain_graph=True)
        return out

    model = Does(run, net=net())
    model(batch())
    return model, (batch(),)


@odd
def observed() -> Made:
    wrapped = nn.Sequential(torch.ao.quantization.QuantStub(), net(), torch.ao.quantization.DeQuantStub())
    wrapped.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    prepared: nn.Module = torch.ao.quantization.prepare_qat(wrapped.train())
    return prepared, (batch(),)


@odd
def knows_its_parent() -> Made:
    model = Does(lambda m, x: m.net(x), net=net())
    model.net.add_module("parent", model)
    model.net.forward = lambda x: model.net[2](torch.relu(model.net[0](x)))  # type: ignore[method-assign]
    return model, (batch(),)


@odd
def odd_names() -> Made:
    first, last = nn.Linear(8, 16), nn.Linear(16, 3)
    model = Does(lambda m, x: m._modules["b.c"](m._modules["größe"](m._modules["<script>"](x))))
    model._modules |= {"<script>": first, "größe": nn.ReLU(), "b.c": last}
    return model, (batch(),)


@odd
def odd_tensors() -> Made:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            both = torch.randn(8, 32)
            self.left, self.right = nn.Parameter(both[:, ::2]), nn.Parameter(both[:, 1::2])
            self.turned, self.scale = nn.Parameter(torch.randn(3, 16).T), nn.Parameter(torch.tensor(1.0))
            self.none = nn.Parameter(torch.zeros(0, 8))
            self.register_buffer("wide", torch.zeros(1, 8).expand(4, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.cat([x + self.wide[:1], self.none])
            out: torch.Tensor = self.scale * (torch.relu(x @ self.left) + x @ self.right) @ self.turned
            return out

    return Odd(), (batch(),)


@odd
def nested() -> Made:
    inner: nn.Module = nn.Linear(8, 8)
    for _ in range(220):
        inner = Does(lambda m, x: m.inner(x), inner=inner)
    return nn.Sequential(inner, net()), (batch(),)
