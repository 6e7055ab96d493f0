"""A factor ``1/sqrt(N)`` on the last weight of each of N residual branches.

``auto`` does so by itself; behind another policy this adds it, once.
"""

from __future__ import annotations

from dataclasses import replace

from fanin.plans.depth import depth
from fanin.plans.ending import final_weight, refuse
from fanin.plans.facts import Facts
from fanin.plans.rule import Case, Claim, Modifier
from fanin.plans.scaled import scaled
from fanin.records.graph import UseKind

__all__ = ["POLICY"]


def _change(case: Case, claim: Claim) -> Claim | None:
    constant_bias = case.role.kind == UseKind.BIAS and claim.draw is not None and claim.draw.std == 0.0
    weight = None if claim.deep or constant_bias else final_weight(case)
    factor = depth(weight) if weight is not None else None
    if factor is None or claim.draw is None:
        return None
    draw = scaled(claim.draw, factor.value)
    if draw is None:
        return None
    return replace(
        claim,
        draw=draw,
        scheme=claim.scheme if factor.value == 1.0 else f"{claim.scheme} × {factor.value:.4g}",
        gain=claim.gain * factor.value if claim.gain is not None else None,
        deep=True,
        reason=f"{claim.reason}; {factor.reason}",
        evidence=(*claim.evidence, *factor.evidence),
        references=tuple(dict.fromkeys((*claim.references, *factor.references))),
    )


def _check(facts: Facts) -> None:
    if not facts.joins:
        refuse("depth-scaled", "adds that join a branch to a stream that it left earlier", [], facts)


POLICY = Modifier(
    name="depth-scaled",
    summary="1/√N on the last weight of each of N residual branches, none where the forward pass scales them",
    change=_change,
    check=_check,
)
