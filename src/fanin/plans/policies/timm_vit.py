"""Vision Transformers as timm makes them by default (``weight_init=""``).

Its draws are cut at ±2, which for a std of 0.02 is a hundred standard deviations: nothing. The
convolution of the patches keeps PyTorch's default, U(±1/√fan), bias included.
"""

from __future__ import annotations

import math

from fanin.laws import moments
from fanin.plans.convention import BASE_STD, convention, fixed, weights
from fanin.plans.rule import Case
from fanin.records.draw import Draw, Normal
from fanin.records.graph import OpKind, UseKind

__all__ = ["POLICY"]

_SOURCE = "timm, models/vision_transformer.py, init_weights_vit_timm"
_TOKEN_STD = 1e-6


def _is_patch(case: Case) -> bool:
    weight = case.role.kind in (UseKind.WEIGHT, UseKind.BIAS)
    return weight and case.node is not None and case.node.kind == OpKind.CONVOLUTION


def _default(case: Case) -> Draw:
    facts, node = case.facts, case.node
    shapes = [facts.parameters[name].shape for name in (node.parameters if node is not None else ())]
    fan = max(math.prod(shape[1:]) for shape in shapes)
    return moments.uniform(std=1.0 / math.sqrt(3.0 * fan))


def _is_token(case: Case) -> bool:
    return case.role.kind == UseKind.SHIFT and case.node is not None and case.node.kind == OpKind.CONCAT


def _is_position(case: Case) -> bool:
    table = case.role.kind == UseKind.SHIFT and len(case.parameter.shape) >= 2
    return table or case.role.kind == UseKind.EMBEDDING


POLICY = convention(
    "timm-vit",
    "timm's Vision Transformers: linear layers and positions 0.02, class token 1e-6, patches as PyTorch",
    fixed("timm-vit patches", _is_patch, _default, "the patches' convolution is left to PyTorch", _SOURCE),
    weights(_SOURCE, "timm-vit"),
    fixed("timm-vit token", _is_token, Normal(std=_TOKEN_STD), "a learned token: 1e-6", _SOURCE),
    fixed("timm-vit positions", _is_position, Normal(std=BASE_STD), "learned positions: 0.02", _SOURCE),
)
