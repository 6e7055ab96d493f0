"""Zeros for the scale of the last norm of each residual branch, as ResNets are trained with."""

from __future__ import annotations

from dataclasses import replace

from fanin.plans.ending import last_norm, norm_obstacle, refuse
from fanin.plans.facts import Facts
from fanin.plans.rule import Case, Claim, Modifier
from fanin.records.draw import Constant
from fanin.records.graph import Branch, Node, UseKind

__all__ = ["POLICY"]

_SOURCE = "P. Goyal et al., Accurate, Large Minibatch SGD, 2017, section 5.1"
_PARTS = (UseKind.NORM_SCALE, UseKind.NORM_SHIFT)


def _last_norms(facts: Facts) -> list[tuple[Node, Branch]]:
    """The norm that ends each branch, for those that end in one."""
    found: dict[int, tuple[Node, Branch]] = {}
    for parameter in facts.graph.parameters:
        for use in parameter.uses:
            branch, node = facts.residual(use), last_norm(facts, use)
            if branch is not None and node is not None:
                found[node.id] = (node, branch)
    return list(found.values())


def _change(case: Case, claim: Claim) -> Claim | None:
    if case.role.kind not in _PARTS:
        return None
    for node, branch in _last_norms(case.facts):
        if node.id == case.role.node:
            obstacle = norm_obstacle(case.facts, node, branch)
            if obstacle:
                return replace(claim, evidence=(*claim.evidence, f"ends a residual branch, but {obstacle}"))
            return _zeroed(case, claim)
    return None


def _zeroed(case: Case, claim: Claim) -> Claim:
    offset = case.role.offset if case.role.kind == UseKind.NORM_SCALE else 0.0
    reason = "ends a residual branch, which starts at zero: the block is the identity at first"
    if offset:
        reason = f"{reason}; the run multiplies by {offset:g} + w, which has to be 0"
    return replace(
        claim,
        scheme="constant" if offset else "zeros",
        draw=Constant(value=0.0 - offset),
        deep=True,
        reason=reason,
        evidence=(f"the last norm before the join: {case.place}",),
        references=(_SOURCE,),
    )


def _check(facts: Facts) -> None:
    norms = _last_norms(facts)
    obstacles = [norm_obstacle(facts, node, branch) for node, branch in norms]
    if all(obstacles):
        missing = len(facts.joins) - len(norms)
        none = ["no norm between the last weight and the join"] * missing
        sought = "residual branches whose last weight is followed by a norm with a scale, before the join"
        refuse("zero-residual-norm", sought, [*obstacles, *none], facts)


POLICY = Modifier(
    name="zero-residual-norm",
    summary="a scale of 0 for the last norm of each residual branch, so that blocks start as the identity",
    change=_change,
    check=_check,
)
