"""What the laws say that a model computes at step zero, node by node, before anything is run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True, slots=True, kw_only=True)
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
