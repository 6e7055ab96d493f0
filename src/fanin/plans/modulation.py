"""Rule for weights that modulate: what they make shifts, scales and gates another signal.

A network that is told a time, a class or a style makes from it, for each block, ``s``, ``t`` and ``g`` of
``x + g f((1 + s) norm(x) + t)``. At zero each block is one that has been told nothing, and passes its
stream on; with power 1 instead, a norm's output leaves with power 3 and scores of attention grow with it.
"""

from __future__ import annotations

from fanin.plans.facts import Facts
from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Constant
from fanin.records.graph import Node, OpKind, UseKind

__all__ = ["MODULATION"]


def _modulation(case: Case) -> Claim | None:
    role, node, facts = case.role, case.node, case.facts
    if role.kind != UseKind.WEIGHT or role.head or role.branch is not None or node is None:
        return None
    parts = [_part(facts, node.id, reader) for reader in _told(facts, node)]
    if "scale" not in parts or None in parts:
        return None
    kinds = [kind for kind in ("scale", "shift", "gate") if kind in parts]
    return Claim(
        scheme="zeros",
        draw=Constant(value=0.0),
        axes=case.axes,
        reason=f"makes the {' and '.join(kinds)} of a norm's output: at zero it starts as a plain norm",
        evidence=(f"1 + its output multiplies what a norm makes: {case.place}",),
        references=("W. Peebles, S. Xie, Scalable Diffusion Models with Transformers, 2023, section 3.2",),
    )


def _told(facts: Facts, node: Node) -> tuple[Node, ...]:
    """Those that read the output of a weight, its bias added."""
    readers = facts.readers.get(node.id, ())
    if len(readers) == 1 and readers[0].kind == OpKind.ADD and len(set(readers[0].inputs)) == 1:
        return facts.readers.get(readers[0].id, ())
    return readers


def _part(facts: Facts, source: int, reader: Node) -> str | None:
    """What a reader does with its part: "scale", "shift" or "gate"; None for anything else."""
    if reader.kind == OpKind.POINTWISE and reader.factor == 1.0 and reader.setting("offset") == (1.0,):
        after = facts.readers.get(reader.id, ())
        return "scale" if after and all(_scales_norm(facts, node) for node in after) else None
    others = [facts.nodes[i] for i in reader.inputs if i != source and i in facts.nodes]
    if reader.kind == OpKind.ADD and any(_scales_norm(facts, node) for node in others):
        return "shift"
    after = facts.readers.get(reader.id, ())
    if reader.kind == OpKind.PRODUCT and after and all(node.id in facts.joins for node in after):
        return "gate"
    return None


def _scales_norm(facts: Facts, node: Node) -> bool:
    sources = [facts.nodes[i].kind for i in node.inputs if i in facts.nodes]
    return node.kind == OpKind.PRODUCT and len(sources) > 1 and OpKind.NORM in sources


MODULATION = Rule(name="modulation", claim=_modulation)
