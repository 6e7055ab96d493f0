"""What the laws say that a model computes at step zero, node by node, before anything is run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from fanin.records.table import Row, folded, render

__all__ = ["Certainty", "InputStatistics", "LossPrediction", "NodePrediction", "Prediction"]


class Certainty(StrEnum):
    """How far a predicted figure can be trusted."""

    EXACT = "exact"
    """A law of infinite width that holds for this operation and its inputs."""
    APPROXIMATE = "approximate"
    """A law with a named simplification."""
    UNKNOWN = "unknown"
    """No law: taken from a trial or from the measurement, or not predicted at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputStatistics:
    """Moments of one input of the model.

    Parameters
    ----------
    node
        Id of the input's node.
    mean, power
        Over all elements.
    near, far
        Mean product of two positions of one sample, and of two samples, at the same feature.
    scatter
        Variance over pairs of samples of their cosine.
    """

    node: int
    mean: float = 0.0
    power: float = 1.0
    near: float = 0.0
    far: float = 0.0
    scatter: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePrediction:
    """What one node's output should be; fields are those of `fanin.records.trace.Measurement`.

    Parameters
    ----------
    module, op
        Where it runs, and what it computes.
    shift, spread
        Mean of ``ln power`` over draws of the weights less the logarithm of `power`, and its standard
        deviation: the luck of finite width.
    gradient_power
        None where no gradient arrives, or none was predicted.
    gradient_shift, gradient_spread
        The same of ``ln gradient_power``.
    certainty, reasons
        The weakest link between the inputs and this node (of the forward figures), and what makes it so.
    gradient_certainty
        The weakest link between the output and this node.
    """

    node: int
    module: str = ""
    op: str = ""
    mean: float
    power: float
    cosine: float | None = None
    shift: float = 0.0
    spread: float = 0.0
    gradient_power: float | None = None
    gradient_shift: float = 0.0
    gradient_spread: float = 0.0
    dead: float | None = None
    saturated: float | None = None
    certainty: Certainty = Certainty.EXACT
    gradient_certainty: Certainty = Certainty.EXACT
    reasons: tuple[str, ...] = ()

    def band(self, sigmas: float = 3.0) -> tuple[float, float]:
        """Powers between which all but a few draws lie: ``q exp(shift -+ sigmas sd)``."""
        return _band(self.power, self.shift, self.spread, sigmas)

    def gradient_band(self, sigmas: float = 3.0) -> tuple[float, float] | None:
        """The same of the gradient's power."""
        power = self.gradient_power
        return None if power is None else _band(power, self.gradient_shift, self.gradient_spread, sigmas)


def _band(power: float, shift: float, spread: float, sigmas: float) -> tuple[float, float]:
    low, high = (min(max(shift + side * sigmas * spread, -700.0), 700.0) for side in (-1.0, 1.0))
    return power * math.exp(low), power * math.exp(high)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPrediction:
    """The first loss, from the predicted spread of the outputs.

    `spread` is the standard deviation that the luck of weights and labels leaves.
    """

    name: str
    value: float
    logit_std: float
    spread: float = 0.0
    certainty: Certainty = Certainty.EXACT


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Prediction:
    """A whole model, predicted.

    Parameters
    ----------
    basis
        Which weights it speaks of: "the weights as they are", or "the plan's weights".
    mode, batch
        Training or evaluation, and the number of samples.
    inputs
        What the inputs were taken to be.
    nodes
        In execution order; nodes that no law reaches are missing.
    growth
        For each residual branch: id of its join, and power after it over power of the stream before.
    """

    basis: str
    mode: str
    batch: int
    inputs: tuple[InputStatistics, ...]
    nodes: tuple[NodePrediction, ...]
    growth: tuple[tuple[int, float], ...] = ()
    loss: LossPrediction | None = None
    notes: tuple[str, ...] = ()

    def at(self, node: int) -> NodePrediction | None:
        """The prediction for a node; None where there is none."""
        return next((p for p in self.nodes if p.node == node), None)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """A table: power forward and backward with the luck of a draw, likeness, shares; then the loss."""
        rows = [
            Row(
                key=p.module or p.op,
                cells=(
                    p.op.removeprefix("aten.").partition(".")[0].strip("_"),
                    _ranged(p.power, p.spread),
                    "" if p.gradient_power is None else _ranged(p.gradient_power, p.gradient_spread),
                    "" if p.cosine is None else f"{p.cosine:.3g}",
                    "" if p.dead is None else f"{p.dead:.0%}",
                    "" if p.saturated is None else f"{p.saturated:.0%}",
                    str(p.certainty),
                ),
            )
            for p in self.nodes
        ]
        header = ("layer", "op", "forward", "backward", "cosine", "dead", "saturated", "law")
        found = [f"by law, for {self.basis}, {self.batch} samples, {self.mode} mode", ""]
        found.append(render(header, folded(rows)))
        if self.loss is not None:
            loss = self.loss
            found += ["", f"first loss ({loss.name}) {loss.value:.4f}, logits of std {loss.logit_std:.3g}"]
        reasons = dict.fromkeys(reason for p in self.nodes for reason in p.reasons)
        found += ["", *(f"simplified: {reason}" for reason in reasons)] if reasons else []
        return "\n".join([*found, *(f"note: {note}" for note in self.notes)])


def _ranged(power: float, spread: float) -> str:
    """A power, and the factor that one standard deviation of luck is."""
    factor = math.exp(min(spread, 50.0))
    return f"{power:.3g}" if factor < 1.005 else f"{power:.3g} x/{factor:.3g}"
