"""An observer that keeps what a model computes, and later the gradients that arrive there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.autograd.graph import GradientEdge, get_gradient_edge

from fanin.torch.names import storage_key
from fanin.torch.recording import Op
from fanin.torch.statistics import Numbers, dead_share, estimated_squares, flat, numbers, sample

__all__ = ["GradientPowers", "Snapshot", "Watcher"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was measured of an output that an in-place operation was about to overwrite.

    The part its dimensions play was not known then, so it is measured both ways: with the units
    along dimension 1, and along the last.
    """

    shape: tuple[int, ...]
    numbers: dict[int, Numbers]
    dead: dict[int, float]
    sample: torch.Tensor
    edge: GradientEdge | None


_FIRST = 32
"""Inputs are shown first; whole numbers that come later are no inputs and are let go."""


@dataclass(slots=True)
class Watcher:
    """Keeps every floating output of a run (autograd keeps most of them anyway), and ids that come in.

    With `exact`, every element of what is about to be overwritten is looked at.
    """

    kept: dict[int, torch.Tensor] = field(default_factory=dict)
    given: dict[int, torch.Tensor] = field(default_factory=dict)
    overwritten: dict[int, Snapshot] = field(default_factory=dict)
    exact: bool = False
    _sharing: dict[int, list[int]] = field(default_factory=dict)

    def after(self, id: int, output: torch.Tensor) -> None:
        """Keep an output; measuring waits until the graph says which of them matter."""
        numeric = output.is_floating_point() or output.is_complex()
        if numeric and output.layout is torch.strided and not output.is_meta:
            self.kept[id] = output
            self._sharing.setdefault(storage_key(output), []).append(id)
        elif id < _FIRST and output.layout is torch.strided and not output.is_meta:
            self.given[id] = output

    def before_mutation(self, id: int, tensor: torch.Tensor) -> None:  # noqa: ARG002  (may be a part of it)
        """Measure outputs while their values are still there: this one, and those in the same memory."""
        # (A cell of an unrolled recurrence writes into a chunk of a product: the product changes too.)
        for known in self._sharing.pop(storage_key(tensor), ()):
            self._snapshot(known)

    def _snapshot(self, id: int) -> None:
        output = self.kept.get(id)
        if output is None or id in self.overwritten or output.numel() == 0:
            return
        # Maps of four and more dimensions that are overwritten come from convolutions.
        last = output.ndim - 1
        dims = [1] if last > 2 else sorted({min(1, max(last, 0)), max(last, 0)})
        self.overwritten[id] = Snapshot(
            shape=tuple(output.shape),
            numbers=numbers(output, dims, exact=self.exact),
            dead=dead_share(output, dims) if output.ndim else {},
            sample=sample(flat(output.detach())).clone(),
            edge=get_gradient_edge(output) if output.requires_grad else None,
        )

    def input(self, op: Op) -> torch.Tensor | None:
        """An input of the run as it came in; None for another operator, or one that was overwritten."""
        if op.name != "input" or op.id in self.overwritten:
            return None
        return self.kept.get(op.id, self.given.get(op.id))

    def edge(self, id: int) -> GradientEdge | None:
        """Where the gradient of an output arrives; None if none does."""
        if id in self.overwritten:
            return self.overwritten[id].edge
        output = self.kept.get(id)
        return get_gradient_edge(output) if output is not None and output.requires_grad else None


@dataclass(slots=True)
class GradientPowers:
    """Sums of squared gradients at edges, collected while a backward pass runs."""

    sums: dict[int, float] = field(default_factory=dict)
    _handles: list[Any] = field(default_factory=list)

    def watch(self, edges: Iterable[tuple[int, GradientEdge]]) -> None:
        """Note the gradient that arrives at each edge, and let it go at once."""
        by_node: dict[Any, list[tuple[int, int]]] = {}
        for id, edge in edges:
            by_node.setdefault(edge.node, []).append((id, edge.output_nr))
        for node, places in by_node.items():
            self._handles.append(node.register_prehook(self._hook(places)))

    def _hook(self, places: list[tuple[int, int]]) -> Callable[[Any], None]:
        def hook(gradients: Any) -> None:
            for id, place in places:
                gradient = gradients[place]
                if gradient is not None:
                    self.note(id, gradient)

        return hook

    def note(self, id: int, gradient: torch.Tensor) -> None:
        """Add up the squares of one gradient, to a standard error of 3 %."""
        self.sums[id] = estimated_squares(gradient)

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
