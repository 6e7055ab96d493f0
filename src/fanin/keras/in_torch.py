"""Reading a Keras model on the PyTorch backend: its stateless call, as a module of plain tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fanin.keras.variables import Variable
from fanin.records.graph import Graph, Parameter
from fanin.torch.read import read as read_module

__all__ = ["read"]


def read(
    model: Any, variables: Sequence[Variable], inputs: tuple[Any, ...], options: dict[str, Any]
) -> Graph:
    """The graph of a model's call; parameters and errors are those of the other backend's reader."""
    module = _Stateless(model, variables, options)
    # By keyword: one mapping alone would be taken for keyword inputs, and models take mappings.
    graph = read_module(module, {"inputs": _tensor(inputs)})
    names = {f"v{place}": variable for place, variable in enumerate(variables)}
    found = _renamed(graph, names)
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
                self.register_parameter(f"v{place}", nn.Parameter(value, requires_grad=True))

    def forward(self, inputs: tuple[Any, ...]) -> Any:
        values = ([getattr(self, name) for name in names] for names in (self._trained, self._others))
        return self._model[0].stateless_call(*values, *inputs, **self._options)[0]


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
                module=next((owners[name] for name in node.parameters), ""),
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
