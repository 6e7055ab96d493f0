"""Biases that a framework adds by an operation of their own, as parts of the layers that they belong to."""

from __future__ import annotations

from dataclasses import replace

from fanin.records.graph import Graph, Node, OpKind, UseKind

__all__ = ["with_biases"]

_SUMS = {OpKind.CONTRACTION, OpKind.CONVOLUTION}
_BIASES = {UseKind.BIAS, UseKind.RECURRENT_BIAS}


def with_biases(graph: Graph) -> Graph:
    """Make one node of each contraction and the bias that is added to it, if nothing else reads it before.

    The node has the id of the sum, whose output is the layer's, and is the contraction otherwise: what
    PyTorch's layers are, so that what is said of a layer is said of the same thing.

    Parameters
    ----------
    graph
        The computation, as it was read.

    Examples
    --------
    >>> from fanin.records.graph import Graph, Node, OpKind, Parameter, Use, UseKind
    >>> dot = Node(id=1, kind=OpKind.CONTRACTION, op="dot", inputs=(), module="", shape=(8, 2), dtype="")
    >>> add = Node(id=2, kind=OpKind.ADD, op="add", inputs=(1,), module="", shape=(8, 2), dtype="")
    >>> bias = Parameter(name="b", shape=(2,), dtype="float32", uses=(Use(node=2, kind=UseKind.BIAS),))
    >>> graph = Graph(
    ...     model="Net", framework="", engine="", nodes=(dot, add), outputs=(2,), path=(1, 2),
    ...     parameters=(bias,), activations=(), branches=(),
    ... )  # fmt: skip
    >>> [(node.id, node.op) for node in with_biases(graph).nodes]
    [(2, 'dot')]
    """
    nodes = {node.id: node for node in graph.nodes}
    readers: dict[int, set[int]] = {}
    for node in graph.nodes:
        for i in node.inputs:
            readers.setdefault(i, set()).add(node.id)
    kinds: dict[int, set[UseKind]] = {}
    for parameter in graph.parameters:
        for use in parameter.uses:
            kinds.setdefault(use.node, set()).add(use.kind)
    one: dict[int, int] = {}
    for add in graph.nodes:
        biases = kinds.get(add.id, set())
        if add.kind != OpKind.ADD or len(add.inputs) != 1 or not biases:
            continue
        made = nodes[add.inputs[0]]
        alone = readers.get(made.id) == {add.id} and made.id not in graph.outputs
        # (What a layer made may be turned before its bias comes; some convolutions have settings by place.)
        told = made.kind == OpKind.CONVOLUTION and bool(made.setting("units"))
        same = made.shape == add.shape or (sorted(made.shape) == sorted(add.shape) and not told)
        if made.kind in _SUMS and alone and same and biases <= _BIASES:
            one[made.id] = add.id
    if not one:
        return graph
    layers = {add: nodes[made] for made, add in one.items()}
    return replace(
        graph,
        nodes=tuple(_renumbered(n, layers, one) for n in graph.nodes if n.id not in one),
        path=tuple(dict.fromkeys(one.get(i, i) for i in graph.path)),
        parameters=tuple(
            replace(p, uses=tuple(replace(u, node=one.get(u.node, u.node)) for u in p.uses))
            for p in graph.parameters
        ),
        branches=tuple(
            replace(b, start=one.get(b.start, b.start), join=one.get(b.join, b.join)) for b in graph.branches
        ),
    )


def _renumbered(node: Node, layers: dict[int, Node], one: dict[int, int]) -> Node:
    made = layers.get(node.id)
    if made is not None:
        parameters = tuple(dict.fromkeys((*made.parameters, *node.parameters)))
        settings, shape = made.settings, made.shape
        if made.kind == OpKind.CONTRACTION:  # the bias lies along the units, and is added along the last
            settings = tuple((key, value) for key, value in settings if key != "units")
            shape = node.shape
        node = replace(made, id=node.id, parameters=parameters, shape=shape, settings=settings)
    return replace(
        node,
        inputs=tuple(one.get(i, i) for i in node.inputs),
        reads=tuple((one.get(read[0], read[0]), *read[1:]) for read in node.reads),
    )
