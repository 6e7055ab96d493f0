"""Small models for the reader, and what a graph says of one of their parameters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from fanin.records.graph import Graph, Parameter, Use

__all__ = ["BATCH", "SEQUENCE", "From", "activation", "axes", "parameter", "use"]

BATCH = torch.zeros(2, 8)
SEQUENCE = torch.zeros(2, 5, 8)


class From(nn.Module):
    """A model made of named parts and a function of them and the input."""

    def __init__(self, forward: Callable[..., torch.Tensor], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.function = forward

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(self, *inputs)


def parameter(graph: Graph, name: str) -> Parameter:
    return next(p for p in graph.parameters if p.name == name)


def use(graph: Graph, name: str) -> Use:
    (only,) = parameter(graph, name).uses
    return only


def activation(graph: Graph, name: str) -> str | None:
    index = use(graph, name).activation
    return None if index is None else graph.activations[index].name


def axes(graph: Graph, name: str) -> str:
    return str(parameter(graph, name).uses[0].axes)
