"""Rules for branches as Fixup builds them: no norm, and one number that multiplies, one that shifts.

``x + m W2 f(W1 x + b1) + b2`` with scalars m and b. Such an m stands where a norm's scale would: it starts at
1, and the weight before it at zero. A scalar that stands alone (ReZero, SkipInit), and a row of scales
(LayerScale), start at or near zero themselves and pay for depth; without a scalar bias behind it a
multiplier is taken for one of those.
"""

from __future__ import annotations

from fanin.plans.rule import Case, Claim, Rule
from fanin.plans.unnormalised import FIXUP, multiplied, shrunk
from fanin.plans.weights import WEIGHT
from fanin.records.draw import Constant
from fanin.records.graph import OpKind, UseKind

__all__ = ["MULTIPLIED", "MULTIPLIER"]


def _multiplier(case: Case) -> Claim | None:
    role, node, facts = case.role, case.node, case.facts
    if role.kind != UseKind.SCALE or role.branch is None or node is None or node.kind != OpKind.PRODUCT:
        return None
    if facts.residual(role) is None or not multiplied(facts, role.branch):
        return None
    return Claim(
        scheme="ones",
        draw=Constant(value=1.0 - role.offset),
        reason="the number that multiplies a branch without norms: 1, for the weight before it is zero",
        evidence=(f"a number is added behind it, as where a norm's scale and shift were: {case.place}",),
        references=(FIXUP,),
    )


def _weight(case: Case) -> Claim | None:
    role, facts = case.role, case.facts
    place = facts.inside.get(role.node)
    if role.kind != UseKind.WEIGHT or place is None or not multiplied(facts, place):
        return None
    if facts.residual(role) is not None:
        return Claim(
            scheme="zeros",
            draw=Constant(value=0.0),
            axes=case.axes,
            deep=True,
            reason="ends a residual branch, which starts at zero: the block is the identity at first",
            evidence=(case.place, "the number that multiplies it starts at 1 and lets its gradient through"),
            references=(FIXUP,),
        )
    claim = WEIGHT.claim(case)
    return claim and shrunk(claim, facts, place)


MULTIPLIER = Rule(name="branch multiplier", claim=_multiplier)
MULTIPLIED = Rule(name="branch without norms", claim=_weight)
