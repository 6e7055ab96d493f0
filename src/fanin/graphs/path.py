"""The chain of nodes that everything between the first weight and the output passes."""

from __future__ import annotations

from fanin.graphs.drafts import Drafts
from fanin.records.graph import OpKind

__all__ = ["main_path"]


def main_path(drafts: Drafts) -> tuple[int, ...]:
    """Nodes that no edge jumps over, from the first weighted node to the output.

    Only nodes that follow from the first weighted node of the main input, and lead to an
    output, are looked at. A node is on the path if no edge between two of the others passes it
    in execution order.
    """
    first = _first(drafts)
    if first is None or not drafts.outputs:
        return ()
    below = {first}
    for id, node in drafts.nodes.items():
        if id > first and any(i in below for i in node.inputs):
            below.add(id)
    last = next((id for id in drafts.outputs if id in below), None)
    if last is None:
        return ()
    leading = {last}
    for id in reversed(drafts.nodes):
        if id in leading:
            leading.update(i for i in drafts.nodes[id].inputs if i in below)
    path: list[int] = []
    reach = first
    for id in drafts.nodes:
        if id not in leading or id > last:
            continue
        if reach <= id:
            path.append(id)
        ends = [reader for reader, _ in drafts.nodes[id].readers if reader in leading]
        reach = max([reach, *ends])
    return tuple(path)


def _first(drafts: Drafts) -> int | None:
    """The first weighted node of the first input that leads to one; any weighted node failing that."""
    inputs = [id for id, node in drafts.nodes.items() if node.kind == OpKind.INPUT]
    for start in inputs:
        below = {start}
        for id, node in drafts.nodes.items():
            if any(i in below for i in node.inputs):
                if node.weighted:
                    return id
                below.add(id)
    return next((id for id, node in drafts.nodes.items() if node.weighted), None)
