"""Fixup's rule for residual branches without norms; ``auto`` follows it by itself.

The scalar biases and multipliers that the paper adds to the architecture are its owner's to add.
"""

from __future__ import annotations

from fanin.plans.ending import refuse
from fanin.plans.facts import Facts
from fanin.plans.policies.zero_out import POLICY as ZERO_OUT
from fanin.plans.rule import Case, Claim, Modifier
from fanin.plans.unnormalised import plain, shrunk
from fanin.records.graph import UseKind

__all__ = ["POLICY"]


def _change(case: Case, claim: Claim) -> Claim | None:
    place = case.facts.inside.get(case.role.node)
    if place is None or not plain(case.facts, place):
        return None
    last = ZERO_OUT.change(case, claim)
    if last is not None:
        return last
    if case.role.kind != UseKind.WEIGHT or claim.draw is None or claim.deep:
        return None
    return shrunk(claim, case.facts, place)


def _check(facts: Facts) -> None:
    places = facts.joins.values()
    if not any(plain(facts, place) for place in places):
        told = [
            "a norm lies on it, or on its stream"
            if facts.graph.branches[place].normalised or place in facts.passing_norms
            else "one weight, alone on its stream, scaled already, or not weights and activations in a row"
            for place in places
        ]
        refuse("fixup", "residual branches of two weights or more in a row, without norms", told, facts)


POLICY = Modifier(
    name="fixup",
    summary="branches without norms: last weights 0, the others × L^(-1/(2m-2)) for L branches of m weights",
    change=_change,
    check=_check,
)
