"""Rules for parameters that start at a neutral constant, or at their constructor's value."""

from __future__ import annotations

import math

from fanin.plans.facts import Facts
from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Constant, Uniform
from fanin.records.graph import OpKind, UseKind
from fanin.records.plan import Status

__all__ = [
    "BIAS",
    "CONSTANTS",
    "CONSTRUCTED",
    "LOUD",
    "NORM_SCALE",
    "NORM_SHIFT",
    "PHASE",
    "STEP",
    "UNSCALED",
]


LOUD = math.sqrt(2.0)
"""A share in the power of scores from which on it is taken away: both shares double the power."""

UNSCALED = (
    "C. Raffel et al., Exploring the Limits of Transfer Learning with T5, 2020 (its code scales queries)"
)


def _norm_scale(case: Case) -> Claim | None:
    if case.role.kind != UseKind.NORM_SCALE:
        return None
    offset, share = case.role.offset, case.role.scores
    loud = share > LOUD
    value = 1.0 / math.sqrt(share) if loud else 1.0
    reason = "a norm's scale: the normalised power stays 1"
    if loud:
        reason = f"the scale of a norm whose output is queries or keys of unscaled scores: 1/√{share:.3g}"
    elif offset:
        reason = f"a norm's scale: the run multiplies by {offset:g} + w, which has to be 1"
    evidence = [f"multiplies the normalised output of {case.place}"]
    if loud:
        evidence.append(
            f"of queries and keys of power 1 the scores would have power {share**2:.3g} before the softmax"
        )
    return Claim(
        scheme="constant",
        draw=Constant(value=value - offset),
        reason=reason,
        evidence=tuple(evidence),
        references=(UNSCALED,) if loud else (),
    )


def _norm_shift(case: Case) -> Claim | None:
    if case.role.kind != UseKind.NORM_SHIFT:
        return None
    return Claim(
        scheme="zeros",
        draw=Constant(value=0.0),
        reason="a norm's shift: the mean stays where the norm puts it",
        evidence=(f"added to the normalised output of {case.place}",),
    )


def _step(case: Case) -> Claim | None:
    role = case.role
    if role.kind not in (UseKind.BIAS, UseKind.SHIFT) or not _is_factor(case.facts, role.node):
        return None
    return Claim(
        scheme="keep",
        status=Status.KEPT,
        reason="softplus of it is a factor (a step size, a width): its constructor's value is the law",
        evidence=(f"added before a softplus whose output multiplies a signal: {case.place}",),
        references=("A. Gu, T. Dao, Mamba, 2023, section 3.6",),
    )


_FACTORS = (OpKind.PRODUCT, OpKind.POINTWISE, OpKind.ACTIVATION)


def _is_factor(facts: Facts, node: int) -> bool:
    """Whether softplus of a node's output multiplies something, instead of being summed over."""
    for reader in facts.readers.get(node, ()):
        if reader.activation is not None and facts.powers[reader.activation].name == "softplus":
            after = facts.readers.get(reader.id, ())
            if after and all(found.kind in _FACTORS for found in after):
                return True
    return False


def _phase(case: Case) -> Claim | None:
    role, facts = case.role, case.facts
    if role.kind != UseKind.BIAS or not facts.reads_input(role):
        return None
    for reader in facts.readers.get(role.node, ()):
        power = facts.powers[reader.activation] if reader.activation is not None else None
        if power is not None and power.input_power < 1.0:
            half = math.pi * math.sqrt(power.input_power)
            return Claim(
                scheme="uniform",
                draw=Uniform(low=-half, high=half),
                reason=f"phases of {power.name}: spread over one wave, or the network would start odd",
                evidence=(f"added before {power.name}, which reads the input: {case.place}",),
            )
    return None


def _bias(case: Case) -> Claim | None:
    if case.role.kind not in (UseKind.BIAS, UseKind.RECURRENT_BIAS):
        return None
    return Claim(
        scheme="zeros",
        draw=Constant(value=0.0),
        reason="a bias: the weights alone break the symmetry",
        evidence=(f"added to the output of {case.place}",),
    )


_CONSTRUCTED = {
    UseKind.SCALE: "a scale or gate: its constructor's value is the law",
    UseKind.DECAY: "a rate of forgetting, under an exponential: its constructor's value is the law",
    UseKind.ACTIVATION_PARAMETER: "a parameter of an activation: its constructor's value is the law",
}


def _constructed(case: Case) -> Claim | None:
    reason = _CONSTRUCTED.get(case.role.kind)
    if reason is None:
        return None
    if case.role.kind == UseKind.SCALE and case.role.branch is not None:
        reason = "the scale of a residual branch: its constructor's value is the law"
    return Claim(
        scheme="keep", status=Status.KEPT, reason=reason, evidence=(f"{case.role.kind} of {case.place}",)
    )


NORM_SCALE = Rule(name="norm scale", claim=_norm_scale)
NORM_SHIFT = Rule(name="norm shift", claim=_norm_shift)
STEP = Rule(name="step size", claim=_step)
PHASE = Rule(name="phase", claim=_phase)
BIAS = Rule(name="bias", claim=_bias)
CONSTRUCTED = Rule(name="constructor value", claim=_constructed)

CONSTANTS = (NORM_SCALE, NORM_SHIFT, STEP, PHASE, BIAS, CONSTRUCTED)
