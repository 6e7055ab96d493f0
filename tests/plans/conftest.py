"""A small builder of graphs, so that planner tests need no framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fanin.laws.activations import activation
from fanin.laws.quadrature import NODES
from fanin.records.axes import Axes, Role
from fanin.records.graph import Activation, Branch, Graph, Node, OpKind, Parameter, Use, UseKind


class Builder:
    """Nodes and parameters in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.parameters: list[Parameter] = []
        self.activations: list[Activation] = []
        self.branches: list[Branch] = []

    def node(
        self, kind: str, *inputs: int, op: str = "", parameters: tuple[str, ...] = (), **more: Any
    ) -> int:
        self.nodes.append(
            Node(
                id=len(self.nodes),
                kind=OpKind(kind),
                op=op or kind,
                inputs=inputs,
                parameters=parameters,
                module=more.pop("module", f"m{len(self.nodes)}"),
                shape=(4, 8),
                dtype="float32",
                **more,
            )
        )
        return len(self.nodes) - 1

    def known(self, name: str, function: Callable[[Any], Any] | None = None) -> int:
        f = function or activation(name).function
        with np.errstate(all="ignore"):
            values = tuple(float(v) for v in f(NODES))
        self.activations.append(Activation(name=name, values=values))
        return len(self.activations) - 1

    def act(self, source: int, name: str, function: Callable[[Any], Any] | None = None) -> tuple[int, int]:
        index = self.known(name, function)
        return self.node("activation", source, op=name, activation=index), index

    def param(self, name: str, shape: tuple[int, ...], *uses: Use, **more: Any) -> None:
        more = {"dtype": "float32"} | more
        self.parameters.append(Parameter(name=name, shape=shape, uses=uses, **more))

    def weight(self, source: int, name: str, shape: tuple[int, ...], **more: Any) -> int:
        """A linear layer's node and its weight."""
        kind = more.pop("node_kind", "contraction")
        id = self.node(kind, source, op="linear", parameters=(name,))
        more.setdefault("axes", axes("out in" + " receptive" * (len(shape) - 2)))
        self.param(name, shape, Use(node=id, kind=UseKind.WEIGHT, **more))
        return id

    def use(self, place: int, **changes: Any) -> None:
        """Change the only use of a parameter that was added before."""
        from dataclasses import replace

        old = self.parameters[place]
        self.parameters[place] = replace(old, uses=(replace(old.uses[0], **changes),))

    def build(self, **more: Any) -> Graph:
        more = {"model": "Test", "framework": "torch", "engine": "fake tensors"} | more
        ids = tuple(node.id for node in self.nodes)
        return Graph(
            nodes=tuple(self.nodes),
            outputs=ids[-1:],
            path=more.pop("path", ids),
            parameters=tuple(self.parameters),
            activations=tuple(self.activations),
            branches=tuple(self.branches),
            **more,
        )


def axes(words: str, **more: Any) -> Axes:
    return Axes(roles=tuple(Role(word) for word in words.split()), **more)


@pytest.fixture
def builder() -> Builder:
    return Builder()
