"""A network in NumPy that records itself: an implementation of its own to try the rules on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fanin.laws.quadrature import NODES
from fanin.plans import planner
from fanin.records.axes import Axes, Role
from fanin.records.graph import Activation, Branch, Graph, Node, OpKind, Parameter, Use, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import LossMeasurement, Measurement, ParameterMeasurement, Trace

Array = NDArray[np.float64]

FUNCTIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: (z > 0).astype(float)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "linear": (lambda z: z, np.ones_like),
}


@dataclass
class Case:
    graph: Graph
    plan: Plan
    trace: Trace

    @property
    def records(self) -> tuple[Graph, Plan, Trace]:
        return self.graph, self.plan, self.trace


@dataclass
class Network:
    """An MLP: `depth` hidden layers, perhaps batch norm before each activation, or residual adds.

    `draw(rng, out, in)` makes a weight, `bias(rng, out, in)` a bias.
    """

    depth: int = 10
    width: int = 64
    inputs: int = 64
    classes: int = 10
    batch: int = 64
    function: str = "relu"
    norm: bool = False
    residual: bool = False
    draw: Callable[[np.random.Generator, int, int], Array] | None = None
    head: Callable[[np.random.Generator, int, int], Array] | None = None
    bias: Callable[[np.random.Generator, int, int], Array] | None = None
    edit: Callable[[list[Array], list[Array]], None] | None = None
    data: Callable[[np.random.Generator, int, int], Array] | None = None
    framework: str = "torch"
    seed: int = 0
    weights: list[Array] = field(default_factory=list)
    biases: list[Array] = field(default_factory=list)

    def case(self) -> Case:
        rng = np.random.default_rng(self.seed)
        x = (self.data or (lambda r, b, n: r.standard_normal((b, n))))(rng, self.batch, self.inputs)
        widths = [self.inputs, *[self.width] * self.depth, self.classes]
        he = he_normal if self.function == "relu" else lecun_normal
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            maker = self.draw or he
            if layer == self.depth:
                maker = self.head or self.draw or (lambda r, o, i: 0.1 * lecun_normal(r, o, i))
            self.weights.append(maker(rng, fan_out, fan_in))
            self.biases.append((self.bias or (lambda _r, o, _i: np.zeros(o)))(rng, fan_out, fan_in))
        if self.edit:
            self.edit(self.weights, self.biases)
        graph = self._graph()
        return Case(graph=graph, plan=planner.plan(graph), trace=self._trace(x, rng))

    def _ids(self, layer: int) -> dict[str, int]:
        names = [
            "linear",
            *(["norm"] if self.norm else []),
            "activation",
            *(["add"] if self.residual else []),
        ]
        return {name: 1 + layer * len(names) + i for i, name in enumerate(names)}

    def _graph(self) -> Graph:
        f = FUNCTIONS[self.function][0]
        nodes = [
            Node(
                id=0,
                kind=OpKind.INPUT,
                op="input",
                inputs=(),
                module="",
                shape=(self.batch, self.inputs),
                dtype="float32",
            )
        ]
        parameters: list[Parameter] = []
        branches: list[Branch] = []
        path: list[int] = []
        last = 0
        for layer in range(self.depth + 1):
            ids, head = self._ids(layer), layer == self.depth
            units = self.classes if head else self.width
            name = f"layers.{layer}"

            nodes += self._node(
                layer, OpKind.CONTRACTION, "linear", "linear", (last,), (f"{name}.weight", f"{name}.bias")
            )
            joined = self.residual and 0 < layer < self.depth
            use = Use(
                node=ids["linear"],
                kind=UseKind.WEIGHT,
                axes=Axes(roles=(Role.OUT, Role.IN)),
                activation=None if head else 0,
                head=head,
                normalised=self.norm and not head,
                branch=len(branches) if joined else None,
            )
            parameters.append(
                Parameter(
                    name=f"{name}.weight", shape=self.weights[layer].shape, dtype="float32", uses=(use,)
                )
            )
            parameters.append(
                Parameter(
                    name=f"{name}.bias",
                    shape=(units,),
                    dtype="float32",
                    uses=(Use(node=ids["linear"], kind=UseKind.BIAS, head=head),),
                )
            )
            if not joined:
                path.append(ids["linear"])
            if head:
                break
            before = ids["linear"]
            if self.norm:
                nodes += self._node(layer, OpKind.NORM, "norm", "batch_norm", (before,))
                before = ids["norm"]
                path += [] if joined else [before]
            nodes += self._node(layer, OpKind.ACTIVATION, "activation", self.function, (before,))
            path += [] if joined else [ids["activation"]]
            if joined:
                nodes += self._node(layer, OpKind.ADD, "add", "add", (last, ids["activation"]))
                branches.append(
                    Branch(
                        start=last, join=ids["add"], final=(f"{name}.weight",), depth=1, normalised=self.norm
                    )
                )
                path.append(ids["add"])
            last = ids["add"] if joined else ids["activation"]
        return Graph(
            model="Network",
            framework=self.framework,
            engine="numpy",
            nodes=tuple(nodes),
            outputs=(path[-1],),
            path=tuple(path),
            parameters=tuple(parameters),
            activations=(Activation(name=self.function, values=tuple(map(float, f(NODES)))),),
            branches=tuple(branches),
        )

    def _node(
        self, layer: int, kind: OpKind, key: str, op: str, inputs: tuple[int, ...], ps: tuple[str, ...] = ()
    ) -> list[Node]:
        return [
            Node(
                id=self._ids(layer)[key],
                kind=kind,
                op=op,
                inputs=inputs,
                parameters=ps,
                module=f"layers.{layer}",
                shape=(self.batch, self.classes if layer == self.depth else self.width),
                dtype="float32",
                activation=0 if kind == OpKind.ACTIVATION else None,
            )
        ]

    def _trace(self, x: Array, rng: np.random.Generator) -> Trace:
        f, slope = FUNCTIONS[self.function]
        outputs: dict[int, Array] = {0: x}
        tape: list[tuple[Array, Array, Array | None]] = []
        h = x
        with np.errstate(all="ignore"):
            for layer in range(self.depth + 1):
                ids = self._ids(layer)
                z = h @ self.weights[layer].T + self.biases[layer]
                outputs[ids["linear"]] = z
                if layer == self.depth:
                    tape.append((h, z, None))
                    break
                y, sd = z, None
                if self.norm:
                    sd = z.std(axis=0) + 1e-9
                    y = (z - z.mean(axis=0)) / sd
                    outputs[ids["norm"]] = y
                a = f(y)
                outputs[ids["activation"]] = a
                tape.append((h, y, sd))
                h = a
                if self.residual and layer > 0:
                    h = tape[-1][0] + a
                    outputs[ids["add"]] = h
            gradients, parts = self._backward(tape, slope, rng.standard_normal(z.shape))
        measured = [
            self._measured(node, outputs[node.id], gradients.get(node.id)) for node in self._graph().nodes
        ]
        parameters = []
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            parameters += [
                measured_parameter(
                    f"layers.{layer}.{name}", value, parts[layer][i], beside=b if i == 0 else None
                )
                for i, (name, value) in enumerate((("weight", w), ("bias", b)))
            ]
        logits = z - z.max(axis=1, keepdims=True)
        labels = rng.integers(0, self.classes, self.batch)
        with np.errstate(all="ignore"):
            losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(self.batch), labels]
        loss = LossMeasurement(
            name="cross entropy",
            value=float(losses.mean()),
            expected=float(np.log(self.classes)),
            classes=self.classes,
            logit_std=float(z.std(axis=1).mean()),
        )
        return Trace(
            batch=self.batch,
            source="test",
            mode="train",
            measurements=tuple(measured),
            parameters=tuple(parameters),
            loss=loss,
        )

    def _backward(
        self, tape: list[Any], slope: Callable[[Array], Array], r: Array
    ) -> tuple[dict[int, float], list[tuple[float, float]]]:
        gradients: dict[int, float] = {}
        parts: list[tuple[float, float]] = [(0.0, 0.0)] * (self.depth + 1)
        g = r
        for layer in range(self.depth, -1, -1):
            ids, (h, y, sd) = self._ids(layer), tape[layer]
            stream = 0.0
            if layer < self.depth:
                if self.residual and layer > 0:
                    gradients[ids["add"]] = float((g**2).sum()) / self.batch
                    stream = g
                gradients[ids["activation"]] = float((g**2).sum()) / self.batch
                g = g * slope(y)
                if sd is not None:
                    gradients[ids["norm"]] = float((g**2).sum()) / self.batch
                    g = (g - g.mean(axis=0) - y * (g * y).mean(axis=0)) / sd
            gradients[ids["linear"]] = float((g**2).sum()) / self.batch
            parts[layer] = (float(np.linalg.norm(g.T @ h)), float(np.linalg.norm(g.sum(axis=0))))
            g = g @ self.weights[layer] + stream
        return gradients, parts

    def _measured(self, node: Node, x: Array, gradient: float | None) -> Measurement:
        finite = bool(np.isfinite(x).all())
        active = node.kind == OpKind.ACTIVATION
        cosine = None
        if finite:
            norms = np.linalg.norm(x, axis=1)
            u = x[norms > 0] / norms[norms > 0][:, None]
            n = len(u)
            cosine = float(((u.sum(axis=0) ** 2).sum() - n) / (n * (n - 1))) if n > 1 else None
        return Measurement(
            node=node.id,
            kind=node.kind,
            op=node.op,
            module=node.module,
            shape=x.shape,
            units=x.shape[1],
            samples=len(x),
            mean=float(x.mean()),
            power=float((x**2).mean()),
            gradient_power=gradient,
            dead=float((x <= 0).all(axis=0).mean()) if active else None,
            saturated=float((np.abs(x) > 0.97).mean()) if active and self.function == "tanh" else None,
            zeros=float((x == 0).mean()),
            cosine=cosine,
            finite=finite,
        )


def measured_parameter(
    name: str, value: Array, gradient: float | None, *, beside: Array | None = None
) -> ParameterMeasurement:
    rows, columns = 0, 0
    if value.ndim == 2:
        table = value if beside is None else np.concatenate([value, beside[:, None]], axis=1)
        rows = len(table) - len(np.unique(table, axis=0))
        columns = value.shape[1] - len(np.unique(value.T, axis=0))
    return ParameterMeasurement(
        name=name,
        numel=value.size,
        mean=float(value.mean()),
        std=0.0 if value.min() == value.max() else float(value.std()),
        largest=float(np.abs(value).max()),
        finite=bool(np.isfinite(value).all()),
        gradient_norm=gradient,
        identical_units=rows,
        identical_inputs=columns,
        digest=str(hash(value.tobytes())),
    )


def he_normal(rng: np.random.Generator, out: int, fan_in: int) -> Array:
    return rng.standard_normal((out, fan_in)) * np.sqrt(2.0 / fan_in)


def lecun_normal(rng: np.random.Generator, out: int, fan_in: int) -> Array:
    return rng.standard_normal((out, fan_in)) / np.sqrt(fan_in)


def torch_default(rng: np.random.Generator, out: int, fan_in: int) -> Array:
    return rng.uniform(-1, 1, (out, fan_in)) / np.sqrt(fan_in)


def torch_bias(rng: np.random.Generator, out: int, fan_in: int) -> Array:
    return rng.uniform(-1, 1, out) / np.sqrt(fan_in)


@pytest.fixture
def network() -> type[Network]:
    """Build a network; its `case()` has graph, plan and trace."""
    return Network


@pytest.fixture
def default_init() -> dict[str, Any]:
    """The law that torch gives to linear layers, weights and biases."""
    return {"draw": torch_default, "bias": torch_bias}


@pytest.fixture
def change() -> Callable[..., Trace]:
    """Replace the fields of one parameter's measurement."""

    def edit(trace: Trace, name: str, **fields: Any) -> Trace:
        return replace(
            trace, parameters=tuple(replace(p, **fields) if p.name == name else p for p in trace.parameters)
        )

    return edit
