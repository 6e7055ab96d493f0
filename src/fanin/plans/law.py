"""Rules that give every weight one named law, whatever it feeds or reads."""

from __future__ import annotations

from fanin.plans.constants import CONSTANTS
from fanin.plans.embeddings import EMBEDDINGS, TIED
from fanin.plans.kept import KEEPING
from fanin.plans.magnitudes import magnitude
from fanin.plans.recurrent import gate_axes
from fanin.plans.rest import REST
from fanin.plans.rule import Case, Claim, Policy, Rule
from fanin.records.graph import UseKind
from fanin.schemes import registry
from fanin.schemes.base import Scheme

__all__ = ["policy"]

_SUMMED = (UseKind.WEIGHT, UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE)


def policy(name: str, scheme: str | Scheme, summary: str) -> Policy:
    """A policy that draws every weight from one scheme, with true fans.

    Norms, biases and tables, for which a law of fans says nothing, get what ``auto`` gives them.

    Parameters
    ----------
    name, summary
        Of the policy.
    scheme
        The scheme, or its name for its default form.
    """
    rule = Rule(name=name, claim=lambda case: _claim(case, scheme))
    return Policy(
        name=name,
        summary=summary,
        tensors=(*KEEPING, TIED),
        uses=(magnitude((rule,)), *CONSTANTS, *EMBEDDINGS, rule, REST),
    )


def _claim(case: Case, scheme: str | Scheme) -> Claim | None:
    if case.role.kind not in _SUMMED or len(case.parameter.shape) < 2:
        return None
    axes = case.axes if case.role.kind == UseKind.WEIGHT else gate_axes(case)
    if axes is None or (case.role.kind == UseKind.WEIGHT and case.fans is None):
        return None
    law = registry.get(scheme) if isinstance(scheme, str) else scheme
    return Claim(
        scheme=law.name,
        draw=law.draw(case.parameter.shape, axes),
        law=law,
        axes=axes,
        reason=f"policy: every weight follows {law.name}",
        evidence=(case.place, law.law),
        references=law.references,
    )
