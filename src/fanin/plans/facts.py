"""What can be concluded from a graph before any tensor is looked at.

Rules ask these questions of one parameter at a time; the answers that belong to the whole model
(who reads whom, which branches add to the same stream) are worked out once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fanin.errors import InputError
from fanin.laws import quadrature
from fanin.plans.chains import PASSING, Chained, chained
from fanin.records.graph import Activation, Branch, Graph, Node, OpKind, Parameter, Use, UseKind

__all__ = ["Facts", "Power"]

_STREAM = frozenset(
    {OpKind.ADD, OpKind.DROPOUT, OpKind.NORM, OpKind.POINTWISE, OpKind.POOL, OpKind.ACTIVATION}
)
"""Operations between two branches of one residual stream."""
_FACTORS = frozenset({OpKind.POINTWISE, OpKind.DROPOUT})
"""Operations that multiply by a constant at the most."""
_QUERY_KEY_VALUE = 3
"""The first inputs of a fused attention; what comes after is added to its scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What an activation does to a normal input of the power it is to be fed with.

    `second_moment` is ``E f(z)^2`` with ``E z^2 = input_power``, or None where it does not exist;
    `scale_free` says that f is linear on both sides of zero, so that ``f(c z) = c f(z)`` for every
    ``c > 0``. The input power is 1, but for a sine of frequency w ``1 / w^2``: with more, neighbours
    land on different waves and nothing of their likeness is left.
    """

    name: str
    second_moment: float | None
    scale_free: bool
    input_power: float = 1.0

    @property
    def gain(self) -> float:
        """Factor that brings the output's power back to 1."""
        moment = self.second_moment
        return 1.0 if moment is None else math.sqrt(1.0 / moment)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A graph and the conclusions drawn from it."""

    graph: Graph

    @cached_property
    def nodes(self) -> Mapping[int, Node]:
        """Nodes by id."""
        return {node.id: node for node in self.graph.nodes}

    @cached_property
    def readers(self) -> Mapping[int, tuple[Node, ...]]:
        """For each node, those that read its output."""
        found: dict[int, list[Node]] = {node.id: [] for node in self.graph.nodes}
        for node in self.graph.nodes:
            for source in dict.fromkeys(node.inputs):
                found.setdefault(source, []).append(node)
        return {source: tuple(nodes) for source, nodes in found.items()}

    @cached_property
    def parameters(self) -> Mapping[str, Parameter]:
        """Parameters and buffers by canonical name."""
        return {parameter.name: parameter for parameter in self.graph.parameters}

    @cached_property
    def powers(self) -> tuple[Power, ...]:
        """What each activation of the graph does to power."""
        return tuple(_power(activation) for activation in self.graph.activations)

    @cached_property
    def joins(self) -> Mapping[int, int]:
        """Adds that end a residual branch, with the branch's place in the graph's list.

        An add that only a softmax reads sums attention scores: what it joins is no stream.
        """
        return {
            branch.join: place
            for place, branch in enumerate(self.graph.branches)
            if not self.scores(branch.join)
        }

    @cached_property
    def inside(self) -> Mapping[int, int]:
        """For each node between a stream and its join: the place of the branch that it lies on."""
        found: dict[int, int] = {}
        for place in self.joins.values():
            branch = self.graph.branches[place]
            finals = {
                use.node for name in branch.final for use in self.parameters[name].uses if use.branch == place
            }
            waiting = list(finals)
            while waiting:
                node = waiting.pop()
                # What was made before the stream came here (a mask, an encoder's output) belongs elsewhere.
                if node > branch.start and node in self.nodes and found.setdefault(node, place) == place:
                    waiting.extend(i for i in self.nodes[node].inputs if i not in found)
        return found

    @cached_property
    def kinds_on(self) -> Mapping[int, frozenset[OpKind]]:
        """For each branch by its place: the kinds of operations on it."""
        found: dict[int, set[OpKind]] = {}
        for node, place in self.inside.items():
            found.setdefault(place, set()).add(self.nodes[node].kind)
        return {place: frozenset(kinds) for place, kinds in found.items()}

    def scores(self, node: int) -> bool:
        """Whether only a softmax, or a fused attention's mask, reads what a node makes."""
        readers = self.readers.get(node, ())
        return bool(readers) and all(
            reader.kind == OpKind.SOFTMAX
            or (reader.kind == OpKind.ATTENTION and node not in reader.inputs[:_QUERY_KEY_VALUE])
            or (reader.kind in _STREAM and self.scores(reader.id))
            for reader in readers
        )

    @cached_property
    def streams(self) -> tuple[tuple[int, ...], ...]:
        """For each branch, the branches that add to the same residual stream, itself included.

        A shortcut that projects and normalises starts a new one, of power 1 again. One that only projects
        carries the power of what came before, and with it the count.
        """
        labels = list(range(len(self.graph.branches)))
        for place, branch in enumerate(self.graph.branches):
            if self._starts_anew(place):
                continue
            for node in self._upstream(branch.start):
                other = self.joins.get(node, place)
                if place != other and place in self.joins.values():
                    old, new = labels[place], labels[other]
                    labels = [new if label == old else label for label in labels]
        return tuple(tuple(place for place, label in enumerate(labels) if label == mine) for mine in labels)

    def _starts_anew(self, place: int) -> bool:
        """Whether what a branch is added to has passed a weight and a norm since the branch left."""
        branch = self.graph.branches[place]
        for way in self.nodes[branch.join].inputs:
            found, waiting = {branch.start}, [way]
            while waiting:
                node = waiting.pop()
                if node not in found and node > branch.start and node in self.nodes:
                    found.add(node)
                    waiting.extend(self.nodes[node].inputs)
            kinds = {self.nodes[node].kind for node in found - {branch.start} if node not in self.joins}
            shortcut = all(self.inside.get(node) != place for node in found)
            if shortcut and OpKind.NORM in kinds and kinds & {OpKind.CONTRACTION, OpKind.CONVOLUTION}:
                return True
        return False

    def residual(self, use: Use) -> Branch | None:
        """The residual branch whose final projection a use is, if it is one."""
        if use.branch is None:
            return None
        branch = self.graph.branches[use.branch]
        return branch if branch.join in self.joins else None

    def last_join(self, use: Use) -> int | None:
        """Place of the branch whose sum a weight reads, if no norm lies between."""
        node = self.nodes.get(use.node)
        for start in node.inputs if node is not None else ():
            for found in self._upstream(start, through_norms=False):
                if found in self.joins:
                    return self.joins[found]
        return None

    def _upstream(self, start: int, *, through_norms: bool = True) -> Iterator[int]:
        """Nodes on the stream before `start`, as far as the join of the branch before it."""
        joins = self.joins
        seen: set[int] = set()
        waiting = [start]
        while waiting:
            node = waiting.pop()
            if node in seen or node not in self.nodes:
                continue
            seen.add(node)
            yield node
            kind = self.nodes[node].kind
            # A product of one signal is a learned scale, which leaves a stream the stream that it is.
            passes = kind in _STREAM or (kind == OpKind.PRODUCT and len(self.nodes[node].inputs) == 1)
            if node not in joins and passes and (through_norms or kind != OpKind.NORM):
                waiting.extend(self.nodes[node].inputs)

    def post_norm(self, branch: Branch) -> bool:
        """Whether the sum that ends the branch is read by a normalisation alone."""
        readers = self.readers.get(branch.join, ())
        return bool(readers) and all(node.kind == OpKind.NORM for node in readers)

    @cached_property
    def passing_norms(self) -> frozenset[int]:
        """Branches, by their place, of streams that pass a norm on the way from one to the next."""
        found: set[int] = set()
        for place in self.joins.values():
            before = list(self._upstream(self.graph.branches[place].start))
            norm = any(self.nodes[node].kind == OpKind.NORM for node in before)
            if norm and any(node in self.joins for node in before):
                found.update(self.streams[place])
        return frozenset(found)

    def post_norm_depth(self) -> int:
        """Branches after which the stream itself passes a normalisation, on to a further branch."""
        starts = {branch.start for branch in self.graph.branches}
        closed = [b for b in self.graph.branches if b.join in self.joins and self.post_norm(b)]
        goes_on = any(node.id in starts for branch in closed for node in self.readers[branch.join])
        return len(closed) if goes_on else 0

    def between(self, node: int, join: int) -> tuple[Node, ...]:
        """What lies after a branch's final projection and before its join."""
        found: list[Node] = []
        current = node
        while True:
            following = [n for n in self.readers.get(current, ()) if n.id <= join]
            if not following or following[0].id == join:
                return tuple(found)
            found.append(following[0])
            current = following[0].id

    def read(self, use: Use) -> Power | None:
        """The activation whose output a weight reads, if it reads one."""
        node = self._read(use.node)
        return None if node is None else self._powered(node)

    def feeds(self, use: Use) -> Power | None:
        """The activation that a weight feeds, if it feeds one."""
        if use.activation is None:
            return None
        node = self.nodes.get(self.chains.fed.get(use.node, -1))
        if node is None or node.activation != use.activation:
            return self.powers[use.activation]
        return self._powered(node)

    def _powered(self, node: Node) -> Power:
        """An activation, at the power that its chain asks for."""
        place = node.activation or 0
        asked = self.chains.activations.get(node.id)
        if asked is None or asked.power == 1.0:
            return self.powers[place]
        moment = quadrature.gaussian_second_moment(self.graph.activations[place].values, asked.power)
        return replace(self.powers[place], second_moment=moment, input_power=asked.power)

    @cached_property
    def chains(self) -> Chained:
        """What the plain chains of the path ask of their weights."""
        return chained(self.nodes, self.graph.path, self.graph.activations, self._read, self._asks)

    def _asks(self, place: int) -> bool:
        power = self.powers[place]
        return power.second_moment is not None and not power.scale_free and power.input_power == 1.0

    def _read(self, reader: int) -> Node | None:
        """The activation that a node reads, through what leaves it clear which."""
        node = self.nodes.get(reader)
        while node is not None:
            sources = [self.nodes[i] for i in node.inputs if i in self.nodes]
            if not sources:
                return None
            node = sources[0]
            if node.kind == OpKind.ACTIVATION and node.activation is not None:
                return node
            if node.kind not in PASSING:
                return None
        return None

    def constant_around(self, use: Use) -> tuple[float, str]:
        """The constants that multiply what a weight reads and what it makes, and words for them."""
        node = self.nodes.get(use.node)
        before = 1.0
        while node is not None and len(node.inputs) == 1:
            node = self.nodes.get(node.inputs[0])
            if node is None or node.kind not in (OpKind.POINTWISE, OpKind.DROPOUT):
                break
            before *= abs(node.factor or 1.0)
        after = self.constant_after(use.node)
        told = [
            f"{found:.4g} multiplies {what}"
            for found, what in ((before, "its input"), (after, "its output"))
            if found != 1.0
        ]
        return before * after, "; ".join(told)

    def constant_after(self, node: int) -> float:
        """The constant that multiplies a node's output, before anything else does something to it."""
        found = 1.0
        while len(readers := self.readers.get(node, ())) == 1 and readers[0].kind in _FACTORS:
            found *= abs(readers[0].factor or 1.0)
            node = readers[0].id
        return found

    def reads_input(self, use: Use) -> bool:
        """Whether a weight reads the model's input itself."""
        node = self.nodes.get(use.node)
        sources = node.inputs if node is not None else ()
        return any(self.nodes[i].kind == OpKind.INPUT for i in sources if i in self.nodes)

    def looked_up_by_input(self, use: Use) -> bool:
        """Whether what selects an embedding's rows depends on the model's input."""
        seen: set[int] = set()
        waiting = list(self.nodes[use.node].inputs) if use.node in self.nodes else []
        while waiting:
            node = waiting.pop()
            if node in seen or node not in self.nodes:
                continue
            seen.add(node)
            if self.nodes[node].kind == OpKind.INPUT:
                return True
            waiting.extend(self.nodes[node].inputs)
        return False

    def added_to_embedding(self, use: Use) -> bool:
        """Whether a looked up row is added to a row of another table that the input selects."""
        for reader in self.readers.get(use.node, ()):
            if reader.kind != OpKind.ADD:
                continue
            if any(self._is_token(source, set()) for source in reader.inputs if source != use.node):
                return True
        return False

    def _is_token(self, node: int, seen: set[int]) -> bool:
        if node in seen or node not in self.nodes:
            return False
        seen.add(node)
        found = self.nodes[node]
        if found.kind == OpKind.EMBEDDING:
            return any(
                use.node == node and use.kind == UseKind.EMBEDDING and self.looked_up_by_input(use)
                for name in found.parameters
                for use in self.parameters[name].uses
            )
        through = (OpKind.ADD, OpKind.DROPOUT, OpKind.POINTWISE)
        return found.kind in through and any(self._is_token(i, seen) for i in found.inputs)

    def followed_by(self, node: int, kind: OpKind) -> bool:
        """Whether an operation of some kind reads a node's output, scaled or shifted at most."""
        return any(
            reader.kind == kind or (reader.kind == OpKind.POINTWISE and self.followed_by(reader.id, kind))
            for reader in self.readers.get(node, ())
        )


def _power(activation: Activation) -> Power:
    values, nodes = activation.values, quadrature.NODES
    positive = {round(v / x, 6) for v, x in zip(values, nodes, strict=True) if x > 0}
    negative = {round(v / x, 6) for v, x in zip(values, nodes, strict=True) if x < 0}
    at_zero = [v for v, x in zip(values, nodes, strict=True) if x == 0]
    if len(positive) == 1 and len(negative) == 1 and not any(at_zero):
        # Half of a standard normal's power lies on each side of zero.
        moment = 0.5 * (positive.pop() ** 2 + negative.pop() ** 2)
        return Power(name=activation.name, second_moment=moment or None, scale_free=True)
    frequency = _frequency(values)
    if frequency is not None:
        name = f"sin({frequency:g}x)" if activation.name == "custom" else activation.name
        # E sin(u)^2 for a standard normal u.
        moment = 0.5 * (1.0 - math.exp(-2.0))
        return Power(name=name, second_moment=moment, scale_free=False, input_power=frequency**-2)
    try:
        moment = quadrature.gaussian_second_moment(values)
    except InputError:
        return Power(name=activation.name, second_moment=None, scale_free=False)
    usable = math.isfinite(moment) and moment > 0
    return Power(name=activation.name, second_moment=moment if usable else None, scale_free=False)


def _frequency(values: Sequence[float]) -> float | None:
    """w, if the function is sin(w x) with a frequency that the grid resolves."""
    table, nodes = np.asarray(values), quadrature.NODES
    middle = len(nodes) // 2
    first = float(table[middle + 1])
    if not 0.0 < first < 1.0:
        return None
    step = float(nodes[middle + 1])
    frequency = math.asin(first) / step
    # Float32 values of sin(30 x) are off by 1e-4 at the ends, where the argument is 720.
    return frequency if np.abs(np.sin(frequency * nodes) - table).max() < 1e-2 else None
