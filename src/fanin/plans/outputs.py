"""What outputs ask that are products of two signals: of a user's row and an item's, of a query and a place.

The sum of d products of numbers of power p has power ``d p^2``: of rows of power 1 the first logits would
have the std sqrt(d). So both sides get ``p = LOGIT_STD / sqrt(d)``, less by the constants on the way.
"""

from __future__ import annotations

import math

from fanin.plans.depth import Factor
from fanin.plans.facts import Facts
from fanin.plans.logits import LOGIT_STD
from fanin.plans.rule import Case
from fanin.records.graph import Node, OpKind

__all__ = ["ends", "meeting"]

_MAKING = frozenset({OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.EMBEDDING})
_SUMMING = frozenset(
    {
        OpKind.CONTRACTION,
        OpKind.CONVOLUTION,
        OpKind.RECURRENCE,
        OpKind.ATTENTION,
        OpKind.NORM,
        OpKind.EMBEDDING,
    }
)


def ends(facts: Facts, start: int) -> bool:
    """Whether nothing sums over what a node makes: only the output and a loss, or a choice, follow."""
    seen: set[int] = set()
    waiting = [start]
    while waiting:
        id = waiting.pop()
        for reader in facts.readers.get(id, ()):
            if reader.dtype.removeprefix("torch.") == "bool" or reader.id in seen:
                continue  # a choice passes no signal on
            passed_softmax = facts.nodes[id].kind == OpKind.SOFTMAX and reader.kind == OpKind.PRODUCT
            if reader.kind in _SUMMING or passed_softmax or reader.id in facts.joins:
                return False
            seen.add(reader.id)
            waiting.append(reader.id)
    return True


def meeting(case: Case) -> Factor | None:
    """What a weight or a table has to be multiplied by, if its outputs meet another's to make the output."""
    facts = case.facts
    product = _met(facts, case.node)
    if product is None or len(set(product.inputs)) != 2 or product.kind != OpKind.PRODUCT:
        return None
    if not all(_maker(facts, i) for i in product.inputs):
        return None
    count, last = _summed(facts, product)
    if count < 2.0 or not ends(facts, last):
        return None
    constant = facts.constant_after(last)
    return Factor(
        value=math.sqrt(LOGIT_STD / constant) / count**0.25,
        reason=f"meets another signal in a sum of {count:g} products, which is the output: std {LOGIT_STD:g}",
        evidence=(f"of two signals of power 1 the sum would have the std {math.sqrt(count) * constant:.3g}",),
    )


def _met(facts: Facts, node: Node | None) -> Node | None:
    """The only reader of what a node makes, its bias added."""
    while node is not None:
        readers = facts.readers.get(node.id, ())
        if len(readers) != 1:
            return None
        node = readers[0]
        if not (node.kind in (OpKind.ADD, OpKind.DROPOUT) and len(set(node.inputs)) == 1):
            return node
    return None


def _maker(facts: Facts, id: int) -> bool:
    """Whether a weight or a table makes a signal, with no more than its bias after it."""
    node = facts.nodes.get(id)
    while node is not None and node.kind in (OpKind.ADD, OpKind.DROPOUT) and len(set(node.inputs)) == 1:
        node = facts.nodes.get(node.inputs[0])
    return node is not None and node.kind in _MAKING and bool(node.parameters)


def _summed(facts: Facts, product: Node) -> tuple[float, int]:
    """How many products are summed, and where."""
    counted = product.setting("summed")
    if counted:
        return counted[0], product.id
    readers = facts.readers.get(product.id, ())
    if len(readers) == 1 and readers[0].kind == OpKind.POOL and ".sum" in readers[0].op and product.shape:
        return math.prod(product.shape) / max(1, math.prod(readers[0].shape)), readers[0].id
    return 1.0, product.id
