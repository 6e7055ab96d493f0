"""Residual branches without norms, and how small their weights have to be.

Without a norm, a step of gradient descent changes the output by an amount that grows with the number of
branches and with what each adds. Fixup's rule makes it independent of depth: with L branches of m
weights on a stream, ``L^(-1/(2m-2))`` on all weights of a branch but the last, and zeros for the last.

Trained on digits (SGD, two seeds; 4, 24 and 128 branches of two weights with ReLU), the factor
``1/sqrt(L)`` on the last weight alone diverges above rates of 0.1, 0.03 and 0.001, while Fixup's rule
trains at 0.3, 0.3 and 0.1, and its best accuracy is as good or better. So ``auto`` follows it.
"""

from __future__ import annotations

from fanin.plans.adapters import frozen_beside
from fanin.plans.depth import End, ends, stream_power
from fanin.plans.ending import weight_obstacle
from fanin.plans.facts import Facts
from fanin.plans.rule import Case
from fanin.records.graph import Branch, OpKind

__all__ = ["factor", "plain", "read_power"]

_PLAIN = frozenset(
    {
        OpKind.CONTRACTION,
        OpKind.CONVOLUTION,
        OpKind.ACTIVATION,
        OpKind.POINTWISE,
        OpKind.DROPOUT,
        OpKind.POOL,
        OpKind.ADD,
    }
)
"""What the rule is derived for: weights and activations in a row, with biases."""


def plain(facts: Facts, place: int) -> bool:
    """Whether the branch at this place of the graph's list is one that the rule is made for.

    Neither it nor its stream has a norm, it has two weights or more in a row and no product of signals,
    nothing scales it already, its last weight may be zero, and it is not alone on its stream.
    """
    branch = facts.graph.branches[place]
    if branch.depth < 2 or len(facts.streams[place]) < 2:
        return False
    if any(facts.graph.branches[other].normalised for other in facts.streams[place]):
        return False
    if place in facts.passing_norms:
        return False
    if frozen_beside(facts, branch):  # an adapter: what it is added to is a weight's output, no stream
        return False
    if not facts.kinds_on.get(place, frozenset()) <= _PLAIN:
        return False
    finals = _finals(facts, branch, place)
    return bool(finals) and all(
        not weight_obstacle(case) and ends(case, branch) == End.PLAIN for case in finals
    )


def _finals(facts: Facts, branch: Branch, place: int) -> list[Case]:
    return [
        Case(facts=facts, parameter=facts.parameters[name], use=use)
        for name in branch.final
        if name in facts.parameters
        for use in facts.parameters[name].uses
        if use.branch == place
    ]


def factor(facts: Facts, place: int) -> tuple[float, str]:
    """What all weights but the last are multiplied by, and the formula."""
    count, weights = len(facts.streams[place]), facts.graph.branches[place].depth
    return count ** (-1.0 / (2 * weights - 2)), f"{count}^(-1/{2 * weights - 2})"


def read_power(case: Case) -> tuple[float, str]:
    """Power of a residual stream where a weight reads it; that of its start if its branches are zero."""
    last = case.facts.last_join(case.role)
    if last is not None and all(plain(case.facts, place) for place in case.facts.streams[last]):
        return 1.0, "reads a stream whose branches start at zero"
    return stream_power(case)
