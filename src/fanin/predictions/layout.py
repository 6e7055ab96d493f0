"""A graph with channels before the dimensions of space, which is how the laws of convolutions count."""

from __future__ import annotations

from dataclasses import replace

from fanin.predictions.context import unit_dims
from fanin.records.graph import Graph, Node, OpKind

__all__ = ["channels_first", "orders_of", "standing"]

_POINTWISE = {OpKind.ACTIVATION, OpKind.ADD, OpKind.POINTWISE, OpKind.PRODUCT, OpKind.DROPOUT}
_DIMENSIONS = {OpKind.POOL, OpKind.SOFTMAX, OpKind.CONCAT}
"""Kinds of nodes whose "dim" counts dimensions of what they read or make."""


def channels_first(graph: Graph) -> Graph:
    """Lay out anew what a convolution makes or reads, where the units come last.

    Shapes, parts that are read and dimensions in settings are moved; nothing else is. A graph whose units
    come second already is returned as it is.

    Examples
    --------
    >>> from fanin.records.graph import Graph, Node, OpKind
    >>> conv = Node(
    ...     id=0, kind=OpKind.CONVOLUTION, op="conv", inputs=(), module="", shape=(8, 32, 32, 3),
    ...     dtype="float32", settings=(("kernel", (3.0, 3.0)), ("units", (3.0,))),
    ... )  # fmt: skip
    >>> graph = Graph(
    ...     model="Net", framework="", engine="", nodes=(conv,), outputs=(), path=(), parameters=(),
    ...     activations=(), branches=(),
    ... )  # fmt: skip
    >>> channels_first(graph).nodes[0].shape
    (8, 3, 32, 32)
    """
    orders = orders_of(graph)
    if not orders:
        return graph
    return replace(graph, nodes=tuple(_moved(node, orders) for node in graph.nodes))


def orders_of(graph: Graph) -> dict[int, tuple[int, ...]]:
    """Nodes whose units do not come second, though a convolution's do: their dimensions in order.

    The order is samples, units, places; of a product whose weight stands on the left, units are last.

    Parameters
    ----------
    graph
        The computation, as it was read.
    """
    units = dict(unit_dims(graph))
    ranks = {node.id: len(node.shape) for node in graph.nodes}
    for node in graph.nodes:
        if node.kind == OpKind.CONVOLUTION and node.setting("units"):
            for i in node.inputs[:1]:
                if i not in units and ranks.get(i) == len(node.shape):
                    units[i] = units[node.id]
    found = {
        id: (0, unit, *(d for d in range(1, ranks[id]) if d != unit))
        for id, unit in units.items()
        if unit > 1
    }
    for id, unit in standing(graph).items():
        found[id] = (*(d for d in range(ranks[id]) if d != unit), unit)
    return found


def standing(graph: Graph) -> dict[int, int]:
    """The dimension of the units of products whose weight stands on the left, and of what keeps their layout.

    Parameters
    ----------
    graph
        The computation, as it was read.
    """
    found: dict[int, int] = {}
    shapes = {node.id: node.shape for node in graph.nodes}
    for node in graph.nodes:
        if node.kind == OpKind.CONTRACTION:
            if node.setting("units"):
                found[node.id] = int(node.setting("units")[0])
        elif node.kind in _POINTWISE:
            known = [found[i] for i in node.inputs if i in found and shapes[i] == node.shape]
            if known:
                found[node.id] = known[0]
    return found


def _moved(node: Node, orders: dict[int, tuple[int, ...]]) -> Node:
    order = orders.get(node.id)
    reads = tuple(_read(read, orders) for read in node.reads)
    settings = node.settings
    # A reduction counts the dimensions of what it reads, a concatenation those of what it makes.
    counted = next((orders.get(i) for i in node.inputs[:1]), None) if order is None else order
    if counted is not None and node.kind in _DIMENSIONS:
        settings = tuple((k, _dims(v, counted) if k == "dim" else v) for k, v in settings)
    if order is not None:
        place = 1.0 if node.kind == OpKind.CONVOLUTION else len(order) - 1.0
        settings = tuple((k, (place,) if k == "units" else v) for k, v in settings)
    if order is None and reads == node.reads and settings == node.settings:
        return node
    shape = node.shape if order is None else tuple(node.shape[d] for d in order)
    return replace(node, shape=shape, reads=reads, settings=settings)


def _dims(dims: tuple[float, ...], order: tuple[int, ...]) -> tuple[float, ...]:
    place = {d: float(k) for k, d in enumerate(order)}
    return tuple(place[int(d) % len(order)] for d in dims)


def _read(read: tuple[int, ...], orders: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
    """A node's id, and first places and sizes of the part of it that is read."""
    order, rank = orders.get(read[0]), (len(read) - 1) // 2
    if order is None or rank != len(order):
        return read
    first, sizes = read[1 : 1 + rank], read[1 + rank :]
    return (read[0], *(first[d] for d in order), *(sizes[d] for d in order))
