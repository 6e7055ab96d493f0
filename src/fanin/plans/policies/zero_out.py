"""Zeros for the last weight of each residual branch: every block starts as the identity."""

from __future__ import annotations

from dataclasses import replace

from fanin.plans.ending import final_weight, refuse, weight_obstacle
from fanin.plans.facts import Facts
from fanin.plans.rule import Case, Claim, Modifier
from fanin.records.draw import Constant

__all__ = ["POLICY"]

_SOURCE = "H. Zhang et al., Fixup Initialization, 2019, section 3"


def _change(case: Case, claim: Claim) -> Claim | None:
    weight = final_weight(case)
    if weight is None:
        return None
    obstacle = weight_obstacle(weight)
    if obstacle:
        return replace(claim, evidence=(*claim.evidence, f"ends a residual branch, but {obstacle}"))
    return replace(
        claim,
        scheme="zeros",
        draw=Constant(value=0.0),
        gain=None,
        deep=True,
        reason="ends a residual branch, which starts at zero: the block is the identity at first",
        evidence=(
            weight.place,
            "its own gradient does not vanish: it moves at the first step, those before it at the second",
        ),
        references=(_SOURCE,),
    )


def _check(facts: Facts) -> None:
    obstacles = [
        weight_obstacle(Case(facts=facts, parameter=parameter, use=use))
        for parameter in facts.graph.parameters
        for use in parameter.uses
        if use.branch is not None and facts.residual(use) is not None
    ]
    if all(obstacles):
        sought = "residual branches that end in a weight, with no norm, gate or flat function behind it"
        refuse("zero-out", sought, obstacles, facts)


POLICY = Modifier(
    name="zero-out",
    summary="zeros for the last weight of each residual branch, so that every block starts as the identity",
    change=_change,
    check=_check,
)
