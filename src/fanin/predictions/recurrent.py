"""Recurrent layers that a framework runs as one operation: their steps, one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fanin.laws.hermite import Expansion, expand
from fanin.laws.quadrature import NODES
from fanin.predictions.context import Context
from fanin.predictions.layers import luck_of
from fanin.predictions.signal import Signal, joined
from fanin.records.graph import Node, UseKind
from fanin.records.prediction import Certainty

__all__ = ["recurrence"]

_INDEPENDENT = "gates, cell and state of a recurrence are taken as independent at every step"
_STEPS = 512
"""Steps that are followed; a recurrence has settled long before."""
_SIGMOID = 1.0 / (1.0 + np.exp(-NODES))
_TANH = np.tanh(NODES)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pre:
    """A pre-activation: second moment, and correlation of two samples."""

    power: float
    far: float

    def of(self, values: np.ndarray) -> tuple[Expansion, float]:
        found = expand(values, variance=self.power)
        return found, found.pair(
            min(1.0, max(-1.0, self.far / self.power))
        ) if self.power > 0.0 else found.power


def recurrence(context: Context, node: Node) -> Signal | None:
    """Second moment of the states of an LSTM, or of a recurrent layer with tanh, over its steps.

    ``q_gate = var_x n_x q_x + var_h n_h E h^2 + E b^2``; for an LSTM ``E c'^2 = E s(f)^2 E c^2 + E s(i)^2 E
    tanh(g)^2`` and ``E h^2 = E s(o)^2 E tanh(c)^2``. None for other cells.
    """
    reads = context.reads(node)
    uses = context.uses.get(node.id, [])
    wide = [(p, u) for p, u in uses if u.kind == UseKind.RECURRENT_INPUT and p.name in context.weights]
    deep = [(p, u) for p, u in uses if u.kind == UseKind.RECURRENT_STATE and p.name in context.weights]
    if not reads or len(wide) != 1 or len(deep) != 1 or not node.shape:
        return None
    units = float(node.shape[-1])
    gates = wide[0][0].shape[0] / units
    if gates not in (1.0, 4.0) or (gates == 1.0 and "relu" in node.op):
        return None
    before = context.signals[reads[0][0]]
    came = context.weights[wide[0][0].name].power * wide[0][0].shape[1]
    back = context.weights[deep[0][0].name].power * deep[0][0].shape[1]
    bias = sum(m.power for m in context.moments(node, UseKind.RECURRENT_BIAS))
    steps = max(1, round(math.prod(node.shape) / units / max(context.batch, 1)))
    states: list[tuple[float, float]] = []
    h = (0.0, 0.0)
    cell = (0.0, 0.0)
    for _ in range(min(steps, _STEPS)):
        pre = _Pre(power=came * before.power + back * h[0] + bias, far=came * before.far + back * h[1] + bias)
        if gates == 1.0:
            made, together = pre.of(_TANH)
            h = (made.power, together)
        else:
            gate, gate_far = pre.of(_SIGMOID)
            new, new_far = pre.of(_TANH)
            cell = (gate.power * (cell[0] + new.power), gate_far * (cell[1] + new_far))
            out, out_far = _Pre(power=cell[0], far=cell[1]).of(_TANH)
            h = (gate.power * out.power, gate_far * out_far)
        states.append(h)
    power, far = (float(np.mean([state[k] for state in states])) for k in (0, 1))
    certainty, reasons = joined([(before.certainty, before.reasons)], Certainty.APPROXIMATE, _INDEPENDENT)
    made_signal = Signal(
        power=power,
        near=far,
        far=far,
        scatter=before.scatter,
        gaussian=False,
        width=units,
        certainty=certainty,
        reasons=reasons,
    )
    luck = made_signal.luck.drawn(node.id, luck_of(context, node, made_signal, None))
    return Signal(
        power=power,
        near=far,
        far=far,
        scatter=before.scatter,
        gaussian=False,
        width=units,
        luck=luck,
        certainty=certainty,
        reasons=reasons,
    )
