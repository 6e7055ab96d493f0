"""What ends a residual branch, and whether zeros may stand there.

A branch may start at zero where its last factor is zero, and only that one: the gradient of a product
at zero is the other factor. Where two factors are zero, or a function without a slope follows, nothing
would ever leave zero.
"""

from __future__ import annotations

from collections import Counter

from fanin.errors import InputError, explain
from fanin.laws.quadrature import NODES
from fanin.plans.depth import End, ends
from fanin.plans.facts import Facts
from fanin.plans.magnitudes import direction
from fanin.plans.rule import Case
from fanin.records.graph import Branch, Node, OpKind, Use, UseKind

__all__ = ["final_weight", "last_norm", "norm_obstacle", "refuse", "weight_obstacle"]

_MIDDLE = len(NODES) // 2
_FLAT = 1e-3
"""A function with less slope than this at zero passes no gradient worth the name."""


def final_weight(case: Case) -> Case | None:
    """The case of the branch's last weight that a tensor belongs to: itself, its bias, or its magnitude.

    A weight whose length a magnitude sets does not count: the magnitude stands for it.
    """
    kind = case.role.kind
    if kind == UseKind.SCALE:
        found = direction(case)
    elif kind == UseKind.BIAS:
        found = _at_node(case, UseKind.WEIGHT)
    elif kind == UseKind.WEIGHT:
        magnitude = _at_node(case, UseKind.SCALE)
        found = None if magnitude is not None and direction(magnitude) is not None else case
    else:
        found = None
    if found is None or case.facts.residual(found.role) is None:
        return None
    return found


def _at_node(case: Case, kind: UseKind) -> Case | None:
    """Another parameter at the same node, by its part there."""
    node = case.node
    for name in node.parameters if node is not None else ():
        parameter = case.facts.parameters.get(name)
        for use in parameter.uses if parameter is not None else ():
            if use.node == case.role.node and use.kind == kind and parameter is not None:
                return Case(facts=case.facts, parameter=parameter, use=use)
    return None


def weight_obstacle(case: Case) -> str:
    """Why a branch's last weight must not be zero; empty if it may be."""
    facts, use = case.facts, case.role
    branch = facts.residual(use)
    if branch is None:
        return "it ends no residual branch"
    if use.gated and (use.activation is not None or not _gate_of(case, branch)):
        return "it is one factor of a product, whose gradient vanishes with the other factor"
    if use.activation is not None and not use.gated and (told := _flat(facts, use.activation)):
        return told
    end = ends(case, branch)
    if end == End.NORM:
        return "a norm follows, which divides by the spread of what it reads: zero-residual-norm is for it"
    if end == End.GATE:
        return "a gate of its own scales the branch, and behind a gate that starts at zero it would stay zero"
    return ""


def _gate_of(case: Case, branch: Branch) -> bool:
    """Whether another last weight of the branch makes the squashed factor of the same product."""
    return any(
        use.branch == case.role.branch and use.gated and use.activation is not None
        for name in branch.final
        if name in case.facts.parameters
        for use in case.facts.parameters[name].uses
    )


def _flat(facts: Facts, activation: int) -> str:
    values, name = facts.graph.activations[activation].values, facts.powers[activation].name
    before, at, after = values[_MIDDLE - 1 : _MIDDLE + 2]
    step = float(NODES[_MIDDLE + 1])
    if abs(at) > _FLAT * step:
        return f"{name} follows, which is {at:.3g} at zero"
    if min(abs(after - at), abs(at - before)) < _FLAT * step:
        return f"{name} follows, which has no slope at zero"
    return ""


def last_norm(facts: Facts, use: Use) -> Node | None:
    """The last norm between a branch's final weight and its join."""
    branch = facts.residual(use)
    if branch is None:
        return None
    norms = [node for node in facts.between(use.node, branch.join) if node.kind == OpKind.NORM]
    return norms[-1] if norms else None


def norm_obstacle(facts: Facts, node: Node, branch: Branch) -> str:
    """Why the scale of a branch's last norm must not be zero; empty if it may be."""
    for after in facts.between(node.id, branch.join):
        if after.activation is not None and (told := _flat(facts, after.activation)):
            return told
    if not any(
        use.kind == UseKind.NORM_SCALE and use.node == node.id
        for name in node.parameters
        if name in facts.parameters
        for use in facts.parameters[name].uses
    ):
        return "the norm has no scale of its own"
    return ""


def refuse(name: str, sought: str, obstacles: list[str], facts: Facts) -> None:
    """Raise the error of a modifier that can change nothing in a model.

    Parameters
    ----------
    name, sought
        The modifier, and what it looks for.
    obstacles
        For each branch that was found, why it is none of these.
    """
    counted = Counter(obstacles)
    found = "; ".join(f"{count} of them: {why}" for why, count in counted.items() if why)
    branches = len(facts.joins)
    raise InputError(
        explain(
            f"The policy '{name}' finds nothing to change in {facts.graph.model}",
            received=f"{branches} residual branches" + (f", {found}" if found else ""),
            rule=f"It looks for {sought}",
            remedy="Leave it out, or see the branches that were found: fanin plan TARGET --graph out.svg",
        )
    )
