"""Plain chains of weights and activations on a graph's path, and what each asks of its weights.

A chain is a stretch of the path without norms, joins, products or attention: nothing but weights and
activations decides how the powers travel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fanin.laws.chain import ChainGain, chain_gain
from fanin.records.graph import Activation, Node, OpKind

__all__ = ["PASSING", "WEIGHTED", "Chained", "chained"]

PASSING = frozenset({OpKind.DROPOUT, OpKind.POOL})
"""Operations that leave it clear which function a weight reads."""
WEIGHTED = frozenset({OpKind.CONTRACTION, OpKind.CONVOLUTION})
_BREAKS = frozenset(
    {
        OpKind.NORM,
        OpKind.ADD,
        OpKind.PRODUCT,
        OpKind.SOFTMAX,
        OpKind.ATTENTION,
        OpKind.RECURRENCE,
        OpKind.CONCAT,
    }
)
"""Operations that end a plain chain of weights and activations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chained:
    """What the chains of a graph ask.

    Parameters
    ----------
    readers
        For nodes of weights that read an activation of a chain: how many of the chain read the same, and
        what they ask.
    activations
        For nodes of activations that a chain reads: what it asks.
    fed
        For nodes of weights on the path: the activation that each feeds.
    """

    readers: Mapping[int, tuple[int, ChainGain]]
    activations: Mapping[int, ChainGain]
    fed: Mapping[int, int]


def chained(
    nodes: Mapping[int, Node],
    path: Sequence[int],
    activations: Sequence[Activation],
    read: Callable[[int], Node | None],
    asks: Callable[[int], bool],
) -> Chained:
    """Find the chains.

    Parameters
    ----------
    nodes, path, activations
        Of the graph.
    read
        The activation that a node reads, if it reads one.
    asks
        Whether the gain of an activation, by its place, depends on the power that it is fed with.
    """
    stretches: list[list[int]] = [[]]
    fed: dict[int, int] = {}
    last: int | None = None
    for id in path:
        kind = nodes[id].kind
        if kind in WEIGHTED:
            stretches[-1].append(id)
            last = id
        elif kind in _BREAKS:
            stretches.append([])
            last = None
        elif kind == OpKind.ACTIVATION and last is not None:
            fed[last], last = id, None
        elif kind not in PASSING:
            last = None
    readers: dict[int, tuple[int, ChainGain]] = {}
    found: dict[int, ChainGain] = {}
    for stretch in stretches:
        sources = {id: node for id in stretch if (node := read(id)) is not None}
        for place, depth in Counter(node.activation for node in sources.values()).items():
            if place is None or not asks(place):
                continue
            asked = chain_gain(activations[place].values, depth)
            for id, node in sources.items():
                if node.activation == place:
                    readers[id], found[node.id] = (depth, asked), asked
    return Chained(readers=readers, activations=found, fed=fed)
