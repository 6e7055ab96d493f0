"""Rules for recurrent weights, gate by gate.

The gates of an LSTM or GRU are packed along the out dimension. They are separate maps, so fans are
counted, and orthogonal matrices drawn, for one gate: `Axes.groups` says how many are packed.
"""

from __future__ import annotations

import math
from dataclasses import replace

from fanin.laws.fans import fans
from fanin.plans.rule import Case, Claim, Rule
from fanin.records.axes import Axes, Role
from fanin.records.draw import Normal, Orthogonal
from fanin.records.graph import UseKind

__all__ = ["RECURRENT", "gate_axes"]

_GATES = {"lstm": 4, "gru": 3}
_TWO_WAYS = (Role.OUT, Role.IN)


def gate_axes(case: Case) -> Axes:
    """Axes of a recurrent weight with its gates as groups of the out dimension."""
    axes = case.axes or Axes(roles=_TWO_WAYS)
    if axes.groups > 1:
        return axes
    node = case.node
    named = [count for word, count in _GATES.items() if node is not None and word in node.op.lower()]
    gates = len(case.role.blocks) or (named[0] if named else 1)
    rows = axes.size(case.parameter.shape, Role.OUT)
    return replace(axes, groups=gates) if rows % gates == 0 else axes


def _gates(axes: Axes) -> str:
    return f"each of {axes.groups} gates is a map of its own" if axes.groups > 1 else "one map, no gates"


def _input(case: Case) -> Claim | None:
    if case.role.kind != UseKind.RECURRENT_INPUT or len(case.parameter.shape) != 2:
        return None
    axes = gate_axes(case)
    counted = fans(case.parameter.shape, axes)
    return Claim(
        scheme="glorot_normal",
        draw=Normal(std=math.sqrt(1.0 / counted.fan_avg)),
        axes=axes,
        gain=1.0,
        reason="input weight of a recurrence: Glorot, gate by gate",
        evidence=(case.place, _gates(axes)),
        references=("X. Glorot, Y. Bengio, 2010, equation 12",),
    )


def _state(case: Case) -> Claim | None:
    if case.role.kind != UseKind.RECURRENT_STATE or len(case.parameter.shape) != 2:
        return None
    axes = gate_axes(case)
    shape = case.parameter.shape
    rows = axes.size(shape, Role.OUT) // axes.groups
    columns = math.prod(shape) // axes.size(shape, Role.OUT)
    return Claim(
        scheme="orthogonal",
        draw=Orthogonal(gain=1.0, std=1.0 / math.sqrt(max(rows, columns))),
        axes=axes,
        gain=1.0,
        reason="state weight of a recurrence: orthogonal, gate by gate",
        evidence=(case.place, _gates(axes), "the state keeps its length however often it is multiplied"),
        references=("A. M. Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014",),
    )


RECURRENT = (Rule(name="recurrent input", claim=_input), Rule(name="recurrent state", claim=_state))
