"""A check in JAX: the sick ones by name, as in PyTorch, and none of the healthy; every kind of model."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen, nnx
from torch import nn

import fanin.jax
import fanin.torch
from fanin.jax import passes, statistics
from fanin.jax.probe import measure
from fanin.records.finding import Severity
from fanin.records.graph import OpKind
from fanin.reports.report import Report

Weights = dict[str, Any]

X = np.random.default_rng(0).standard_normal((64, 16)).astype(np.float32)
Y = np.arange(64) % 10


def drawn(depth: int, gain: float, *, bias: float = 0.0) -> Weights:
    """Weights of He's law times a gain."""
    rng = np.random.default_rng(1)
    sizes = [16, *[64] * depth, 10]
    return {
        f"{k:02}": {
            "w": (rng.standard_normal((n, m)) * gain * (2 / n) ** 0.5).astype(np.float32),
            "b": np.full(m, bias if k < depth else 0.0, np.float32),
        }
        for k, (n, m) in enumerate(itertools.pairwise(sizes))
    }


def filled(value: float) -> Weights:
    return {k: {"w": np.full_like(v["w"], value), "b": v["b"]} for k, v in drawn(3, 1.0).items()}


def spoiled() -> Weights:
    found = drawn(3, 1.0)
    found["01"]["w"][3, 3] = np.nan
    return found


def without_head() -> Weights:
    found = drawn(3, 1.0)
    found["03"]["w"][:] = 0.0
    return found


def network(activation: Callable[[Any], Any], end: Callable[[Any], Any] = lambda x: x) -> Callable[..., Any]:
    def apply(p: Any, x: Any) -> Any:
        *hidden, last = sorted(p)
        for k in hidden:
            x = activation(x @ p[k]["w"] + p[k]["b"])
        return end(x @ p[last]["w"] + p[last]["b"])

    return apply


def as_torch(weights: Weights, activation: type[nn.Module], *end: nn.Module) -> nn.Module:
    layers: list[nn.Module] = []
    for value in weights.values():
        layer = nn.Linear(*value["w"].shape)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(value["w"].T))
            layer.bias.copy_(torch.tensor(value["b"]))
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1], *end)


RELU, TANH = (jax.nn.relu, nn.ReLU), (jnp.tanh, nn.Tanh)
CASES: dict[str, tuple[Weights, Any, list[str]]] = {
    "healthy": (drawn(4, 1.0), RELU, []),
    "constant": (filled(0.1), RELU, ["FAN201"]),
    "zeros": (filled(0.0), RELU, ["FAN201"]),
    "shrinks": (drawn(50, 1 / 2.449), RELU, ["FAN101"]),
    "saturated": (drawn(5, 6.0), TANH, ["FAN105"]),
    "dead": (drawn(4, 1.0, bias=-8.0), RELU, ["FAN104"]),
    "not a number": (spoiled(), RELU, ["FAN106"]),
    "a head of zeros": (without_head(), RELU, []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_sick_are_called_what_they_are_called_in_torch(case: str) -> None:
    weights, (here, there), expected = CASES[case]
    ours = fanin.jax.check(network(here), weights, X, target=Y).diagnosis
    theirs = fanin.torch.check(as_torch(weights, there), torch.tensor(X), target=torch.tensor(Y)).diagnosis
    assert [f.code for f in ours.findings] == expected
    assert [(f.code, f.severity) for f in ours.findings] == [(f.code, f.severity) for f in theirs.findings]
    # The same rules had something to say.
    assert {code for code, _ in ours.passed} == {code for code, _ in theirs.passed}


def test_a_softmax_before_the_loss() -> None:
    report = fanin.jax.check(network(jax.nn.relu, jax.nn.softmax), drawn(2, 1.0), X, target=Y)
    assert [f.code for f in report.findings] == ["FAN307"]


def alarms(report: Report) -> list[str]:
    return [f.code for f in report.findings if f.severity != Severity.INFO]


class Residual(linen.Module):
    """A residual block of public style."""

    width: int
    stride: int = 1

    @linen.compact
    def __call__(self, x: Any, *, train: bool) -> Any:
        def norm() -> Any:
            return linen.BatchNorm(use_running_average=not train, momentum=0.9)

        steps = (self.stride, self.stride)
        h = linen.relu(norm()(linen.Conv(self.width, (3, 3), steps, use_bias=False)(x)))
        h = norm()(linen.Conv(self.width, (3, 3), use_bias=False)(h))
        if x.shape != h.shape:
            x = norm()(linen.Conv(self.width, (1, 1), steps, use_bias=False)(x))
        return linen.relu(x + h)


class ResNet(linen.Module):
    """Two stages of it."""

    @linen.compact
    def __call__(self, x: Any, *, train: bool = True) -> Any:
        x = linen.relu(
            linen.BatchNorm(use_running_average=not train)(linen.Conv(8, (3, 3), use_bias=False)(x))
        )
        x = Residual(16, 2)(Residual(8)(x, train=train), train=train)
        return linen.Dense(10)(x.mean((1, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["own", "fanin"])
def test_a_residual_network_of_flax_is_left_in_peace(weights: str) -> None:
    images = np.random.default_rng(0).standard_normal((64, 8, 8, 3)).astype(np.float32)
    module = ResNet()
    variables = jax.jit(module.init)(jax.random.key(0), images)
    if weights == "fanin":
        variables = fanin.jax.init(module, variables, images)
    before = jax.tree.map(np.array, variables)
    diagnosis = fanin.jax.check(module, variables, images, target=Y).diagnosis
    assert not [f for f in diagnosis.findings if f.severity != Severity.INFO]
    assert "FAN110" in {code for code, _ in diagnosis.passed}
    assert diagnosis.trace.mode == "train"
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, before, variables)))


class Normalised(linen.Module):
    """A layer and a norm over the batch, with running statistics."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = linen.BatchNorm(use_running_average=True)(linen.Dense(32)(x))
        return linen.Dense(10)(linen.relu(x))


def test_running_statistics_are_those_of_a_model_that_is_not_trained() -> None:
    module = Normalised()
    variables = module.init(jax.random.key(0), X)
    strange = jax.tree.map(lambda a: 1e4 * a, variables["batch_stats"])
    diagnosis = fanin.jax.check(module, {**variables, "batch_stats": strange}, X).diagnosis
    assert diagnosis.trace.mode == "eval"
    assert "FAN110" in {f.code for f in diagnosis.findings}


def recurrent(p: Any, x: Any) -> Any:
    def turn(state: Any, data: Any) -> Any:
        return jnp.tanh(data @ p["in"] + state @ p["again"]), None

    state, _ = jax.lax.scan(turn, jnp.zeros((len(x), 16)), jnp.moveaxis(x, 1, 0))
    return state @ p["out"]


def test_a_loop_is_measured_in_its_first_turns_and_runs_to_its_end() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 200, 4)).astype(np.float32)
    params = {
        name: (rng.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)
        for name, shape in (("in", (4, 16)), ("again", (16, 16)), ("out", (16, 10)))
    }
    diagnosis = fanin.jax.check(recurrent, params, x, target=np.arange(32) % 10).diagnosis
    assert not [f for f in diagnosis.findings if f.severity != Severity.INFO]
    assert any("200 turns 3" in note for note in diagnosis.graph.notes)
    assert diagnosis.trace.output is not None
    made = {m.node: m for m in diagnosis.trace.measurements}[diagnosis.trace.output]

    def loss(p: Any) -> Any:
        out = recurrent(p, x)
        return cross_entropy(out, np.arange(32) % 10), out

    wanted, out = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert made.power == pytest.approx(float(np.square(np.asarray(out, np.float64)).mean()), rel=1e-4)
    norms = {p.name: p.gradient_norm for p in diagnosis.trace.parameters}
    for name, gradient in wanted.items():
        assert norms[name] == pytest.approx(float(np.linalg.norm(gradient)), rel=1e-3)


def cross_entropy(logits: Any, classes: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.asarray(classes)[:, None], 1).mean()


class Nnx(nnx.Module):
    """A module that holds its arrays, with dropout."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.one, self.two = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 10, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.two(self.drop(nnx.relu(self.one(x))))


def test_every_kind_of_model_is_taken() -> None:
    assert alarms(fanin.jax.check(Nnx(nnx.Rngs(0)), X, target=Y)) == []
    # A callable tree, as Equinox's modules are.
    tree = jax.tree_util.Partial(network(jax.nn.relu), drawn(2, 1.0))  # type: ignore[no-untyped-call]
    report = fanin.jax.check(tree, X, target=Y)
    assert alarms(report) == []
    assert report.diagnosis.trace.loss is not None
    # A key is no data: the batch is what comes behind it.
    dropped = fanin.jax.check(
        lambda p, key, x: network(jax.nn.relu)(p, x * jax.random.bernoulli(key, 0.5, x.shape)),
        drawn(2, 1.0), jax.random.PRNGKey(0), X, target=Y,
    )  # fmt: skip
    assert alarms(dropped) == []
    assert dropped.diagnosis.trace.batch == 64
    assert len(dropped.diagnosis.trace.inputs) == 1


def test_haiku() -> None:
    haiku = pytest.importorskip("haiku")
    net = haiku.without_apply_rng(haiku.transform(lambda x: haiku.nets.MLP([32, 10])(x)))  # noqa: PLW0108
    assert alarms(fanin.jax.check(net.apply, net.init(jax.random.key(0), X), X, target=Y)) == []


def test_derivatives_that_functions_define_for_themselves_count() -> None:
    """ReLU has none at zero, and a gate that passes gradients straight through has one."""

    @jax.custom_vjp
    def straight(x: Any) -> Any:
        return jnp.sign(x)

    straight.defvjp(lambda x: (jnp.sign(x), None), lambda _, g: (2.0 * g,))

    def apply(p: Any, x: Any) -> Any:
        return straight(jax.nn.relu(x @ p["a"])) @ p["b"]

    rng = np.random.default_rng(0)
    params = {k: rng.standard_normal(s).astype(np.float32) for k, s in (("a", (16, 32)), ("b", (32, 10)))}
    params["a"][:, :8] = 0.0  # eight units at zero, where max(x, 0) alone would pass half of a gradient
    _, trace = measure(apply, params, X, target=Y)
    wanted = jax.grad(lambda p: cross_entropy(apply(p, X), Y))(params)
    norms = {p.name: p.gradient_norm for p in trace.parameters}
    for name in params:
        assert norms[name] == pytest.approx(float(jnp.linalg.norm(wanted[name])), rel=1e-4), name
    plain = jax.grad(lambda p: cross_entropy(jnp.sign(jax.nn.relu(X @ p["a"])) @ p["b"], Y))(params)
    assert float(jnp.linalg.norm(plain["a"])) == 0.0
    # The gradient at a node is that behind its own derivative: of 10 outputs a sample, through `b`.
    (gate,) = (m for m in trace.measurements if m.kind == OpKind.ACTIVATION)
    assert gate.gradient_power == pytest.approx(
        float(np.square(params["b"]).sum()), rel=6.1 * (2 / 640) ** 0.5
    )


FIGURES = ("mean", "power", "gradient_power", "dead", "zeros", "cosine", "unit_spread", "entropy")


def test_large_arrays_are_summed_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def apply(p: Any, x: Any) -> Any:
        h = jax.nn.relu(x @ p["a"])
        return jax.nn.softmax(h.reshape(64, -1, 8)).reshape(64, -1) @ p["b"]

    rng = np.random.default_rng(0)
    params = {k: rng.standard_normal(s).astype(np.float32) for k, s in (("a", (16, 1088)), ("b", (1088, 10)))}
    params["a"][:, 5] = 0.0
    _, large = measure(apply, params, X, target=Y)
    assert max(np.prod(m.shape) for m in large.measurements) > statistics.WHOLE
    for module in (passes, statistics):
        monkeypatch.setattr(module, "WHOLE", 1 << 20)
    _, small = measure(apply, params, X, target=Y)
    # Sums in single precision over rows of 8,192 numbers.
    rounding = 8192**0.5 * 2.0**-24 * 10
    for a, b in zip(large.measurements, small.measurements, strict=True):
        for figure in (
            "mean",
            "power",
            "gradient_power",
            "dead",
            "zeros",
            "cosine",
            "unit_spread",
            "entropy",
        ):
            x, y = getattr(a, figure), getattr(b, figure)
            assert (x is None) == (y is None), figure
            assert x is None or x == pytest.approx(y, rel=rounding, abs=1e-7), (a.op, figure)
    for p, q in zip(large.parameters, small.parameters, strict=True):
        assert p.gradient_norm == pytest.approx(q.gradient_norm, rel=rounding)


def test_the_page_the_text_and_the_document(tmp_path: Path) -> None:
    report = fanin.jax.check(network(jax.nn.relu), filled(0.0), X, target=Y)
    page = report.save(tmp_path / "x.html").read_text(encoding="utf-8")
    assert "FAN201" in page
    assert "jax" in page
    assert "FAN201" in report.save(tmp_path / "x.json").read_text(encoding="utf-8")
    assert "FAN201" in report.save(tmp_path / "x.txt").read_text(encoding="utf-8")
    assert "apply(model" not in str(report)


def test_a_weight_on_the_left_has_its_units_before_the_samples() -> None:
    """As Equinox's layers under `jax.vmap`: the same figures as with the weight on the right."""
    rng = np.random.default_rng(0)
    params = {"a": rng.standard_normal((16, 48)) / 4, "b": rng.standard_normal((48, 10)) / 7}
    right = {k: v.astype(np.float32) for k, v in params.items()}
    left = {k: np.ascontiguousarray(v.T) for k, v in right.items()}

    def one(p: Any, x: Any) -> Any:
        return p["b"] @ jax.nn.relu(p["a"] @ x)

    _, turned = measure(jax.vmap(one, (None, 0)), left, X)
    _, plain = measure(lambda p, x: jax.nn.relu(x @ p["a"]) @ p["b"], right, X)
    for a, b in zip(turned.measurements, plain.measurements, strict=True):
        assert (a.units, a.samples) == (b.units, b.samples)
        for figure in ("mean", "power", "dead", "cosine", "unit_spread"):
            x, y = getattr(a, figure), getattr(b, figure)
            assert x == y or x == pytest.approx(y, rel=1e-4, abs=1e-6), (a.op, figure)
