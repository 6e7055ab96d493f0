"""What no other rule explains: flagged, and given the safest law there is."""

from __future__ import annotations

import math

from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Normal
from fanin.records.plan import Status

__all__ = ["REST"]


def _rest(case: Case) -> Claim:
    counted = case.fans if len(case.parameter.shape) >= 2 else None
    seen = f"{case.role.kind} of {case.place}"
    if counted is None:
        return Claim(
            scheme="keep",
            status=Status.UNRECOGNISED,
            reason="no rule knows what it is for; left as it is",
            evidence=(seen,),
        )
    return Claim(
        scheme="lecun_normal",
        status=Status.UNRECOGNISED,
        draw=Normal(std=1.0 / math.sqrt(counted.fan_in)),
        axes=case.axes,
        gain=1.0,
        reason="no rule knows what it is for; drawn so that a sum over it keeps power",
        evidence=(seen,),
        references=("Y. LeCun et al., Efficient BackProp, 1998, equation 16",),
    )


REST = Rule(name="rest", claim=_rest)
