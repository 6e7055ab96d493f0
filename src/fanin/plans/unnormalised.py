"""Residual branches without norms, and how small their weights have to be.

Without a norm, a step of gradient descent changes the output by an amount that grows with the number of
branches and with what each adds. Fixup's rule makes it independent of depth: with L branches of m
weights on a stream, ``L^(-1/(2m-2))`` on all weights of a branch but the last, and zeros for the last.

Trained on digits (SGD, two seeds; 4, 24 and 128 branches of two weights with ReLU), the factor
``1/sqrt(L)`` on the last weight alone diverges above rates of 0.1, 0.03 and 0.001, while Fixup's rule
trains at 0.3, 0.3 and 0.1, and its best accuracy is as good or better. So ``auto`` follows it.
"""

from __future__ import annotations

import math
from dataclasses import replace

from fanin.plans.adapters import frozen_beside
from fanin.plans.depth import End, ends, stream_power
from fanin.plans.ending import weight_obstacle
from fanin.plans.facts import Facts
from fanin.plans.rule import Case, Claim
from fanin.plans.scaled import scaled
from fanin.records.graph import Branch, Node, OpKind, UseKind

__all__ = ["FIXUP", "factor", "multiplied", "plain", "read_power", "shrunk"]

FIXUP = "H. Zhang et al., Fixup Initialization, 2019, section 3"
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


def multiplied(facts: Facts, place: int) -> bool:
    """Whether every branch of a stream is plain but for one number that multiplies and one that shifts."""
    stream = facts.streams[place]
    return len(stream) > 1 and all(_one(facts, other) for other in stream)


def _one(facts: Facts, place: int) -> bool:
    branch, kinds = facts.graph.branches[place], facts.kinds_on.get(place, frozenset())
    if branch.depth < 2 or branch.normalised or place in facts.passing_norms or not kinds <= _PLAIN:
        return False
    finals = _finals(facts, branch, place)
    return bool(finals) and all(_ends_multiplied(facts, case.role.node, branch.join) for case in finals)


def _ends_multiplied(facts: Facts, last: int, join: int) -> bool:
    """Whether a branch's last weight is followed by its multiplier and by nothing else than shifts."""
    after = facts.between(last, join)
    products = [node for node in after if node.kind == OpKind.PRODUCT]
    shifts = all(node.kind == OpKind.ADD and len(node.inputs) == 1 for node in after if node not in products)
    return len(products) == 1 and shifts and _multiplies(facts, products[0])


def _multiplies(facts: Facts, node: Node) -> bool:
    """Whether a node multiplies by one number of its own, and one number is added to what it makes."""
    readers = facts.readers.get(node.id, ())
    if len(node.inputs) != 1 or len(readers) != 1 or readers[0].inputs != (node.id,):
        return False
    return _scalar(facts, node, (UseKind.SCALE,)) and _scalar(
        facts, readers[0], (UseKind.SHIFT, UseKind.BIAS)
    )


def _scalar(facts: Facts, node: Node, kinds: tuple[UseKind, ...]) -> bool:
    """Whether the parameters of a node are one number of this use."""
    own = [facts.parameters[name] for name in node.parameters if name in facts.parameters]
    return len(own) == 1 and all(
        math.prod(parameter.shape) == 1
        and parameter.trainable
        and any(use.node == node.id and use.kind in kinds for use in parameter.uses)
        for parameter in own
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


def shrunk(claim: Claim, facts: Facts, place: int) -> Claim | None:
    """The claim on a weight of such a branch, times what the rule asks; None where no number can scale it."""
    value, formula = factor(facts, place)
    draw = None if claim.draw is None else scaled(claim.draw, value)
    if draw is None:
        return None
    count, depth = len(facts.streams[place]), facts.graph.branches[place].depth
    return replace(
        claim,
        draw=draw,
        scheme=f"{claim.scheme} × {value:.4g}",
        gain=claim.gain * value if claim.gain is not None else None,
        deep=True,
        reason=f"{claim.reason}; on one of {count} branches without norms, hence {formula}",
        evidence=(*claim.evidence, f"{depth} weights on the branch, whose last is zero: L^(-1/(2m-2))"),
        references=tuple(dict.fromkeys((*claim.references, FIXUP))),
    )


def read_power(case: Case) -> tuple[float, str]:
    """Power of a residual stream where a weight reads it; that of its start if its branches are zero."""
    last = case.facts.last_join(case.role)
    if last is not None and _at_zero(case.facts, last):
        return 1.0, "reads a stream whose branches start at zero"
    return stream_power(case)


def _at_zero(facts: Facts, place: int) -> bool:
    return multiplied(facts, place) or all(plain(facts, other) for other in facts.streams[place])
