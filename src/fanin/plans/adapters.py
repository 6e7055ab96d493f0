"""Rule for adapters: a low-rank pair of weights beside a frozen one."""

from __future__ import annotations

from fanin.plans.facts import Facts
from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Constant
from fanin.records.graph import Branch, Node, OpKind, UseKind

__all__ = ["ADAPTER", "frozen_beside"]

_PASSING = (OpKind.DROPOUT, OpKind.POINTWISE, OpKind.ADD)
_STEPS = 8
"""Biases, factors and dropout between a weight and the sum, at the most."""


def _adapter(case: Case) -> Claim | None:
    use, facts = case.role, case.facts
    branch = facts.residual(use) if use.kind == UseKind.WEIGHT else None
    frozen = frozen_beside(facts, branch) if branch is not None else ""
    if not frozen:
        return None
    return Claim(
        scheme="zeros",
        draw=Constant(value=0.0),
        axes=case.axes,
        reason="ends an adapter beside a frozen weight: zero, so the model starts as what was loaded",
        evidence=(case.place, f"its output is added to that of {frozen}, which requires no gradient"),
        references=("E. Hu et al., LoRA, 2021, section 4.1",),
    )


def frozen_beside(facts: Facts, branch: Branch) -> str:
    """The frozen weight whose output a branch is added to, and that reads what it reads; "" for none."""
    join = facts.nodes.get(branch.join)
    for id in join.inputs if join is not None else ():
        node = facts.nodes.get(id)
        for _ in range(_STEPS):
            if node is None or node.kind not in _PASSING or len(node.inputs) != 1:
                break
            node = facts.nodes.get(node.inputs[0])
        if node is not None and branch.start in node.inputs:
            weights = _weights(facts, node)
            if weights and not any(facts.parameters[name].trainable for name in weights):
                return weights[0]
    return ""


def _weights(facts: Facts, node: Node) -> list[str]:
    return [
        name
        for name in node.parameters
        if name in facts.parameters
        and any(use.node == node.id and use.kind == UseKind.WEIGHT for use in facts.parameters[name].uses)
    ]


ADAPTER = Rule(name="adapter", claim=_adapter)
