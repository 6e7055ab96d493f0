"""Rules of conventions: laws that others' code applies, to be reproduced or audited against."""

from __future__ import annotations

from collections.abc import Callable

from fanin.plans.constants import BIAS, CONSTRUCTED, NORM_SCALE, NORM_SHIFT
from fanin.plans.kept import KEEPING
from fanin.plans.rule import Case, Claim, Policy, Rule
from fanin.records.draw import Draw, Normal
from fanin.records.graph import UseKind
from fanin.records.plan import Status

__all__ = ["BASE_STD", "convention", "fixed", "of_kind", "weights"]

BASE_STD = 0.02
"""BERT and GPT took it for a width of 768, where it is 0.55/√768; ``initializer_range`` in transformers."""


def of_kind(*kinds: UseKind) -> Callable[[Case], bool]:
    """Whether a case is a use of one of some kinds."""
    return lambda case: case.role.kind in kinds


def fixed(
    name: str,
    applies: Callable[[Case], bool],
    draw: Draw | Callable[[Case], Draw],
    reason: str,
    source: str,
    *,
    deep: bool = False,
) -> Rule:
    """A rule that gives a draw whatever the fans are.

    Parameters
    ----------
    name
        Of the rule.
    applies
        Whether it is asked about a case of a use.
    draw
        What it answers, or what works that out.
    reason, source
        Why, and where the law is written down.
    deep
        Whether the law has the depth of the residual stream in it.
    """

    def claim(case: Case) -> Claim | None:
        if not applies(case):
            return None
        drawn = draw(case) if callable(draw) else draw
        return Claim(
            scheme=type(drawn).__name__,
            draw=drawn,
            axes=case.axes,
            deep=deep,
            reason=reason,
            evidence=(case.place,),
            references=(source,),
        )

    return Rule(name=name, claim=claim)


def convention(name: str, summary: str, *rules: Rule) -> Policy:
    """A policy of fixed rules: constants as everywhere, and the constructor's values for what is left.

    Parameters
    ----------
    name, summary
        Of the policy.
    *rules
        Asked in order, after those for norms and before the one for biases.
    """
    own = Rule(name=f"{name} constructor", claim=lambda case: _own(case, name))
    return Policy(
        name=name,
        summary=summary,
        tensors=KEEPING,
        uses=(NORM_SCALE, NORM_SHIFT, *rules, BIAS, CONSTRUCTED, own),
    )


def weights(source: str, name: str, std: float = BASE_STD) -> Rule:
    """Every weight ``N(0, std²)``."""
    reason = f"every weight has the same std, {std:g}, whatever its fans"
    return fixed(f"{name} weight", of_kind(UseKind.WEIGHT), Normal(std=std), reason, source)


def _own(case: Case, name: str) -> Claim:
    return Claim(
        scheme="keep",
        status=Status.KEPT,
        reason=f"the convention '{name}' does not touch it: its constructor's value stays",
        evidence=(f"{case.role.kind} of {case.place}",),
    )
