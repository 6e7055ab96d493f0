"""Rule for numbers that spread one number of the signal over many: a linear layer of one input each.

Embeddings of numerical features multiply every feature by a row of its own, ``x_j w_jk``. The product
looks like a learned scale, but nothing is scaled: the signal has one number where the product has a row
of them, so the row is a weight with a fan_in of 1, and ``E (w x)^2 = E w^2 E x^2``.
"""

from __future__ import annotations

import math
from collections import Counter

from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Normal
from fanin.records.graph import OpKind, UseKind

__all__ = ["SPREAD"]

_SUMMING = frozenset(
    {OpKind.ADD, OpKind.CONCAT, OpKind.NORM, OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.DROPOUT}
)
"""What reads features. An exponential or a sine reads a rate or a frequency, which is no weight."""


def _spread(case: Case) -> Claim | None:
    role, node, facts = case.role, case.node, case.facts
    if role.kind != UseKind.SCALE or role.branch is not None or role.offset or node is None:
        return None
    if node.kind != OpKind.PRODUCT or len(node.inputs) != 1 or node.inputs[0] not in facts.nodes:
        return None
    before, after = math.prod(facts.nodes[node.inputs[0]].shape), math.prod(node.shape)
    readers = facts.readers.get(node.id, ())
    if not before or after <= before or not _lacks(facts.nodes[node.inputs[0]].shape, node.shape, case):
        return None
    if facts.scores(node.id) or not readers or any(reader.kind not in _SUMMING for reader in readers):
        return None
    return Claim(
        scheme="normal",
        draw=Normal(std=1.0),
        gain=1.0,
        reason=f"spreads each number of the signal over {after // before}: a weight of fan_in 1",
        evidence=(
            f"{before} numbers go into the product and {after} come out: {case.place}",
            "what reads them expects power 1, which the signal is taken to have",
        ),
        references=(
            "Y. Gorishniy et al., Revisiting Deep Learning Models for Tabular Data, 2021, section 3.3",
        ),
    )


def _lacks(before: tuple[int, ...], after: tuple[int, ...], case: Case) -> bool:
    """Whether the product has the parameter's dimensions more; padding makes more numbers too."""
    more = Counter(size for size in after if size > 1)
    more.subtract(size for size in before if size > 1)
    known = Counter(size for size in case.parameter.shape if size > 1)
    return all(0 <= count <= known[size] for size, count in more.items())


SPREAD = Rule(name="spread", claim=_spread)
