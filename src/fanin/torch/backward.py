"""Backward passes through one recorded run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.graph import GradientEdge

from fanin.errors import FaninError, InputError, ModelError, explain
from fanin.records.graph import Graph
from fanin.torch.names import NamedTensor
from fanin.torch.precision import rough_products
from fanin.torch.statistics import sampled
from fanin.torch.targets import Loss, floating
from fanin.torch.watch import GradientPowers, Watcher

__all__ = ["Backward", "operators_so_far"]


@dataclass(slots=True)
class Backward:
    """Gradients of a run: of the loss at parameters, of a random direction at nodes.

    `gradients` are those of each trainable parameter, `powers` the sums of squares that arrive at
    each node, `notes` what could not be done. Operators before number `since` (see `operators_so_far`) are
    not those of the run.
    """

    tensors: Sequence[NamedTensor]
    graph: Graph
    main: torch.Tensor
    output: Any
    edges: dict[int, GradientEdge]
    gradients: dict[str, torch.Tensor | None]
    powers: dict[int, float]
    notes: list[str]
    _behind_head: torch.Tensor | None
    _since: int

    def __init__(
        self,
        watcher: Watcher,
        tensors: Sequence[NamedTensor],
        graph: Graph,
        main: torch.Tensor,
        output: Any,
        since: int,
    ) -> None:
        self.tensors, self.graph = tensors, graph
        self.main, self.output = main, output
        self.gradients, self.powers, self.notes = {}, {}, []
        self.edges = {node.id: edge for node in graph.nodes if (edge := watcher.edge(node.id)) is not None}
        self._behind_head, self._since = self._input_of_head(watcher), since

    def run(self, loss: Loss | None, seed: int, *, apart: bool = True) -> None:
        """Collect gradients of a random direction at nodes.

        The watcher's tensors are not needed any more. With `apart` the loss gets a pass of its own (`learn`);
        without it, or without a loss, gradients at parameters are those of the random direction.
        """
        trained = self._trained()
        if not self.main.requires_grad:
            why = "no parameter is trainable" if not trained else "the output has no history"
            self.notes.append(f"no backward pass: {why}")
            return
        variables = [t.tensor for t in trained]
        own = apart and loss is not None and loss.value.requires_grad
        if loss is not None and not apart:
            self.notes.append("gradients at parameters are of a random direction, not of the loss")
        generator = torch.Generator().manual_seed(seed)
        found = self._collect([self.main], [] if own else variables, [_direction(self.main, generator)])
        if not own:
            self.gradients = dict(zip((t.name for t in trained), found, strict=True))
            self._other_outputs(trained, generator)
        self._past_a_zero_head(generator)

    def learn(self, loss: Loss | None, *, keep: bool = False) -> None:
        """Collect gradients of the loss at parameters, where `run` left that to a pass of its own.

        With `keep` the history of the run can be used afterwards.
        """
        trained = self._trained()
        if self.gradients or loss is None or not trained or not self.main.requires_grad:
            return
        if loss.value.requires_grad:
            retain = keep or _reaches_back(loss.value, self._since)
            found = self._grad([loss.value], [t.tensor for t in trained], None, retain=retain)
            if all(gradient is None for gradient in found):
                raise InputError(
                    explain(
                        "The loss does not depend on the model",
                        received=f"{loss.name}, without a gradient at any of {len(found)} parameters",
                        rule="It is computed from the output that it is given",
                    )
                )
            self.gradients = dict(zip((t.name for t in trained), found, strict=True))

    def _trained(self) -> list[NamedTensor]:
        return [
            t
            for t in self.tensors
            if not t.buffer
            and t.tensor.requires_grad
            and (t.tensor.is_floating_point() or t.tensor.is_complex())
        ]

    def _grad(
        self,
        outputs: Sequence[torch.Tensor],
        variables: Sequence[Any],
        cotangents: Sequence[torch.Tensor] | None,
        *,
        retain: bool = True,
    ) -> list[torch.Tensor | None]:
        if not variables:
            return []
        try:
            return list(
                torch.autograd.grad(outputs, variables, cotangents, retain_graph=retain, allow_unused=True)
            )
        except FaninError:
            raise
        except Exception as error:
            # (Hooks and backward functions of the user's own raise what they will.)
            call = "loss(model(batch), target)" if cotangents is None else "model(batch).sum()"
            raise ModelError(
                explain(
                    "The backward pass failed",
                    received=f"{type(error).__name__}: {error}",
                    remedy=f"Check that {call}.backward() runs by itself",
                )
            ) from error

    def _collect(
        self,
        outputs: Sequence[torch.Tensor],
        variables: Sequence[torch.Tensor],
        cotangents: Sequence[torch.Tensor],
    ) -> list[torch.Tensor | None]:
        """One backward pass that notes the gradient's power at every node of the graph."""
        edges, sources, powers = self.edges, self._sources(), GradientPowers()
        # Where most powers are estimated to 3 %, products need not be exact to seven digits.
        rough = any(sampled(math.prod(node.shape)) for node in self.graph.nodes if node.id in edges)
        try:
            powers.watch((id, edge) for id, edge in edges.items() if id not in sources)
            with rough_products() if rough else contextlib.nullcontext():
                found = self._grad(outputs, [*variables, *(edges[id] for id in sources)], cotangents)
        finally:
            powers.close()
        for id, gradient in zip(sources, found[len(variables) :], strict=True):
            if gradient is not None:
                powers.note(id, gradient)
        self.powers = powers.sums
        return found[: len(variables)]

    def _sources(self) -> list[int]:
        """Nodes with a gradient none of whose inputs has one: where a backward pass may end."""
        edges = self.edges
        return [n.id for n in self.graph.nodes if n.id in edges and not any(i in edges for i in n.inputs)]

    def _other_outputs(self, trained: Sequence[NamedTensor], generator: torch.Generator) -> None:
        """Parameters that serve another output than the main one take part as well."""
        missing = [t for t in trained if self.gradients[t.name] is None]
        others = [t for t in floating(self.output) if t.requires_grad and t is not self.main]
        if not missing or not others:
            return
        directions = [_direction(t, generator) for t in others]
        found = self._grad(others, [t.tensor for t in missing], directions)
        self.gradients.update(zip((t.name for t in missing), found, strict=True))

    def _input_of_head(self, watcher: Watcher) -> torch.Tensor | None:
        """What the head reads, if that has a history and is there still."""
        first = min(self._heads(), default=None)
        inputs = () if first is None else self.graph.node(first).inputs
        start = next((i for i in inputs if watcher.edge(i) is not None), None)
        return None if start is None or start in watcher.overwritten else watcher.kept[start]

    def _heads(self) -> set[int]:
        return {use.node for p in self.graph.parameters for use in p.uses if use.head}

    def _past_a_zero_head(self, generator: torch.Generator) -> None:
        """A head of zeros lets no gradient through; put the random direction on its input then."""
        ends, start = self._heads(), self._behind_head
        inner = [id for id in self.graph.path if id not in ends and id in self.powers]
        if start is None or not inner or any(self.powers[id] > 0.0 for id in inner):
            return
        own = self.powers
        self._collect([start], [], [_direction(start, generator)])
        self.powers = {**own, **self.powers}
        self.notes.append("the head is zero; gradients at nodes are of a random direction at its input")


def operators_so_far() -> int:
    """The number that autograd gives the next operator of this thread."""
    node: Any = torch.zeros((), requires_grad=True).clone().grad_fn
    return int(node._sequence_nr())


def _reaches_back(loss: torch.Tensor, since: int) -> bool:
    """Whether a loss has a history that is older than the run: somebody else's, which must not be freed."""
    seen: set[Any] = set()
    ahead: list[Any] = [loss.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        # Leaves have the largest number there is.
        if node._sequence_nr() < since:
            return True
        ahead.extend(after for after, _ in node.next_functions)
    return False


_FEW = 1_000_000


def _direction(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A random cotangent of unit variance: normal, or signs where there are millions of numbers."""
    if tensor.numel() <= _FEW:
        return torch.randn(tensor.shape, generator=generator).to(tensor)
    # A random bit a number has the same first two moments, and costs a sixty-fourth of a random word.
    words = torch.randint(-(1 << 63), (1 << 63) - 1, (-(-tensor.numel() // 64),), generator=generator)
    octets = torch.arange(256)[:, None] >> torch.arange(8)
    signs = torch.index_select((octets & 1) * 2.0 - 1.0, 0, words.view(torch.uint8).int())
    return signs.reshape(-1)[: tensor.numel()].to(tensor).reshape(tensor.shape)
