"""Which nodes compute a derivative of the network that the run itself takes.

A network that solves an equation, or whose forces are slopes of an energy, runs its weights back: a constant
1 goes through the last weight turned round, through the slope of the activation before it, and so on. These
are no layers. What the weights are to do forward decides; asked as layers, a first weight of one input would
be drawn as if it summed over its outputs.
"""

from __future__ import annotations

from fanin.plans.facts import Facts
from fanin.records.axes import Axes, Role
from fanin.records.graph import Node, OpKind, Use, UseKind

__all__ = ["derivative_nodes"]

_TURNED = {Role.IN: Role.OUT, Role.OUT: Role.IN}


def derivative_nodes(facts: Facts) -> frozenset[int]:
    """Nodes of weights that read nothing but a constant, after having been used before, and all behind them.

    The first of them uses its weight turned round. (A recurrence whose state starts at zero reads a constant
    too, but uses its weight there for the first time, and as later.)
    """
    found: set[int] = set()
    earlier: dict[str, list[Use]] = {}
    for node in facts.graph.nodes:
        uses = {
            name: [use for use in facts.parameters[name].uses if use.node == node.id]
            for name in node.parameters
            if name in facts.parameters
        }
        if any(i in found for i in node.inputs) or _starts(node, uses, earlier, found):
            found.add(node.id)
        for name, own in uses.items():
            earlier.setdefault(name, []).extend(own)
    return frozenset(found)


def _starts(node: Node, uses: dict[str, list[Use]], earlier: dict[str, list[Use]], found: set[int]) -> bool:
    if node.inputs or node.kind != OpKind.CONTRACTION:
        return False
    return any(
        use.kind == UseKind.WEIGHT == before.kind and (before.node in found or _turned(use.axes, before.axes))
        for name, own in uses.items()
        for use in own
        for before in earlier.get(name, ())
    )


def _turned(axes: Axes | None, before: Axes | None) -> bool:
    if axes is None or before is None:
        return False
    return axes.roles != before.roles and axes.roles == tuple(_TURNED.get(r, r) for r in before.roles)
