"""What a drawing of a model shows: boxes, arrows, and blocks that repeat.

A recorded run has more nodes than anyone wants to see. Kept are those that hold parameters, change the
kind of signal, or bring two signals together; whatever only moves or scales one signal is part of the
arrow. Blocks that repeat with the same plan are drawn once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fanin.records.graph import Branch, Graph, Node, OpKind
from fanin.records.plan import Entry, Plan, Status
from fanin.reports.graph_repeats import Repeat, repeats

__all__ = ["Arrow", "Box", "Group", "Label", "Picture", "picture"]

_SHOWN = {
    OpKind.INPUT,
    OpKind.NORM,
    OpKind.ACTIVATION,
    OpKind.SOFTMAX,
    OpKind.ATTENTION,
    OpKind.POOL,
    OpKind.RECURRENCE,
}
_WORDS = {
    OpKind.CONTRACTION: "linear",
    OpKind.PRODUCT: "multiply",
    OpKind.POOL: "pool",
    OpKind.OTHER: "",
    OpKind.POINTWISE: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A parameter's line in a box: its own name, its shape, and what it gets."""

    name: str
    shape: str
    draw: str
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A node that is drawn."""

    id: int
    title: str
    where: str
    shape: str
    labels: tuple[Label, ...] = ()
    join: bool = False
    head: bool = False
    holds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Boxes of a block that is there several times, in a row."""

    title: str
    boxes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """From one box to another; `skips` past a residual branch, on the stream."""

    start: int
    end: int
    skips: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that a renderer has to know."""

    title: str
    boxes: tuple[Box, ...]
    groups: tuple[Group, ...]
    arrows: tuple[Arrow, ...]
    outputs: tuple[int, ...]


def picture(graph: Graph, plan: Plan, *, fold: bool = True) -> Picture:
    """Choose what is drawn of a graph, with its parameters' draws.

    Parameters
    ----------
    graph, plan
        Of the same model.
    fold
        Whether blocks that repeat are drawn once.

    Returns
    -------
    Picture
        Boxes in execution order; arrows between boxes that are drawn.
    """
    entries = {name: entry for entry in plan.entries for name in (entry.name, *entry.aliases)}
    sources = _sources(graph)
    shown = [node for node in graph.nodes if sources[node.id] == (node.id,)]
    place = {node.id: i for i, node in enumerate(shown)}
    inputs = [_inputs(node, sources) for node in shown]
    heads = {use.node for p in graph.parameters for use in p.uses if use.head}
    joins = {branch.join: branch for branch in graph.branches}
    boxes = [_box(graph, node, entries, heads, joins) for node in shown]
    found: tuple[Repeat, ...] = ()
    if fold:
        keys = [(box.title, _numberless(box.where), box.shape, box.labels, box.join) for box in boxes]
        found = repeats(keys, [tuple(place[i] for i in ids) for ids in inputs], [b.where for b in boxes])
    first = list(range(len(boxes)))
    for repeat in found:
        for i in range(repeat.start, repeat.start + repeat.period * repeat.count):
            first[i] = repeat.start + (i - repeat.start) % repeat.period
    nodes = {node.id: node for node in graph.nodes}
    arrows: dict[tuple[int, int], Arrow] = {}
    for i, ids in enumerate(inputs):
        for id in ids:
            a, b = first[place[id]], first[i]
            # (What leads from one block to the next of its kind is what repeating means.)
            if a < b:
                branch = joins.get(shown[i].id)
                skips = branch is not None and not _ends(nodes, branch, id)
                arrow = Arrow(start=boxes[a].id, end=boxes[b].id, skips=skips)
                arrows.setdefault((a, b), arrow)
    drawn = tuple(box for i, box in enumerate(boxes) if first[i] == i)
    last = {source for id in graph.outputs for source in sources.get(id, ())}
    return Picture(
        title=plan.summary(),
        boxes=drawn,
        groups=tuple(_group(repeat, boxes) for repeat in found),
        arrows=tuple(arrows.values()),
        outputs=tuple(sorted({boxes[first[place[id]]].id for id in last if id in place})),
    )


def _sources(graph: Graph) -> dict[int, tuple[int, ...]]:
    """For each node, the drawn nodes that it stands for: itself, or those it comes from."""
    buffers = {p.name for p in graph.parameters if p.buffer}
    joins = {branch.join for branch in graph.branches}
    alive = _alive(graph)
    found: dict[int, tuple[int, ...]] = {}
    for node in graph.nodes:
        before = tuple(dict.fromkeys(s for i in node.inputs for s in found.get(i, ())))
        holds = any(name not in buffers for name in node.parameters)
        mixes = len(before) > 1
        itself = holds or node.id in joins or (node.id in alive and (node.kind in _SHOWN or mixes))
        found[node.id] = (node.id,) if itself else before
    return found


def _alive(graph: Graph) -> set[int]:
    alive = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.id in alive or not graph.outputs:
            alive.update(node.inputs, (node.id,))
    return alive


def _inputs(node: Node, sources: Mapping[int, tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(s for i in node.inputs for s in sources.get(i, ())))


def _ends(nodes: Mapping[int, Node], branch: Branch, node: int) -> bool:
    """Whether a node that a join reads is the branch's end, and not the stream or its shortcut."""
    waiting, seen = [node], set[int]()
    while waiting:
        id = waiting.pop()
        if id <= branch.start or id in seen or id not in nodes:
            continue
        seen.add(id)
        if set(nodes[id].parameters) & set(branch.final):
            return True
        waiting.extend(nodes[id].inputs)
    return False


def _box(
    graph: Graph, node: Node, entries: Mapping[str, Entry], heads: set[int], joins: Mapping[int, Branch]
) -> Box:
    activation = graph.activations[node.activation].name if node.activation is not None else ""
    buffers = {p.name for p in graph.parameters if p.buffer}
    held = [entries[name] for name in node.parameters if name in entries and name not in buffers]
    # Weights before their biases.
    labels = tuple(_label(entry) for entry in sorted(held, key=lambda entry: -len(entry.shape)))
    title = (
        activation or _WORDS.get(node.kind, node.kind.value) or node.op.removeprefix("aten.").split(".")[0]
    )
    return Box(
        id=node.id,
        title="+" if node.id in joins else title,
        where=node.module,
        shape="×".join(map(str, node.shape)),
        labels=labels,
        join=node.id in joins,
        head=node.id in heads,
        holds=bool(labels),
    )


def _label(entry: Entry) -> Label:
    draws = [str(block.draw) for block in entry.blocks] or [str(entry.draw or entry.status)]
    return Label(
        name=entry.name.rpartition(".")[2],
        shape="×".join(map(str, entry.shape)) or "scalar",
        draw=" | ".join(dict.fromkeys(draws)),
        status=entry.status,
    )


def _numberless(path: str) -> str:
    return ".".join("#" if part.isdigit() else part for part in path.split("."))


def _group(repeat: Repeat, boxes: Sequence[Box]) -> Group:
    block = boxes[repeat.start : repeat.start + repeat.period]
    return Group(title=f"{repeat.title} ×{repeat.count}".strip(), boxes=tuple(box.id for box in block))
