"""What one forward and backward pass measured, node by node and parameter by parameter."""

from __future__ import annotations

from dataclasses import dataclass

from fanin.records.graph import OpKind

__all__ = [
    "DeepMeasurement",
    "InputMeasurement",
    "LossMeasurement",
    "Measurement",
    "ParameterMeasurement",
    "Spread",
    "Trace",
    "WidthScaling",
    "WidthTrend",
]


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
    tiny, huge
        Shares of elements that are not 0 and below the number format's smallest normal number, and
        above a quarter of its largest.
    entropy
        For softmax and attention: mean entropy of a row over the logarithm of its length, 1 for equal
        weights.
    score_std
        For softmax and attention: standard deviation of the scores within a row.
    other_power
        Second moment in the other mode (eval for train), where it was measured.
    near
        For inputs of several positions: mean product of two positions of one sample.
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
    tiny: float = 0.0
    huge: float = 0.0
    entropy: float | None = None
    score_std: float | None = None
    other_power: float | None = None
    near: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputMeasurement:
    """One floating input, feature by feature.

    Parameters
    ----------
    features, samples
        Numbers along the feature dimension (channels of images), and observations of each.
    mean, std
        Of all elements.
    offset
        Largest over features of the absolute mean over the std.
    least_std, largest_std
        Over features.
    constant, duplicate
        Features that never change, and those that repeat or mirror an earlier one.
    repeated
        Samples that equal an earlier one.
    node
        The input's node in the graph of the same run; None where it is not known.
    """

    name: str
    features: int
    samples: int
    mean: float
    std: float
    offset: float
    least_std: float
    largest_std: float
    constant: int = 0
    duplicate: int = 0
    repeated: int = 0
    finite: bool = True
    node: int | None = None


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
    skewness, kurtosis
        Third and fourth standardised moment (0 and 3 for a normal law, 1.8 for a uniform one); None for
        constants.
    correlation
        Largest absolute cosine between rows (columns where these are fewer), and `signs`, the mean sign of
        diag(R) of a QR of an orthogonal matrix: 0 for a Haar draw, 1 or -1 for the raw Q of LAPACK.
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
    skewness: float | None = None
    kurtosis: float | None = None
    correlation: float | None = None
    signs: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossMeasurement:
    """The loss at step zero, and what it should be for an unprejudiced output.

    `name` is "cross entropy", "mean squared error", or the user's function; `expected` is the
    loss of the best constant guess (log C for C classes), None when unknown. `logit_std` is the
    standard deviation of the logits within a sample.

    `prior` is the entropy of the batch's own class frequencies and `rarity` how much more frequent its
    most frequent class is than the average one; `offset` is the largest distance over outputs, in standard
    deviations of the target, between mean output and mean target.

    `silent` is what a loss of the user's own says of outputs that are all zero; `low` and `high` are the 5 %
    and 95 % quantiles of a regression's targets. `unpaired` says that the loss is the same whichever sample a
    target belongs to, because output and target have shapes that broadcast.

    `takes` is what the loss was told that outputs are, "logits" or "probabilities"; "" where only its name
    says that. `strays` is then the share of outputs that lie outside of 0 to 1, for probabilities.
    """

    name: str
    value: float
    expected: float | None = None
    classes: int | None = None
    logit_std: float | None = None
    prior: float | None = None
    rarity: float | None = None
    offset: float | None = None
    silent: float | None = None
    low: float | None = None
    high: float | None = None
    unpaired: bool = False
    takes: str = ""
    strays: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepMeasurement:
    """What needs passes of its own; None where it could not be measured.

    Parameters
    ----------
    stretch, mean_stretch
        Largest, and root mean square, singular value of the Jacobian from the input of the first layer to
        the output, for one sample.
    sharpness
        Largest eigenvalue of the loss's Hessian.
    kernel_condition, kernel_samples
        Condition number of the tangent kernel ``J J^T`` of so many samples.
    noise
        Norm of the difference of two half batches' gradients over the norm of their mean.
    notes
        What could not be measured, and why.
    """

    stretch: float | None = None
    mean_stretch: float | None = None
    sharpness: float | None = None
    kernel_condition: float | None = None
    kernel_samples: int = 0
    noise: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Smallest and largest power of one node over several draws of the weights."""

    node: int
    low: float
    high: float
    gradient_low: float | None = None
    gradient_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthTrend:
    """How the size of one layer's output, or of what some steps change of it, goes with the width.

    Parameters
    ----------
    name
        The layer's module.
    quantity
        "activation": root mean square before the first step; "update": root mean square of the change.
    head
        Whether it is the model's output.
    exponent, error
        Of ``width ** exponent``, and its standard error.
    sizes
        Geometric mean over draws at each width.
    """

    name: str
    quantity: str
    head: bool
    exponent: float
    error: float
    sizes: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthScaling:
    """One architecture at several widths, before and after `steps` steps of an optimiser.

    `optimizer` says which one, with its learning rate; `notes` what has no trend, and why.
    """

    widths: tuple[int, ...]
    draws: int
    steps: int
    optimizer: str
    trends: tuple[WidthTrend, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One measured pass.

    `source` says where the batch came from; `mode` is "train" or "eval"; `tier` is "fast", "standard"
    or "deep"; `lr` is the learning rate of plain gradient descent that the user means to take.
    `draws` counts draws of the weights (0: the model as it is), over which `spreads` go; `declared` says that
    the plan is one that the user means to have carried out, so that the weights must follow it. `output` is
    the node whose output training works on (logits, say); None where it was not found. `scaling` says how
    sizes go with the width, where several widths were tried.
    """

    batch: int
    source: str
    mode: str
    measurements: tuple[Measurement, ...]
    parameters: tuple[ParameterMeasurement, ...]
    loss: LossMeasurement | None = None
    notes: tuple[str, ...] = ()
    tier: str = "standard"
    inputs: tuple[InputMeasurement, ...] = ()
    deep: DeepMeasurement | None = None
    lr: float | None = None
    draws: int = 0
    spreads: tuple[Spread, ...] = ()
    declared: bool = False
    output: int | None = None
    scaling: WidthScaling | None = None
