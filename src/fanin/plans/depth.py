"""What depth asks of a residual branch's last weight, and how loud the stream gets.

N branches of power 1 each, added to a stream of power 1, make power ``1 + N``; with the factor
``1/sqrt(N)`` on each they make 2. Branches are counted in the graph. A branch that is scaled already
(by a constant, a learned gate, or a norm that undoes factors) gets none: depth is paid for once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from fanin.plans.rule import Case
from fanin.records.graph import Branch, Node, OpKind, UseKind

__all__ = ["End", "Factor", "depth", "ends", "stream_power"]

_DEPTH = "A. Radford et al., Language Models are Unsupervised Multitask Learners, 2019, section 2.3"
_FIXUP = "H. Zhang et al., Fixup Initialization, 2019, section 2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One factor of a gain."""

    value: float
    reason: str
    evidence: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


class End(StrEnum):
    """What stands between a branch's last weights and the stream behind its join."""

    PLAIN = "plain"
    NORM = "norm"
    GATE = "gate"
    CONSTANT = "constant"


def depth(case: Case) -> Factor | None:
    """The factor that the residual stream asks of a branch's last weight; None for any other."""
    use, facts = case.role, case.facts
    branch = facts.residual(use)
    if use.branch is None or branch is None:
        return None
    if use.activation is not None and not facts.powers[use.activation].scale_free:
        return None  # a gate on the branch: a factor before its activation is none at the join
    count = len(facts.streams[use.branch])
    if count == 1:
        return None
    seen = f"its output reaches the add at node {branch.join}; {count} branches counted on this stream"
    text = f"ends one of {count} residual branches"
    end = ends(case, branch)
    if end == End.NORM:
        return Factor(value=1.0, reason=f"{text}, where a norm undoes any factor", evidence=(seen,))
    if end != End.PLAIN:
        told = {End.GATE: "a parameter of its own", End.CONSTANT: "a constant of the forward pass"}[end]
        return Factor(
            value=1.0,
            reason=f"{text}, which are scaled already",
            evidence=(seen, f"{told} multiplies the branch or the sum: depth is paid for once"),
        )
    if branch.normalised:
        growth = f"without the factor the stream's power would grow to 1 + {count}, with it to 2"
    else:
        growth = (
            f"no norm on the branch: without the factor the stream's power could double {count} times, "
            f"with it stays below e"
        )
    return Factor(
        value=1.0 / math.sqrt(count),
        reason=f"{text}, hence 1/√{count}",
        evidence=(seen, growth),
        references=(_DEPTH,) if branch.normalised else (_FIXUP,),
    )


def ends(case: Case, branch: Branch) -> End:
    """What stands between a branch's last weights and the stream behind its join."""
    facts = case.facts
    found: set[End] = set()
    for name in branch.final:
        for use in facts.parameters[name].uses if name in facts.parameters else ():
            if facts.residual(use) == branch:
                found.add(_end(case, facts.between(use.node, branch.join)))
    end = found.pop() if len(found) == 1 else End.PLAIN
    return End.CONSTANT if end == End.PLAIN and _shrinks_sum(case, branch) else end


def _end(case: Case, after: tuple[Node, ...]) -> End:
    if any(node.kind == OpKind.NORM for node in after):
        return End.NORM
    if any(_gates(case, node) for node in after):
        return End.GATE
    factor = math.prod(node.factor for node in after if node.factor is not None)
    # A multiplication that could not be followed is taken for what it mostly is.
    unknown = any(_multiplies(case, node) and node.factor is None for node in after)
    return End.CONSTANT if unknown or abs(factor) < 1.0 else End.PLAIN


def _shrinks_sum(case: Case, branch: Branch) -> bool:
    """Whether the sum itself is scaled down, as in ``(x + f(x)) / sqrt(2)``."""
    readers = case.facts.readers.get(branch.join, ())
    return bool(readers) and all(node.factor is not None and 0.0 < abs(node.factor) < 1.0 for node in readers)


def _gates(case: Case, node: Node) -> bool:
    """Whether a node multiplies by a parameter of its own."""
    return any(
        use.kind == UseKind.SCALE
        for name in node.parameters
        if name in case.facts.parameters
        for use in case.facts.parameters[name].uses
        if use.node == node.id
    )


def _multiplies(case: Case, node: Node) -> bool:
    named = "mul" in node.op or "div" in node.op
    return node.kind == OpKind.POINTWISE and named and not _gates(case, node)


def stream_power(case: Case) -> tuple[float, str]:
    """Power of an unnormalised residual stream where a weight reads it, at the most."""
    facts = case.facts
    last = facts.last_join(case.role)
    if last is None:
        return 1.0, ""
    branches = [facts.graph.branches[place] for place in facts.streams[last]]
    if any(ends(case, branch) == End.NORM for branch in branches):
        return 1.0 + len(branches), f"reads a stream to which {len(branches)} branches add power 1 each"
    if all(branch.normalised for branch in branches):
        return 2.0, f"reads a stream to which {len(branches)} branches add power 1 in all"
    power = (1.0 + 1.0 / len(branches)) ** len(branches)
    return power, f"reads a stream that {len(branches)} branches let grow to power {power:.3g}"
