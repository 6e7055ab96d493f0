"""GPT-2: 0.02 for everything, and ``1/sqrt(N)`` of it for the last weight of each residual branch."""

from __future__ import annotations

import math

from fanin.plans.convention import BASE_STD, convention, fixed, of_kind, weights
from fanin.plans.rule import Case
from fanin.records.draw import Draw, Normal
from fanin.records.graph import UseKind

__all__ = ["POLICY"]

_SOURCE = "A. Radford et al., Language Models are Unsupervised Multitask Learners, 2019, section 2.3"


def _ends_branch(case: Case) -> bool:
    return case.role.kind == UseKind.WEIGHT and case.facts.residual(case.role) is not None


def _residual(case: Case) -> Draw:
    count = len(case.facts.streams[case.role.branch]) if case.role.branch is not None else 1
    return Normal(std=BASE_STD / math.sqrt(count))


POLICY = convention(
    "gpt2",
    "GPT-2 as published: weights and tables N(0, 0.02²), last weights of N residual branches 0.02/√N",
    fixed(
        "gpt2 residual",
        _ends_branch,
        _residual,
        f"ends a residual branch: {BASE_STD:g}/√N for N branches",
        _SOURCE,
        deep=True,
    ),
    weights(_SOURCE, "gpt2"),
    fixed(
        "gpt2 table",
        of_kind(UseKind.EMBEDDING),
        Normal(std=BASE_STD),
        f"tables of tokens and positions have the std of the weights, {BASE_STD:g}",
        _SOURCE,
    ),
)
