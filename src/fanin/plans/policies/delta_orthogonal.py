"""Orthogonal matrices, and for convolutions an orthogonal matrix at the kernel's centre."""

from __future__ import annotations

from dataclasses import replace

from fanin.errors import InputError
from fanin.plans import law
from fanin.plans.magnitudes import magnitude
from fanin.plans.rule import Case, Claim, Rule
from fanin.records.graph import OpKind, UseKind
from fanin.schemes.delta_orthogonal import delta_orthogonal

__all__ = ["POLICY"]

_BASE = law.policy(
    "delta-orthogonal",
    "orthogonal",
    "convolutions: an orthogonal matrix at the kernel's centre; other weights: orthogonal",
)


def _claim(case: Case) -> Claim | None:
    if case.role.kind != UseKind.WEIGHT or case.node is None or case.node.kind != OpKind.CONVOLUTION:
        return None
    if case.axes is not None and case.axes.stride > 1:
        return None  # a step over several places with weights at one of them would not see the others
    scheme = delta_orthogonal()
    try:
        draw = scheme.draw(case.parameter.shape, case.axes)
    except InputError:
        return None  # more inputs than outputs: no centre keeps every length, the whole kernel may
    return Claim(
        scheme=scheme.name,
        draw=draw,
        axes=case.axes,
        reason="policy: the convolution keeps lengths, and starts as a matrix at its centre",
        evidence=(case.place, scheme.law),
        references=scheme.references,
    )


_RULE = Rule(name="delta-orthogonal convolution", claim=_claim)

POLICY = replace(_BASE, uses=(magnitude((_RULE,)), _RULE, *_BASE.uses))
