"""What the framework itself would have drawn, in fanin's streams.

The laws are those of each layer's ``reset_parameters`` in PyTorch, its fans included: the second
dimension times the kernel, also for transposed convolutions, where that is not the true fan.
"""

from __future__ import annotations

import math

from fanin.errors import InputError, explain
from fanin.laws import moments
from fanin.plans.constants import CONSTRUCTED, NORM_SCALE, NORM_SHIFT
from fanin.plans.kept import KEEPING
from fanin.plans.rest import REST
from fanin.plans.rule import Case, Claim, Policy, Rule
from fanin.records.draw import Constant, Normal
from fanin.records.graph import Parameter, Use, UseKind
from fanin.records.plan import Status

__all__ = ["ATTENTION", "POLICY", "RECURRENT"]

_SOURCE = ("PyTorch, reset_parameters of the layer",)
_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
"""Attributes of ``nn.MultiheadAttention``, which no other layer of the framework has."""
_RECURRENT = (UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE, UseKind.RECURRENT_BIAS)


def _only_torch(case: Case) -> Claim | None:
    if case.facts.graph.framework.split()[0] == "torch":
        return None
    raise InputError(
        explain(
            "The policy 'framework' knows the defaults of PyTorch only",
            received=f"a graph of {case.facts.graph.framework}",
            remedy="Use policy='auto', or 'glorot' for the defaults of Keras",
        )
    )


def _fan(parameter: Parameter) -> int:
    """PyTorch's fan_in: the second dimension times the kernel."""
    return math.prod(parameter.shape[1:])


def _bound(fan: int, reason: str, case: Case) -> Claim:
    return Claim(
        scheme="uniform",
        draw=moments.uniform(std=1.0 / math.sqrt(3.0 * fan)),
        axes=case.axes,
        reason=f"{reason}: U(±1/√{fan})",
        evidence=(case.place,),
        references=_SOURCE,
    )


def _neighbours(case: Case) -> tuple[tuple[Parameter, Use], ...]:
    """Other parameters that the same module reads."""
    facts, node = case.facts, case.node
    if node is None:
        return ()
    return tuple(
        (parameter, use)
        for parameter in facts.graph.parameters
        for use in parameter.uses
        if parameter.owner == case.parameter.owner and parameter.name != case.parameter.name
    )


def _attention(case: Case) -> Claim | None:
    """``nn.MultiheadAttention`` resets its projections by a law of its own, and both of its biases."""
    name, shape = case.parameter.name, case.parameter.shape
    attribute = name.rpartition(".")[2]
    if attribute in _PROJECTIONS and case.role.kind == UseKind.WEIGHT and len(shape) == 2:
        # Of the stored shape: three packed projections count as one of three times the outputs.
        return Claim(
            scheme="uniform",
            draw=moments.uniform(std=math.sqrt(2.0 / (shape[0] + shape[1]))),
            axes=case.axes,
            reason="the framework's default for the projections of attention: Glorot, of the packed shape",
            evidence=(case.place,),
            references=_SOURCE,
        )
    beside = f"{name.removesuffix('out_proj.bias')}in_proj_bias"
    closing = name.endswith("out_proj.bias") and beside in case.facts.parameters
    if case.role.kind == UseKind.BIAS and (attribute == "in_proj_bias" or closing):
        return Claim(
            scheme="zeros",
            draw=Constant(value=0.0),
            reason="the framework's default for the biases of attention",
            evidence=(case.place,),
            references=_SOURCE,
        )
    return None


def _weight(case: Case) -> Claim | None:
    if case.role.kind != UseKind.WEIGHT or len(case.parameter.shape) < 2:
        return None
    return _bound(_fan(case.parameter), "the framework's default for linear layers and convolutions", case)


def _bias(case: Case) -> Claim | None:
    if case.role.kind != UseKind.BIAS:
        return None
    weights = [p for p, use in _neighbours(case) if use.kind == UseKind.WEIGHT and len(p.shape) >= 2]
    if not weights:
        return None
    return _bound(_fan(weights[0]), "the framework's default for the bias of such a layer", case)


def _recurrent(case: Case) -> Claim | None:
    if case.role.kind not in _RECURRENT:
        return None
    states = [p for p, use in _neighbours(case) if use.kind == UseKind.RECURRENT_STATE]
    if case.role.kind == UseKind.RECURRENT_STATE:
        states.insert(0, case.parameter)
    if not states:
        return None
    return _bound(states[0].shape[-1], "the framework's default for recurrent layers", case)


def _table(case: Case) -> Claim | None:
    if case.role.kind != UseKind.EMBEDDING:
        return None
    return Claim(
        scheme="normal",
        draw=Normal(std=1.0),
        axes=case.axes,
        reason="the framework's default for embeddings",
        evidence=(case.place,),
        references=_SOURCE,
    )


def _own(case: Case) -> Claim | None:
    if case.role.kind not in (UseKind.BIAS, UseKind.SHIFT, UseKind.OTHER, UseKind.EMBEDDING):
        return None
    return Claim(
        scheme="keep",
        status=Status.KEPT,
        reason="no layer of the framework resets it: its constructor's value is its default",
        evidence=(case.place,),
    )


RECURRENT = Rule(name="framework recurrent", claim=_recurrent)
ATTENTION = Rule(name="framework attention", claim=_attention)

POLICY = Policy(
    name="framework",
    summary="what PyTorch's own layers draw by default, its fans included, in fanin's streams",
    tensors=(Rule(name="only torch", claim=_only_torch), *KEEPING),
    uses=(
        NORM_SCALE,
        NORM_SHIFT,
        CONSTRUCTED,
        RECURRENT,
        ATTENTION,
        Rule(name="framework weight", claim=_weight),
        Rule(name="framework bias", claim=_bias),
        Rule(name="framework embedding", claim=_table),
        Rule(name="framework constructor", claim=_own),
        REST,
    ),
)
