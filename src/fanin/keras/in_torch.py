"""Reading and measuring a Keras model on the PyTorch backend: its stateless call, as a module of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fanin.checks.tiers import Clock
from fanin.graphs.biases import with_biases
from fanin.keras.losses import Told
from fanin.keras.measured import Measured
from fanin.keras.variables import Variable, layers_of
from fanin.predictions.trial import Drawn, Outcome
from fanin.predictions.weights import Moments
from fanin.records.graph import Graph, Node, OpKind, Parameter
from fanin.records.trace import Measurement
from fanin.torch.losses import Losses
from fanin.torch.probe import measure
from fanin.torch.read import read as read_module
from fanin.torch.trials import Trials

__all__ = ["measured", "read"]


def read(
    model: Any, variables: Sequence[Variable], inputs: tuple[Any, ...], options: dict[str, Any]
) -> Graph:
    """The graph of a model's call; parameters and errors are those of the other backend's reader."""
    module = _Stateless(model, variables, options)
    return _in_order(read_module(module, _batch(inputs)), variables)


def measured(
    model: Any,
    variables: Sequence[Variable],
    inputs: tuple[Any, ...],
    options: dict[str, Any],
    *,
    loss: Told | None,
    seed: int,
    tier: str,
    lr: float | None,
) -> Measured:
    """One pass forward and back, with the variables' names; parameters are those of the other backend's."""
    module = _Stateless(model, variables, options)
    batch, clock = _batch(inputs), Clock()
    target = None if loss is None else _tensor(loss.target)
    asked: dict[str, Any] = {"target": target, "loss": loss}
    graph, trace = measure(module, batch, **asked, seed=seed, tier=tier, lr=lr, clock=clock)
    trials = Trials(module, (batch,), graph, seed=seed)
    # What the model itself put out is looked at, not what it is then drawn to put out.
    figures = {} if loss is None else loss.figures(loss.first)
    trials.loss = losses = Losses(trials, (batch,), target, loss)
    losses.plain = loss is not None and loss.kind.plain
    short = {f"v{place}": variable.name for place, variable in enumerate(variables)}
    # (Keras adds biases by themselves; what is said of a layer is said of what it puts out.)
    named = with_biases(_in_order(graph, variables))
    return Measured(
        graph=named,
        trace=replace(
            trace,
            parameters=tuple(replace(p, name=short[p.name]) for p in trace.parameters),
            measurements=_placed(trace.measurements, named),
            loss=None if trace.loss is None else replace(trace.loss, **figures),
        ),
        trial=_Trial(trials, {name: place for place, name in short.items()}),
        environment=(("torch", torch.__version__), ("cost", clock.said(tier))),
    )


class _Trial:
    """Trials of the module, for weights that are called as Keras calls them."""

    def __init__(self, trials: Trials, places: Mapping[str, str]) -> None:
        self._trials, self._places, self.loss = trials, places, trials.loss

    def __call__(
        self, node: Node, inputs: tuple[Drawn, ...], weights: Mapping[str, Moments], unit: int
    ) -> Outcome | str:
        """What the operation makes of such inputs, or why it cannot be run."""
        return self._trials(node, inputs, {self._places[name]: m for name, m in weights.items()}, unit)


def _placed(found: tuple[Measurement, ...], graph: Graph) -> tuple[Measurement, ...]:
    """Measurements of the graph's nodes, and of inputs that are none, as the graph calls them."""
    nodes = {node.id: node for node in graph.nodes}
    placed = []
    for m in found:
        if m.node in nodes:
            node = nodes[m.node]
            placed.append(replace(m, kind=node.kind, op=node.op, module=node.module, call=node.call))
        elif m.kind == OpKind.INPUT:
            placed.append(m)
    return tuple(placed)


def _in_order(graph: Graph, variables: Sequence[Variable]) -> Graph:
    """The graph with the variables' names, in their order."""
    found = _renamed(graph, {f"v{place}": variable for place, variable in enumerate(variables)})
    order = {variable.name: place for place, variable in enumerate(variables)}
    return replace(found, parameters=tuple(sorted(found.parameters, key=lambda p: order[p.name])))


class _Stateless(nn.Module):
    """A model whose variables are this module's tensors, in their order."""

    def __init__(self, model: Any, variables: Sequence[Variable], options: dict[str, Any]) -> None:
        super().__init__()
        places = {id(variable.value): f"v{place}" for place, variable in enumerate(variables)}
        self._trained = [places[id(v)] for v in model.trainable_variables]
        self._others = [places[id(v)] for v in model.non_trainable_variables]
        self._model, self._options = (model,), options  # in a tuple, or it would be a part of this module
        for place, variable in enumerate(variables):
            value = variable.value.value.detach()
            if variable.role:
                self.register_buffer(f"v{place}", value)
            else:
                learns = bool(variable.value.trainable)
                self.register_parameter(f"v{place}", nn.Parameter(value, requires_grad=learns))

    def forward(self, **inputs: Any) -> Any:
        values = ([getattr(self, name) for name in names] for names in (self._trained, self._others))
        # Keras is told of the mode in the call; the deep tier asks for the other one.
        mode = {"training": self.training} if "training" in self._options else {}
        return self._model[0].stateless_call(*values, *inputs.values(), **{**self._options, **mode})[0]

    def modules_beside(self) -> Iterator[tuple[str, nn.Module]]:
        """Keras' layers, which are modules on this backend, by the paths that their variables have."""
        for layer in layers_of(self._model[0]):
            if isinstance(layer, nn.Module):
                yield str(layer.path or layer.name), layer


def _batch(inputs: tuple[Any, ...]) -> dict[str, Any]:
    """Inputs by keyword: one mapping alone would be taken for keyword inputs, and models take mappings."""
    return {f"input{place}": _tensor(value) for place, value in enumerate(inputs)}


def _tensor(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tensor(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_tensor(one) for one in value)
    return value if isinstance(value, torch.Tensor) or not hasattr(value, "dtype") else torch.as_tensor(value)


def _renamed(graph: Graph, names: Mapping[str, Variable]) -> Graph:
    """The graph with the variables' names."""
    short = {name: variable.name for name, variable in names.items()}
    owners = {name: variable.owner for name, variable in names.items()}
    return replace(
        graph,
        parameters=tuple(_parameter(p, names[p.name]) for p in graph.parameters),
        nodes=tuple(
            replace(
                node,
                module=node.module or next((owners[name] for name in node.parameters), ""),
                parameters=tuple(short[name] for name in node.parameters),
            )
            for node in graph.nodes
        ),
        branches=tuple(
            replace(branch, final=tuple(short[name] for name in branch.final)) for branch in graph.branches
        ),
        notes=tuple(note for note in graph.notes if not note.startswith("took no part")),
    )


def _parameter(parameter: Parameter, variable: Variable) -> Parameter:
    return replace(
        parameter, name=variable.name, owner=variable.owner, buffer=bool(variable.role), role=variable.role
    )
