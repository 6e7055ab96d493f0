"""Llama 3 as torchtitan trains it.

The attention's output, and in the gated layer both the factor without an activation and the last
weight, have the std ``0.02 / sqrt(2 (layer + 1))``. That the factor shrinks too is inherited from an
older code (two branches in one): it is reproduced here, not recommended. torchtitan cuts these draws
at ±2, which for a std of 0.02 is a hundred standard deviations: nothing.
"""

from __future__ import annotations

import math

from fanin.laws import moments
from fanin.plans.convention import BASE_STD, convention, fixed, of_kind, weights
from fanin.plans.rule import Case
from fanin.records.axes import Role
from fanin.records.draw import Draw, Normal
from fanin.records.graph import UseKind

__all__ = ["POLICY"]

_SOURCE = "torchtitan, Llama 3, init_weights with depth_init"
_BRANCHES = 2
"""Attention and feed-forward: a layer is two branches."""
_CUT = 3.0
"""Where the head's draw is cut, in standard deviations."""


def _scaled_by_layer(case: Case) -> bool:
    use = case.role
    if use.kind != UseKind.WEIGHT or use.node not in case.facts.inside:
        return False
    return case.facts.residual(use) is not None or (use.gated and use.activation is None)


def _by_layer(case: Case) -> Draw:
    place = case.facts.inside[case.role.node]
    layer = case.facts.streams[place].index(place) // _BRANCHES
    return Normal(std=BASE_STD / math.sqrt(2.0 * (layer + 1)))


def _is_head(case: Case) -> bool:
    return case.role.kind == UseKind.WEIGHT and case.role.head


def _head(case: Case) -> Draw:
    shape, axes = case.parameter.shape, case.axes
    width = math.prod(shape) // (axes.size(shape, Role.OUT) if axes is not None else shape[0])
    std = 1.0 / math.sqrt(width)
    return moments.truncated_from_parent(0.0, std, -_CUT * std, _CUT * std)


POLICY = convention(
    "llama",
    "Llama 3 in torchtitan: 0.02, by layer 0.02/√(2(layer+1)), tokens 1, head 1/√d cut at 3σ",
    fixed("llama head", _is_head, _head, "the head: 1/√d, cut at 3 standard deviations", _SOURCE),
    fixed(
        "llama residual",
        _scaled_by_layer,
        _by_layer,
        f"ends a residual branch, or is the linear factor of its product: {BASE_STD:g}/√(2(layer+1))",
        _SOURCE,
        deep=True,
    ),
    weights(_SOURCE, "llama"),
    fixed(
        "llama table", of_kind(UseKind.EMBEDDING), Normal(std=1.0), "the table of tokens: N(0, 1)", _SOURCE
    ),
)
