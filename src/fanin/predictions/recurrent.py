"""Recurrent layers that a framework runs as one operation: their steps, one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fanin.laws.hermite import Expansion, expand
from fanin.laws.quadrature import NODES
from fanin.predictions.context import Context
from fanin.predictions.gradient import Gradient
from fanin.predictions.layers import luck_of
from fanin.predictions.signal import Signal, joined
from fanin.records.graph import Node, UseKind
from fanin.records.prediction import Certainty

__all__ = ["recurrence", "recurrence_back"]

Floats = NDArray[np.float64]

_INDEPENDENT = "gates, cell and state of a recurrence are taken as independent at every step"
_STEPS = 512
"""Steps that are followed; a recurrence has settled long before."""
_SIGMOID = 1.0 / (1.0 + np.exp(-NODES))
_TANH = np.tanh(NODES)
_RELU = np.maximum(NODES, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pre:
    """A pre-activation: second moment, and product moments of two samples and of two steps."""

    power: float
    far: float
    near: float

    def of(self, values: NDArray[np.float64]) -> tuple[Expansion, float, float]:
        """Moments of a function of it: its own, of two samples, and of two steps."""
        found = expand(values, variance=self.power)
        return found, found.pair(self._correlation(self.far)), found.pair(self._correlation(self.near))

    def _correlation(self, moment: float) -> float:
        return min(1.0, max(-1.0, moment / self.power)) if self.power > 0.0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What a recurrence does: its gates (1 or 4), the function of the new content, and its weights.

    `came` and `back` are ``var n`` of the weights of input and state, `bias` the biases' second moment.
    """

    gates: int
    values: NDArray[np.float64]
    came: float
    back: float
    bias: float
    units: float
    features: float
    per_row: float
    """Second moment of an element of the input's weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One step: the state's moments, and what its gradient meets."""

    power: float
    far: float
    new: Expansion
    gate: Expansion | None = None
    out: Expansion | None = None
    cell: float = 0.0
    """Second moment of the cell before the step."""


def recurrence(context: Context, node: Node) -> Signal | None:
    """Second moment of the states of an LSTM, or of a plain recurrent layer, over its steps.

    ``q_gate = var_x n_x q_x + var_h n_h E h^2 + E b^2``; for an LSTM ``E c'^2 = E s(f)^2 E c^2 + E s(i)^2 E
    tanh(g)^2 + 2 E s(f) E s(i) E c tanh(g)`` and ``E h^2 = E s(o)^2 E tanh(c)^2``. None for other cells.
    """
    layer = _layer(context, node)
    if layer is None:
        return None
    before = context.signals[context.reads(node)[0][0]]
    steps = _steps(context, node, layer, before)
    power, far = (float(np.mean([getattr(s, key) for s in steps])) for key in ("power", "far"))
    certainty, reasons = joined([(before.certainty, before.reasons)], Certainty.APPROXIMATE, _INDEPENDENT)
    found = Signal(
        power=power,
        profile=_by_step(steps),
        near=far,
        far=far,
        scatter=before.scatter,
        gaussian=False,
        width=layer.units,
        certainty=certainty,
        reasons=reasons,
    )
    return replace(found, luck=found.luck.drawn(node.id, luck_of(context, node, found, None)))


def _by_step(steps: Sequence[_Step]) -> Floats | None:
    """Power by step of a layer that goes one way."""
    powers = np.array([step.power for step in steps])
    middle = float(powers.mean())
    return powers / middle if middle > 0.0 and len(steps) > 1 else None


def recurrence_back(context: Context, node: Node, g: Gradient) -> Gradient | None:
    """The gradient at the inputs: through the gates of every step, and back through time.

    ``dh_t = g_t + W_h' da_{t+1}`` and ``dc_t = dh_t s(o) tanh'(c) + dc_{t+1} s(f)``, whose second moments add
    up, but for gradients of several steps that are alike: these meet in the cell without weights between
    them. Each input gets ``var_x n_gates E da^2``.
    """
    layer = _layer(context, node)
    if layer is None:
        return None
    before = context.signals[context.reads(node)[0][0]]
    steps = _steps(context, node, layer, before)
    given = _given(g, len(steps), layer.units)
    later, cell, common, total = 0.0, 0.0, 0.0, 0.0
    for step, own in zip(reversed(steps), reversed(given), strict=True):
        state = own + layer.back * later  # W_h' da, over the rows of all gates
        if step.gate is None or step.out is None:
            later = state * step.new.slope_power
        else:
            gate, out = step.gate, step.out
            through = gate.mean * out.slope
            alike = 2.0 * through * gate.mean * max(g.near, 0.0) * math.sqrt(own) * common
            cell = state * gate.power * out.slope_power + cell * gate.power + alike
            common = through * math.sqrt(own) + gate.mean * common
            opened = state * out.power * gate.slope_power
            later = opened + cell * (
                gate.slope_power * (step.cell + step.new.power) + gate.power * step.new.slope_power
            )
        total += later
    power = total * layer.per_row * layer.units * layer.features
    certainty, reasons = joined([(g.certainty, g.reasons)], Certainty.APPROXIMATE, _INDEPENDENT)
    return replace(
        g,
        power=power,
        profile=None,
        along=0.0,
        scatter=g.scatter + (1.0 - g.scatter) / layer.units,
        luck=g.luck.drawn(-node.id - 1, math.sqrt(2.0 / (layer.gates * layer.units))),
        behind=node.id,
        certainty=certainty,
        reasons=reasons,
    )


def _given(g: Gradient, steps: int, units: float) -> list[float]:
    """Second moment of an element of the gradient that arrives at every step."""
    share = np.full(steps, 1.0 / steps)
    if g.profile is not None and g.profile.size == steps:
        share = g.profile.ravel()
    return [float(g.power * s / units) for s in share]


def _layer(context: Context, node: Node) -> _Layer | None:
    reads = context.reads(node)
    uses = context.uses.get(node.id, [])
    wide = [(p, u) for p, u in uses if u.kind == UseKind.RECURRENT_INPUT and p.name in context.weights]
    deep = [(p, u) for p, u in uses if u.kind == UseKind.RECURRENT_STATE and p.name in context.weights]
    if not reads or len(wide) != 1 or len(deep) != 1 or not node.shape:
        return None
    units = float(node.shape[-1])
    gates = wide[0][0].shape[0] / units
    if gates not in (1.0, 4.0):
        return None
    weight = context.weights[wide[0][0].name].power
    return _Layer(
        gates=int(gates),
        values=_RELU if gates == 1.0 and "relu" in node.op else _TANH,
        came=weight * wide[0][0].shape[1],
        back=context.weights[deep[0][0].name].power * deep[0][0].shape[1],
        bias=sum(m.power for m in context.moments(node, UseKind.RECURRENT_BIAS)),
        units=units,
        features=float(wide[0][0].shape[1]),
        per_row=weight,
    )


def _steps(context: Context, node: Node, layer: _Layer, before: Signal) -> Sequence[_Step]:
    """Every step in order."""
    number = max(1, round(math.prod(node.shape) / layer.units / max(context.batch, 1)))
    found: list[_Step] = []
    h = cell = lasting = (0.0, 0.0)
    for _ in range(min(number, _STEPS)):
        pre = _Pre(
            power=layer.came * before.power + layer.back * h[0] + layer.bias,
            far=layer.came * before.far + layer.back * h[1] + layer.bias,
            near=layer.came * before.near + layer.back * h[1] + layer.bias,
        )
        new, new_far, new_near = pre.of(layer.values)
        if layer.gates == 1:
            h = (new.power, new_far)
            found.append(_Step(power=h[0], far=h[1], new=new))
            continue
        gate, gate_far, _ = pre.of(_SIGMOID)
        earlier = cell[0]
        # What a step writes resembles what the last ones wrote: biases and inputs that stay.
        both = gate.mean * gate.mean
        cell = (
            gate.power * (cell[0] + new.power) + 2.0 * both * lasting[0],
            gate_far * (cell[1] + new_far) + 2.0 * both * lasting[1],
        )
        lasting = (gate.mean * (lasting[0] + new_near), gate.mean * (lasting[1] + new_far))
        out, out_far, _ = _Pre(power=cell[0], far=cell[1], near=cell[1]).of(_TANH)
        h = (gate.power * out.power, gate_far * out_far)
        found.append(_Step(power=h[0], far=h[1], new=new, gate=gate, out=out, cell=earlier))
    return found
