"""The verb: everything that the laws say of a graph with these weights and inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fanin.laws.softmax import random_cross_entropy
from fanin.predictions.backward import backward
from fanin.predictions.context import Context
from fanin.predictions.forward import forward
from fanin.predictions.gradient import Gradient
from fanin.predictions.guess import guessed
from fanin.predictions.layout import channels_first
from fanin.predictions.shares import dead, saturated
from fanin.predictions.signal import Signal
from fanin.predictions.trial import SPENT, Trial
from fanin.predictions.weights import Moments
from fanin.records.graph import Graph, Node, OpKind
from fanin.records.prediction import Certainty, InputStatistics, LossPrediction, NodePrediction, Prediction
from fanin.records.trace import LossMeasurement, Trace

__all__ = ["predict"]


_PART = 0.5
"""Share of a tensor's numbers below which the output is taken for a part of it, and not for chance."""


# Powers past the range of a double are infinite, as they should be, and no cause for a warning.
@np.errstate(over="ignore", invalid="ignore")
def predict(
    graph: Graph,
    weights: Mapping[str, Moments],
    *,
    inputs: Sequence[InputStatistics] = (),
    batch: int,
    mode: str = "train",
    basis: str = "the weights as they are",
    output: int | None = None,
    trace: Trace | None = None,
    trial: Trial | None = None,
) -> Prediction:
    """Predict mean, power, likeness, gradient and their luck at every node, and the first loss.

    Parameters
    ----------
    graph
        The model's computation.
    weights
        Mean and variance of every parameter: `of_plan` or `of_trace`.
    inputs
        Moments of the model's inputs; an input that is not listed has mean 0 and variance 1, and samples
        that have nothing in common.
    batch
        Number of samples.
    mode
        "train" or "eval", as the graph was read.
    basis
        Words for whose weights these are.
    output
        Id of the node that the loss and the random direction meet; None for the end of the main path.
    trace
        A pass that was measured. Where no law reaches, the prediction starts anew from what it saw, and
        says so; everything else is independent of it.

    trial
        Runs an operation that no law is known for on drawn inputs; None to leave such operations out.

    Returns
    -------
    Prediction

    Examples
    --------
    >>> from fanin.records.graph import Graph, Node, OpKind
    >>> node = Node(id=0, kind=OpKind.INPUT, op="input", inputs=(), module="", shape=(8, 4), dtype="float32")
    >>> graph = Graph(
    ...     model="Net",
    ...     framework="torch",
    ...     engine="fake tensors",
    ...     nodes=(node,),
    ...     outputs=(0,),
    ...     path=(),
    ...     parameters=(),
    ...     activations=(),
    ...     branches=(),
    ... )
    >>> predict(graph, {}, batch=8).nodes[0].power
    1.0

    References
    ----------
    B. Poole et al., 2016; S. S. Schoenholz et al., 2017; B. Hanin and D. Rolnick, 2018; G. Yang et al.,
    2019: see `fanin.laws.recursion` and `fanin.laws.band`.
    """
    graph = channels_first(graph)
    context = Context(graph=graph, weights=weights, batch=batch, trial=trial)
    given = {statistics.node: statistics for statistics in inputs}
    for node in graph.nodes:
        if node.kind == OpKind.INPUT and node.id not in given and node.dtype.startswith(("float", "bfloat")):
            given[node.id] = InputStatistics(node=node.id, scatter=1.0 / max(context.width(node), 1.0))
    measured = {m.node: m for m in trace.measurements} if trace is not None else {}
    forward(context, given, measured)
    end = _output(graph, output)
    gradients: dict[int, Gradient] = {}
    if end is not None and end in context.signals:
        seen = {i: m.gradient_power for i, m in measured.items() if m.gradient_power is not None}
        start = math.prod(context.nodes[end].shape) / max(batch, 1)
        came = seen.get(end, start)
        # A direction meets each number that is returned once: where these are few, the rest is not.
        start = came if came < _PART * start else start
        end, start = _past_a_zero_head(context, end, start)
        gradients = backward(context, end, start, seen)
    nodes = tuple(
        _node(context, node, context.signals[node.id], gradients.get(node.id))
        for node in graph.nodes
        if node.id in context.signals
    )
    growth = tuple(
        (b.join, context.signals[b.join].power / context.signals[b.start].power)
        for b in graph.branches
        if b.join in context.signals and b.start in context.signals and context.signals[b.start].power > 0.0
    )
    loss = None if trace is None or trace.loss is None else guessed(context, trace.loss.name)
    if loss is None and end is not None:
        loss = _loss(context, _output(graph, output), trace.loss if trace else None)
    missing = [node for node in graph.nodes if node.id not in context.signals and node.kind != OpKind.INPUT]
    ops = ", ".join(dict.fromkeys(node.op for node in missing))
    notes: tuple[str, ...] = ()
    if missing:
        notes += (f"not predicted: {len(missing)} operations without a law ({ops})",)
    if spent := [context.nodes[i] for i in dict.fromkeys(context.spent)]:
        ops = ", ".join(dict.fromkeys(node.op for node in spent))
        notes += (f"measured only, or not known: {len(spent)} operations ({ops}): {SPENT}",)
    return Prediction(
        basis=basis,
        mode=mode,
        batch=batch,
        inputs=tuple(given[i] for i in sorted(given)),
        nodes=nodes,
        growth=growth,
        loss=loss,
        notes=notes,
    )


def _output(graph: Graph, given: int | None) -> int | None:
    if given is not None:
        return given
    ends = [*graph.path[-1:], *graph.outputs]
    return ends[0] if ends else None


def _past_a_zero_head(context: Context, end: int, start: float) -> tuple[int, float]:
    """A head of zeros lets nothing through: then the random direction is put on its input."""
    node, signal = context.nodes[end], context.signals[end]
    reads = context.reads(node)
    weighted = any(
        context.weights.get(p.name) == Moments(mean=0.0, variance=0.0) for p, _ in context.uses.get(end, [])
    )
    if reads and signal.power == 0.0 and weighted and node.kind == OpKind.CONTRACTION:
        came = reads[0][0]
        return came, math.prod(context.nodes[came].shape) / max(context.batch, 1)
    return end, start


def _node(context: Context, node: Node, signal: Signal, gradient: Gradient | None) -> NodePrediction:
    places = context.positions(node)
    before = next((context.signals[r[0]] for r in context.reads(node)), None)
    shares: tuple[float | None, float | None] = (None, None)
    if node.kind == OpKind.ACTIVATION and node.activation is not None and before is not None:
        values = context.graph.activations[node.activation].values
        shares = dead(values, before, context.batch, places), saturated(values, before)
    return NodePrediction(
        node=node.id,
        module=node.module,
        op=node.op,
        mean=signal.mean,
        power=signal.power,
        cosine=_cosine(context, node, signal, places),
        shift=signal.luck.shift,
        spread=signal.luck.sd,
        gradient_power=None if gradient is None else gradient.power,
        gradient_shift=0.0 if gradient is None else gradient.luck.shift,
        gradient_spread=0.0 if gradient is None else gradient.luck.sd,
        dead=shares[0],
        saturated=shares[1],
        certainty=signal.certainty,
        gradient_certainty=Certainty.EXACT if gradient is None else gradient.certainty,
        reasons=tuple(dict.fromkeys((*signal.reasons, *(gradient.reasons if gradient else ())))),
    )


def _cosine(context: Context, node: Node, signal: Signal, places: float) -> float | None:
    """Mean over pairs of observations, as it is measured: whole maps, or the units of single positions."""
    if signal.power <= 0.0 or context.batch * places < 2:
        return None
    unit = context.units.get(node.id, len(node.shape) - 1)
    own = 0.0 if unit != len(node.shape) - 1 else (places - 1.0) / max(context.batch * places - 1.0, 1.0)
    if context.batch < 2 and own == 0.0:
        return None
    cosine = (own * signal.near + (1.0 - own) * signal.far) / signal.power
    return min(1.0, max(-1.0, cosine))


_CUT = 4.0
"""Std of logits from which on probabilities come near those (1e-7: 16 nats) where losses cut them off."""


def _logits(context: Context, end: int | None) -> int | None:
    """What probabilities are made of: the input of the softmax, or of the sigmoid, at the end."""
    node = None if end is None else context.nodes[end]
    while node is not None and node.kind == OpKind.POINTWISE and len(node.inputs) == 1:
        node = context.nodes.get(node.inputs[0])
    ends = node is not None and node.kind in (OpKind.SOFTMAX, OpKind.ACTIVATION) and len(node.inputs) == 1
    return node.inputs[0] if node is not None and ends else None


def _loss(context: Context, end: int | None, seen: LossMeasurement | None) -> LossPrediction | None:
    """Cross entropy of outputs that know nothing of their labels."""
    if seen is not None and seen.takes == "probabilities":
        end = _logits(context, end)
    if end is None or end not in context.signals:
        return None
    signal, node = context.signals[end], context.nodes[end]
    classes = seen.classes if seen is not None else int(context.width(node))
    variance = max(signal.power - signal.pairs, 0.0)
    if seen is not None and (classes is None or "cross entropy" not in seen.name):
        return None
    if classes is None or classes < 2 or not math.isfinite(variance):
        return None
    s = math.sqrt(variance)
    if seen is not None and seen.takes == "probabilities" and s > _CUT:
        return None
    binary = seen is not None and seen.name.startswith("binary")
    # One logit x against 0: two logits of half its variance differ by as much.
    value = (
        random_cross_entropy(2, math.sqrt(0.5 * signal.power)) if binary else random_cross_entropy(classes, s)
    )
    alike = max(0.0, signal.far_correlation)
    seen_labels = context.batch * context.positions(node)
    label = variance * ((1.0 - alike) / seen_labels + alike * max(1.0 / classes, 1.0 / seen_labels))
    luck = 0.5 * variance * signal.luck.sd
    return LossPrediction(
        name=seen.name if seen is not None else "cross entropy, were the outputs logits",
        value=value,
        logit_std=math.sqrt(signal.power) if binary else s,
        spread=math.sqrt(luck * luck + label),
        certainty=signal.certainty,
    )
