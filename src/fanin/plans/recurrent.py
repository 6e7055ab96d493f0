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
from fanin.records.graph import OpKind, UseKind

__all__ = ["RECURRENT", "gate_axes"]

_GATES = {"lstm": 4, "gru": 3}
_TWO_WAYS = (Role.OUT, Role.IN)
_SUMMING = (OpKind.ADD, OpKind.POINTWISE)
_STEPS = 6
"""Biases and sums on the way from a weight to its gates, at the most."""


def gate_axes(case: Case) -> Axes:
    """Axes of a recurrent weight with its gates as groups of the out dimension."""
    axes = case.axes or Axes(roles=_TWO_WAYS)
    if axes.groups > 1:
        return axes
    node = case.node
    named = [count for word, count in _GATES.items() if node is not None and word in node.op.lower()]
    gates = len(case.role.blocks) or (named[0] if named else _parts(case))
    rows = axes.size(case.parameter.shape, Role.OUT)
    return replace(axes, groups=gates) if rows % gates == 0 else axes


def _parts(case: Case) -> int:
    """Into how many parts the output is cut, once input and state have been added."""
    node = case.node
    for _ in range(_STEPS):
        if node is None or not node.shape:
            return 1
        readers = [reader for reader in case.facts.readers.get(node.id, ()) if reader.shape]
        smaller = {reader.shape[-1] for reader in readers if reader.shape[-1] < node.shape[-1]}
        if smaller:
            size = max(smaller)
            return node.shape[-1] // size if node.shape[-1] % size == 0 else 1
        same = [reader for reader in readers if reader.shape[-1] == node.shape[-1]]
        node = same[0] if same and all(n.kind in _SUMMING for n in same) else None
    return 1


def _gates(axes: Axes) -> str:
    return f"each of {axes.groups} gates is a map of its own" if axes.groups > 1 else "one map, no gates"


def _by_gate(axes: Axes) -> str:
    return f", each of {axes.groups} gates by itself" if axes.groups > 1 else ""


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
        reason=f"input weight of a recurrence: Glorot{_by_gate(axes)}",
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
        reason=f"state weight of a recurrence: orthogonal{_by_gate(axes)}",
        evidence=(case.place, _gates(axes), "the state keeps its length however often it is multiplied"),
        references=("A. M. Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014",),
    )


RECURRENT = (Rule(name="recurrent input", claim=_input), Rule(name="recurrent state", claim=_state))
