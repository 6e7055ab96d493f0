"""What one forward and backward pass measured, node by node and parameter by parameter."""

from __future__ import annotations

from dataclasses import dataclass

from fanin.records.graph import OpKind

__all__ = ["LossMeasurement", "Measurement", "ParameterMeasurement", "Trace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Statistics of one node's output over the batch.

    Parameters
    ----------
    node
        Id of the node in the graph of the same run.
    units, samples
        Features (channels) of the output, and independent observations of each (batch times
        positions).
    mean, power
        Mean and second moment over all elements.
    gradient_power
        Sum over all elements of a sample of the squared derivative of ``<r, output>``, averaged over
        the batch, for a random unit-variance cotangent r; None where no gradient arrives.
    dead
        Share of units that are at or below zero on every observation (activations only).
    saturated
        Share of elements where a bounded activation's slope is below 6 % of its largest.
    zeros
        Share of exact zeros.
    cosine
        Mean pairwise cosine between samples: 1 means that the layer maps all inputs to one ray.
    unit_spread
        Median over units of the standard deviation over observations, relative to the
        root mean square: 0 means that nothing of the input is left.
    """

    node: int
    kind: OpKind
    op: str
    module: str
    call: int = 0
    shape: tuple[int, ...]
    units: int
    samples: int
    mean: float
    power: float
    gradient_power: float | None = None
    dead: float | None = None
    saturated: float | None = None
    zeros: float = 0.0
    cosine: float | None = None
    unit_spread: float | None = None
    finite: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterMeasurement:
    """Statistics of one parameter as it is now.

    Parameters
    ----------
    gradient_norm
        Norm of the loss gradient (of ``<r, output>`` when there is no loss); None when the
        parameter takes no part in the output.
    identical_units
        Number of output units whose incoming weights (and bias, where the same node adds one)
        equal those of an earlier unit.
    identical_inputs
        Number of input units whose outgoing weights equal those of an earlier one.
    digest
        Hash of the bytes: equal for tensors that hold the same numbers.
    """

    name: str
    numel: int
    mean: float
    std: float
    largest: float
    finite: bool
    gradient_norm: float | None
    identical_units: int = 0
    identical_inputs: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossMeasurement:
    """The loss at step zero, and what it should be for an unprejudiced output.

    `name` is "cross entropy", "mean squared error", or the user's function; `expected` is the
    loss of the best constant guess (log C for C classes), None when unknown. `logit_std` is the
    standard deviation of the logits within a sample.
    """

    name: str
    value: float
    expected: float | None = None
    classes: int | None = None
    logit_std: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One measured pass.

    `source` says where the batch came from; `mode` is "train" or "eval".
    """

    batch: int
    source: str
    mode: str
    measurements: tuple[Measurement, ...]
    parameters: tuple[ParameterMeasurement, ...]
    loss: LossMeasurement | None = None
    notes: tuple[str, ...] = ()
