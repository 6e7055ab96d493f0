"""Rule for the magnitudes of weight-normalised layers.

``W = g v / |v|`` forgets the scale of v: what a law asks of W has to be put into g. A row of n numbers
of standard deviation s has length ``s sqrt(n)``, so that is what g gets.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Constant
from fanin.records.graph import OpKind, UseKind

__all__ = ["direction", "magnitude"]

_SOURCE = "T. Salimans, D. P. Kingma, Weight Normalization, 2016, section 2"
_SUMS = (OpKind.CONTRACTION, OpKind.CONVOLUTION)


def magnitude(rules: tuple[Rule, ...]) -> Rule:
    """The rule for magnitudes of weights that are drawn by the given rules."""
    return Rule(name="magnitude", claim=_claim_by(rules))


def _claim_by(rules: tuple[Rule, ...]) -> Callable[[Case], Claim | None]:
    def claim(case: Case) -> Claim | None:
        weight = direction(case)
        if weight is None:
            return None
        asked = next((found for rule in rules if (found := rule.claim(weight)) is not None), None)
        if asked is None or asked.draw is None:
            return None
        row = math.prod(weight.parameter.shape) / math.prod(case.parameter.shape)
        # A tried weight says what its numbers are when the magnitude is 1; a row of length 1 otherwise.
        value = asked.draw.std / (weight.role.spread or 1.0 / math.sqrt(row))
        return Claim(
            scheme="constant",
            draw=Constant(value=value),
            gain=asked.gain,
            deep=asked.deep,
            reason=f"the length of a normalised row, for a weight that {asked.reason}",
            evidence=(
                f"{weight.parameter.name} has rows of {row:g}, normalised and multiplied by it: {case.place}",
                *asked.evidence,
            ),
            references=(
                "T. Salimans, D. P. Kingma, Weight Normalization, 2016, section 2",
                *asked.references,
            ),
        )

    return claim


def direction(case: Case) -> Case | None:
    """The weight at the same node whose rows this parameter measures: one number a row."""
    node = case.node
    if case.role.kind != UseKind.SCALE or node is None or node.kind not in _SUMS:
        return None
    shape = case.parameter.shape
    for parameter in case.facts.graph.parameters:
        if parameter.name == case.parameter.name or len(parameter.shape) != len(shape):
            continue
        if any(mine not in (1, whole) for mine, whole in zip(shape, parameter.shape, strict=True)):
            continue
        for use in parameter.uses:
            if use.node == case.role.node and use.kind == UseKind.WEIGHT:
                return Case(facts=case.facts, parameter=parameter, use=use)
    return None
