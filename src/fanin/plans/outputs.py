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

__all__ = ["ends", "meeting", "paired", "summands"]

_MAKING = frozenset({OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.EMBEDDING})
PAIR_STD = LOGIT_STD / 10.0
"""Of what rows of two tables make together. A weight's luck is unlearned with every sample, a row's only
with those that look it up. Trained on clicks (100 users, 50 items, 120 steps of Adam at each start's best
rate, 3 seeds) sums of 8 products and products that a head reads end 1.12 and 1.21 times as high with std 0.5
and 1 as with the rows of 0.1 and 0.01 that are customary; 1.03 and 0.74 times with this one."""
_ADDING = frozenset({OpKind.ADD, OpKind.DROPOUT, OpKind.POINTWISE, OpKind.POOL})
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


def summands(facts: Facts, start: int) -> int:
    """How many signals that serve nothing else are added up to the output, that of a node among them.

    0 where something else is done with it, or with a part of the sum: what a residual stream adds to goes
    on elsewhere too.
    """
    current = start
    while readers := facts.readers.get(current, ()):
        if len(readers) != 1 or not (_adds(readers[0]) or _probabilities(facts, readers[0])):
            return 0
        current = readers[0].id
    if current not in facts.graph.outputs:
        return 0
    found, waiting = 0, [current]
    while waiting:
        node = facts.nodes.get(waiting.pop())
        if node is None or node.kind == OpKind.INPUT:
            continue
        if node.id != current and len(facts.readers.get(node.id, ())) != 1:
            return 0
        if _adds(node) or node.id == current:
            waiting.extend(node.inputs)
        else:
            found += 1
    return found


def _probabilities(facts: Facts, node: Node) -> bool:
    """Whether a node makes probabilities of logits: a softmax, or values in [0, 1] that nobody reads."""
    if node.kind == OpKind.SOFTMAX:
        return True
    values: tuple[float, ...] = (
        () if node.activation is None else facts.graph.activations[node.activation].values
    )
    last = not facts.readers.get(node.id) and node.id in facts.graph.outputs
    return last and bool(values) and min(values) >= 0.0 and max(values) <= 1.0


def _adds(node: Node) -> bool:
    """Whether a node adds signals up, with no more than constant factors."""
    return node.kind in _ADDING and (node.kind != OpKind.POINTWISE or node.factor is not None)


def meeting(case: Case) -> Factor | None:
    """What a weight or a table has to be multiplied by, if its outputs meet another's to make the output."""
    facts = case.facts
    for product in _meetings(facts, case.node):
        count, last = _summed(facts, product)
        if not ends(facts, last):
            continue
        # (Where the other side serves something else besides, this one takes all of it.)
        makers = [_maker(facts, i) for i in product.inputs]
        sides = sum(bool(_meetings(facts, maker)) for maker in makers)
        constant = facts.constant_after(last)
        return Factor(
            value=(LOGIT_STD / (constant * math.sqrt(count))) ** (1.0 / sides),
            reason=f"meets another signal in a sum of {count:g} products, the output: std {LOGIT_STD:g}",
            evidence=(f"of two signals of power 1 the sum has the std {math.sqrt(count) * constant:.3g}",),
        )
    return None


def paired(case: Case) -> Factor | None:
    """The std of a table's rows, if each only meets a row of another table, number by number."""
    facts, node = case.facts, case.node
    readers = facts.readers.get(node.id, ()) if node is not None else ()
    if len(readers) == 1 and readers[0].kind == OpKind.CONCAT:
        # Rows side by side, of which each then meets all: the interactions of a recommender.
        readers = facts.readers.get(readers[0].id, ())
        if any(_summed(facts, reader)[0] < 2.0 for reader in readers):
            return None
    if not readers or not all(_pairs(facts, reader) for reader in readers):
        return None
    count, last = max(_summed(facts, reader) for reader in readers)
    constant = facts.constant_after(last)
    what = f"in a sum of {count:g} products" if count > 1 else "number by number"
    return Factor(
        value=math.sqrt(PAIR_STD / (constant * math.sqrt(count))),
        reason=f"meets a row of another table {what}, which starts small: std {PAIR_STD:g}",
        evidence=("only the samples that look a row up can unlearn what it says by chance",),
        references=("X. He et al., Neural Collaborative Filtering, 2017, section 4.1",),
    )


def _pairs(facts: Facts, product: Node) -> bool:
    """Whether a product is one of two rows, or of a heap of rows with itself."""
    sources = [facts.nodes[i] for i in dict.fromkeys(product.inputs) if i in facts.nodes]
    if product.kind == OpKind.PRODUCT and len(sources) == 1 and sources[0].kind == OpKind.CONCAT:
        rows = [i for i in sources[0].inputs if i in facts.nodes]
        return sum(facts.nodes[i].kind == OpKind.EMBEDDING for i in rows) >= 2
    return product.kind == OpKind.PRODUCT and [source.kind for source in sources] == [OpKind.EMBEDDING] * 2


def _meetings(facts: Facts, node: Node | None) -> tuple[Node, ...]:
    """All readers of what a node makes, its bias added, if each sums its products with another's."""
    readers: tuple[Node, ...] = ()
    while node is not None:
        readers = facts.readers.get(node.id, ())
        onward = len(readers) == 1 and readers[0].kind in (OpKind.ADD, OpKind.DROPOUT)
        node = readers[0] if onward and len(set(readers[0].inputs)) == 1 else None
    meet = all(
        reader.kind == OpKind.PRODUCT
        and len(set(reader.inputs)) == 2
        and all(_maker(facts, i) for i in reader.inputs)
        and _summed(facts, reader)[0] >= 2.0
        for reader in readers
    )
    return readers if meet else ()


def _maker(facts: Facts, id: int) -> Node | None:
    """The weight's or table's node that makes a signal, with no more than its bias after it."""
    node = facts.nodes.get(id)
    while node is not None and node.kind in (OpKind.ADD, OpKind.DROPOUT) and len(set(node.inputs)) == 1:
        node = facts.nodes.get(node.inputs[0])
    return node if node is not None and node.kind in _MAKING and node.parameters else None


def _summed(facts: Facts, product: Node) -> tuple[float, int]:
    """How many products are summed, and where."""
    counted = product.setting("summed")
    if counted:
        return counted[0], product.id
    readers = facts.readers.get(product.id, ())
    if len(readers) == 1 and readers[0].kind == OpKind.POOL and ".sum" in readers[0].op and product.shape:
        return math.prod(product.shape) / max(1, math.prod(readers[0].shape)), readers[0].id
    return 1.0, product.id
