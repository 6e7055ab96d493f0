"""Weights that are used along time: in a cycle of their own outputs, with fresh data at each turn."""

from __future__ import annotations

from itertools import pairwise

from fanin.graphs.ancestry import Ancestry
from fanin.graphs.drafts import Draft, Drafts
from fanin.graphs.steps import Form
from fanin.records.graph import OpKind, UseKind

__all__ = ["find_recurrences"]

_ROWS = 2
"""Dimensions of a table whose rows are biases: that of the input, and that of the state."""
_THROUGH = {OpKind.ADD, OpKind.POINTWISE, OpKind.DROPOUT}


def find_recurrences(drafts: Drafts, ancestry: Ancestry) -> frozenset[int]:
    """Mark recurrent weights and biases; return the adds where state and input meet.

    A weight is recurrent if every later use of it reads what follows from its use before, and
    its output meets another contraction's that does not: data that enters at that step. (A layer
    that is applied again and again to its own output, with nothing entering, is a reused layer.)
    """
    used: dict[str, list[Draft]] = {}
    for node in drafts.nodes.values():
        if node.contracts:
            for use in node.uses:
                if use.kind == UseKind.WEIGHT:
                    used.setdefault(use.name, []).append(node)
    adds: set[int] = set()
    for name, nodes in used.items():
        if len(nodes) < 2:
            continue
        pairs = list(pairwise(nodes))
        if not all(ancestry.descends(later.id, earlier.id) for earlier, later in pairs):
            continue
        meetings = [_meeting(drafts, ancestry, later, earlier) for earlier, later in pairs]
        first = _meeting(drafts, ancestry, nodes[0], None)
        # The first turn may have no state to meet; every later one must meet fresh data.
        found = [meeting for meeting in (first, *meetings) if meeting is not None]
        if any(meeting is None for meeting in meetings):
            continue
        for node in nodes:
            _rename(drafts, node, UseKind.RECURRENT_STATE, name)
        for add, other in found:
            adds.add(add)
            for reader, _ in drafts.nodes[add].readers:
                _rename_biases(drafts.nodes[reader])
            _rename(drafts, drafts.nodes[other], UseKind.RECURRENT_INPUT, None)
        adds.update(_inside(drafts, ancestry, nodes))
    return frozenset(adds)


def _inside(drafts: Drafts, ancestry: Ancestry, nodes: list[Draft]) -> list[int]:
    """Adds between the turns of a recurrence, and in the cell of the last turn: gates, no joins."""
    first, last = nodes[0], nodes[-1]
    turns = ancestry.mask(node.id for node in nodes[1:])
    below = {node.id for node in nodes} | set(ancestry.between(last.id, first.id))
    found: list[int] = []
    # Where modules have no names, the cell of the last turn has as many adds as the turn before.
    adds = [node.id for node in drafts.nodes.values() if node.kind == OpKind.ADD]
    size = sum(nodes[-2].id < id < last.id for id in adds)
    cell = set([id for id in adds if id > last.id][:size])
    for node in drafts.nodes.values():
        if node.kind != OpKind.ADD:
            continue
        module = node.step.module
        here = module == last.step.module if module and last.step.module else node.id in cell
        late = node.id > last.id and here and ancestry.meets(node.id, turns)
        if node.id in below or late:
            found.append(node.id)
    return found


def _meeting(drafts: Drafts, ancestry: Ancestry, node: Draft, before: Draft | None) -> tuple[int, int] | None:
    """The add where a use of the weight meets fresh data, and the contraction of that data."""
    for add, came in _sums(drafts, node):
        for read in add.reads:
            if read.step is None or read.step == came:
                continue
            other = _contraction_behind(drafts, read.step)
            if other is None or other.id == node.id:
                continue
            if before is None or not ancestry.descends(other.id, before.id):
                return add.id, other.id
    return None


def _sums(drafts: Drafts, node: Draft) -> list[tuple[Draft, int]]:
    """Adds of two signals that the node's output enters, past biases, and the side it enters by."""
    found: list[tuple[Draft, int]] = []
    stack = [node.id]
    for _ in range(16):
        if not stack:
            break
        id = stack.pop()
        for reader, _ in drafts.nodes[id].readers:
            after = drafts.nodes[reader]
            if after.kind == OpKind.ADD and len(after.inputs) > 1:
                found.append((after, id))
            elif after.kind in _THROUGH or (
                after.kind == OpKind.PRODUCT and after.step.form == Form.POINTWISE
            ):
                # (A gate multiplies what a state becomes before fresh data is added: GRU.)
                stack.append(reader)
    return found


def _contraction_behind(drafts: Drafts, id: int) -> Draft | None:
    node = drafts.nodes[id]
    while node.kind in _THROUGH and len(node.inputs) == 1:
        node = drafts.nodes[node.inputs[0]]
    return node if node.contracts else None


def _rename(drafts: Drafts, node: Draft, kind: UseKind, name: str | None) -> None:
    """Call a contraction's weight and bias recurrent."""
    for use in node.uses:
        if use.kind == UseKind.WEIGHT and (name is None or use.name == name):
            use.kind = kind
        elif use.kind == UseKind.BIAS:
            use.kind = UseKind.RECURRENT_BIAS
    for reader, _ in node.readers:
        _rename_biases(drafts.nodes[reader])


def _rename_biases(node: Draft) -> None:
    """What is added to a state or its input, and nothing else, is a bias: a row of a table of biases too."""
    for use in node.uses:
        shifts = node.kind == OpKind.ADD and len(node.inputs) == 1 and use.kind == UseKind.SHIFT
        if use.kind == UseKind.BIAS or (shifts and use.rank <= _ROWS):
            use.kind = UseKind.RECURRENT_BIAS
