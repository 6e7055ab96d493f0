"""Weights that make weights: what a layer asks whose matrix another layer's output is.

``y_i = sum_j A_ij(c) x_j`` over d numbers of power 1 has the power ``d E A^2``, so the numbers that are made
have to have the power ``1/d``, as a weight of fan_in d has; with power 1 each such layer multiplies the
power by d. That a product applies a matrix is seen from its sizes: every number of the matrix is used once,
and there are more of them than of the signal. (A query meets every key, and a key every query.)
"""

from __future__ import annotations

import math

from fanin.plans.depth import Factor
from fanin.plans.facts import Facts
from fanin.plans.logits import LOGIT_STD
from fanin.plans.outputs import ends
from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Normal
from fanin.records.graph import Node, OpKind, UseKind

__all__ = ["MADE_SHIFT", "made"]

_SOURCE = "O. Chang et al., Principled Weight Initialization for Hypernetworks, 2020, section 4"
_PASSING = frozenset({OpKind.ADD, OpKind.DROPOUT, OpKind.POINTWISE})


def made(case: Case) -> Factor | None:
    """What a weight has to be multiplied by whose outputs are the matrix of another layer."""
    asked = _asked(case.facts, case.node)
    if not asked:
        return None
    std, count = min(asked)
    return Factor(
        value=std,
        reason=f"makes the weights of a layer that sums over {count:g}: std {std:.3g}",
        evidence=(f"of made weights of power 1 that layer's outputs would have the power {count:g}",),
        references=(_SOURCE,),
    )


def _asked(facts: Facts, node: Node | None, constant: float = 1.0) -> list[tuple[float, float]]:
    """For each layer that a signal is the matrix of: the std that its numbers should have, and its fan_in."""
    found: list[tuple[float, float]] = []
    for reader in facts.readers.get(node.id, ()) if node is not None else ():
        if reader.kind == OpKind.PRODUCT:
            count = _applies(facts, reader, node)
            if count:
                found.append((_gain(facts, reader) / (constant * math.sqrt(count)), count))
        elif reader.kind in _PASSING and len(set(reader.inputs)) == 1:
            shifted = math.sqrt(2.0) if _own_matrix(facts, reader) else 1.0
            found += _asked(facts, reader, constant * abs(reader.factor or 1.0) * shifted)
    return found


def _applies(facts: Facts, product: Node, matrix: Node | None) -> float:
    """How many numbers a product sums over that applies a matrix; 0 for any other product."""
    (count,) = product.setting("summed") or (0.0,)
    others = [facts.nodes[i] for i in product.inputs if matrix is not None and i != matrix.id]
    if count < 2 or len(others) != 1 or matrix is None or others[0].kind == OpKind.SOFTMAX:
        return 0.0
    numbers = math.prod(product.shape) * count
    whole = math.prod(_read_sizes(product, matrix))
    weighs = math.prod(_read_sizes(product, others[0])) < whole == round(numbers)
    return count if weighs and not facts.scores(product.id) else 0.0


def _read_sizes(reader: Node, source: Node) -> tuple[int, ...]:
    """Sizes of the part of a node's output that another node reads."""
    for read in reader.reads:
        if read[0] == source.id and len(read) > 1:
            return read[1 + (len(read) - 1) // 2 :]
    return source.shape


def _gain(facts: Facts, product: Node) -> float:
    """What follows a made layer asks of it, as of any other."""
    if ends(facts, product.id):
        return LOGIT_STD
    readers = facts.readers.get(product.id, ())
    if len(readers) == 1 and readers[0].kind == OpKind.ADD and len(set(readers[0].inputs)) == 1:
        readers = facts.readers.get(readers[0].id, ())
    powers = [facts.powers[r.activation] for r in readers if r.activation is not None]
    return powers[0].gain if len(powers) == len(readers) == 1 and powers[0].scale_free else 1.0


def _own_matrix(facts: Facts, node: Node) -> bool:
    """Whether a matrix that does not depend on the input is added to what is made."""
    return any(
        use.node == node.id and use.kind == UseKind.SHIFT and sum(size > 1 for size in parameter.shape) > 1
        for name in node.parameters
        if (parameter := facts.parameters.get(name)) is not None
        for use in parameter.uses
    )


def _shift(case: Case) -> Claim | None:
    node = case.node
    if case.role.kind != UseKind.SHIFT or node is None or not _own_matrix(case.facts, node):
        return None
    asked = _asked(case.facts, node)
    if not asked or sum(size > 1 for size in case.parameter.shape) < 2:
        return None
    std, count = min(asked)
    return Claim(
        scheme="normal",
        draw=Normal(std=std / math.sqrt(2.0)),
        axes=case.axes,
        reason=f"half of the weights of a layer that sums over {count:g}, the other half is made",
        evidence=(f"added to what becomes the matrix of a layer: {case.place}",),
        references=(_SOURCE,),
    )


MADE_SHIFT = Rule(name="added to made weights", claim=_shift)
