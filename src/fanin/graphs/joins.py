"""Residual joins: adds of a stream with a branch that left it earlier."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import prod

from fanin.graphs.ancestry import Ancestry
from fanin.graphs.drafts import Draft, Drafts
from fanin.graphs.regions import elements_of, part_of
from fanin.graphs.steps import Form, Read
from fanin.records.graph import Branch, OpKind, UseKind

__all__ = ["find_joins"]

_FINAL = {UseKind.WEIGHT, UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """What lies between a branching point and an add, on one side."""

    end: int
    nodes: tuple[int, ...]
    depth: int


def find_joins(drafts: Drafts, ancestry: Ancestry, besides: AbstractSet[int]) -> tuple[Branch, ...]:
    """Find the residual branches, in the order of their joins; final projections are marked.

    An add joins a branch to a stream if one of its inputs is an ancestor of the other, with a
    contraction between. If neither is, both sides are measured from the latest node that they
    share: a side with at most one contraction is a shortcut that projects, when the other has more.

    Parameters
    ----------
    besides
        Adds that are no joins (recurrent state and input).
    """
    branches: list[Branch] = []
    starts: dict[int, int] = {}
    for node in drafts.nodes.values():
        if node.kind != OpKind.ADD or len(node.inputs) < 2 or node.id in besides:
            continue
        if node.step.subtracts:  # the distance from a target
            continue
        found = _branch(drafts, ancestry, node, starts)
        if found is not None:
            start, side = found
            starts[node.id] = start
            finals = _finals(drafts, side.end, start)
            if not finals:
                continue
            for last in finals:
                for use in last.uses:
                    if use.kind in _FINAL and use.branch is None:
                        use.branch = len(branches)
            branches.append(
                Branch(
                    start=start,
                    join=node.id,
                    final=tuple(
                        dict.fromkeys(u.name for last in finals for u in last.uses if u.kind in _FINAL)
                    ),
                    depth=side.depth,
                    normalised=any(drafts.nodes[id].kind == OpKind.NORM for id in side.nodes),
                )
            )
    return tuple(branches)


def _branch(
    drafts: Drafts, ancestry: Ancestry, node: Draft, starts: Mapping[int, int]
) -> tuple[int, _Side] | None:
    reads = [r for r in node.reads if r.step is not None]
    if len(reads) != 2 or reads[0].step is None or reads[1].step is None:
        return None
    a, b = reads[0].step, reads[1].step
    start = ancestry.common(a, b)
    if start is None:
        return None
    if start in (a, b):
        direct, branch = (reads[0], b) if start == a else (reads[1], a)
        # Only a part of the start goes straight to the add: a gate or a time step, no stream.
        if part_of(direct.place, start) and not _moved(direct, start):
            return None
        # A statistic that is added back to every place (a mean) is no stream either.
        if elements_of(direct) < prod(node.step.shape):
            return None
        side = _side(drafts, ancestry, branch, start)
        return (start, side) if side.depth > 0 else None
    # Branches that left together and join one after the other.
    for stream, end in ((a, b), (b, a)):
        root = stream
        while root in starts and not ancestry.descends(end, root):
            root = starts[root]
        if root != stream and ancestry.descends(end, root):
            side = _side(drafts, ancestry, end, root)
            return (root, side) if side.depth > 0 else None
    sides = sorted((_side(drafts, ancestry, end, start) for end in (a, b)), key=lambda s: s.depth)
    short, long = sides
    full = all(elements_of(read) >= prod(node.step.shape) for read in reads)
    if full and short.depth <= 1 < long.depth:
        return start, long
    return None


def _moved(read: Read, start: int) -> bool:
    return read.place is not None and read.place.name.startswith(f"{start}~")


def _side(drafts: Drafts, ancestry: Ancestry, end: int, start: int) -> _Side:
    nodes = tuple(ancestry.between(end, start))
    depth = {start: 0}
    for id in nodes:
        node = drafts.nodes[id]
        before = max((depth[i] for i in node.inputs if i in depth), default=0)
        depth[id] = before + int(node.contracts)
    return _Side(end=end, nodes=nodes, depth=depth.get(end, 0))


def _largest(node: Draft) -> list[int]:
    """Inputs, without those that are spread over the others (the weight of an expert)."""
    sizes = {read.step: elements_of(read) for read in node.reads if read.step is not None}
    most = max(sizes.values(), default=0)
    if node.kind != OpKind.PRODUCT:
        return list(sizes)
    return [id for id, size in sizes.items() if size == most]


def _finals(drafts: Drafts, end: int, start: int) -> list[Draft]:
    """The last contractions with weights on every way from the branch's start to its end."""
    found: list[Draft] = []
    stack, seen = [end], {start}
    while stack:
        id = stack.pop()
        if id in seen or id < start:
            continue
        seen.add(id)
        node = drafts.nodes[id]
        if node.contracts and node.weighted:
            found.append(node)
        elif node.kind == OpKind.EMBEDDING:
            continue
        elif node.kind != OpKind.PRODUCT or node.step.form != Form.CONTRACTION:
            # (What enters a product of two signals steers the branch; it is no projection back.)
            stack.extend(_largest(node))
    return sorted(found, key=lambda node: node.id)
