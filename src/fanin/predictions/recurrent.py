"""Recurrent layers that a framework runs as one operation: their steps, one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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


def recurrence(context: Context, node: Node) -> Signal | None:
    """Second moment of the states of an LSTM, or of a recurrent layer with tanh, over its steps.

    ``q_gate = var_x n_x q_x + var_h n_h E h^2 + E b^2``; for an LSTM ``E c'^2 = E s(f)^2 E c^2 + E s(i)^2 E
    tanh(g)^2 + 2 E s(f) E s(i) E c tanh(g)`` and ``E h^2 = E s(o)^2 E tanh(c)^2``. None for other cells.
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
    h = cell = lasting = (0.0, 0.0)
    for _ in range(min(steps, _STEPS)):
        pre = _Pre(
            power=came * before.power + back * h[0] + bias,
            far=came * before.far + back * h[1] + bias,
            near=came * before.near + back * h[1] + bias,
        )
        new, new_far, new_near = pre.of(_TANH)
        if gates == 1.0:
            h = (new.power, new_far)
        else:
            gate, gate_far, _ = pre.of(_SIGMOID)
            # What a step writes resembles what the last ones wrote: biases and inputs that stay.
            both = gate.mean * gate.mean
            cell = (
                gate.power * (cell[0] + new.power) + 2.0 * both * lasting[0],
                gate_far * (cell[1] + new_far) + 2.0 * both * lasting[1],
            )
            lasting = (gate.mean * (lasting[0] + new_near), gate.mean * (lasting[1] + new_far))
            out, out_far, _ = _Pre(power=cell[0], far=cell[1], near=cell[1]).of(_TANH)
            h = (gate.power * out.power, gate_far * out_far)
        states.append(h)
    power, far = (float(np.mean([state[k] for state in states])) for k in (0, 1))
    certainty, reasons = joined([(before.certainty, before.reasons)], Certainty.APPROXIMATE, _INDEPENDENT)
    found = Signal(
        power=power,
        near=far,
        far=far,
        scatter=before.scatter,
        gaussian=False,
        width=units,
        certainty=certainty,
        reasons=reasons,
    )
    return replace(found, luck=found.luck.drawn(node.id, luck_of(context, node, found, None)))
