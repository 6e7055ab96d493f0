"""From the inputs to the output: the moments of every node's output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from fanin.predictions.concat import concat
from fanin.predictions.context import Context
from fanin.predictions.layers import contraction, embedding
from fanin.predictions.mixing import attention, pool, scores, softmax
from fanin.predictions.norms import norm
from fanin.predictions.pointwise import activation, add, affine, dropout, plain, product, scaled
from fanin.predictions.recurrent import recurrence
from fanin.predictions.signal import Signal, joined
from fanin.predictions.trial import tried
from fanin.records.graph import Node, OpKind, UseKind
from fanin.records.prediction import Certainty, InputStatistics
from fanin.records.trace import Measurement

__all__ = ["forward"]

_NO_LAW = "no law for what {op} computes in {place}"
_MEASURED = "; taken from the measurement"


def forward(
    context: Context, inputs: Mapping[int, InputStatistics], measured: Mapping[int, Measurement]
) -> None:
    """Fill in the context's signals, in execution order.

    Parameters
    ----------
    inputs
        Moments of the model's inputs, by node.
    measured
        What a pass saw: where no law reaches, the prediction starts anew from it. May be empty.
    """
    for node in context.graph.nodes:
        found = _lawful(context, node, inputs, measured)
        if found is not None and math.isfinite(found.power) and found.power >= 0.0:
            context.signals[node.id] = _tidy(context, node, found)
            continue
        alone, why = tried(context, node) if node.kind != OpKind.INPUT else (None, "")
        if alone is not None:
            context.signals[node.id] = _tidy(context, node, alone)
        elif (seen := measured.get(node.id)) is not None and math.isfinite(seen.power):
            context.signals[node.id] = _restarted(context, node, seen, why)


def _lawful(
    context: Context, node: Node, inputs: Mapping[int, InputStatistics], measured: Mapping[int, Measurement]
) -> Signal | None:
    """What a law says; None where there is none, or where its figures pass the range of a double."""
    try:
        return _of(context, node, inputs, measured)
    except OverflowError:
        return None


def _tidy(context: Context, node: Node, signal: Signal) -> Signal:
    """No product moment is larger than the second moment, and places are those of the node."""
    limit = signal.power
    profile, common = signal.profile, signal.common
    if profile is not None or common is not None:
        profile, common = context.placed(node, profile), context.placed(node, common)
        if profile is not None and common is not None and common.shape != profile.shape:
            common = common.reshape(profile.shape) if common.size == profile.size else None
    return replace(
        signal,
        profile=profile,
        common=common,
        near=min(max(signal.near, -limit), limit),
        far=min(max(signal.far, -limit), limit),
        pairs=min(max(signal.pairs, -limit), limit),
    )


def _of(
    context: Context, node: Node, inputs: Mapping[int, InputStatistics], measured: Mapping[int, Measurement]
) -> Signal | None:
    if node.kind == OpKind.INPUT:
        return _input(context, node, inputs.get(node.id))
    if node.kind in (OpKind.CONTRACTION, OpKind.CONVOLUTION):
        return contraction(context, node)
    if node.kind == OpKind.EMBEDDING:
        return _looked_up(embedding(context, node), measured.get(node.id))
    if node.kind == OpKind.RECURRENCE:
        return recurrence(context, node)
    reads = context.reads(node)
    if len(reads) < len(node.reads or node.inputs) or (not reads and node.kind != OpKind.ADD):
        return None
    if node.kind == OpKind.ADD:
        return add(context, node, reads)
    before = context.seen(reads[0])
    if node.kind == OpKind.ACTIVATION:
        return activation(context, node, before)
    if node.kind == OpKind.NORM:
        return norm(context, node, before)
    if node.kind == OpKind.DROPOUT:
        return dropout(node, before)
    if node.kind == OpKind.POOL:
        return pool(context, node, before)
    if node.kind == OpKind.SOFTMAX:
        return softmax(context, node, before)
    if node.kind == OpKind.ATTENTION:
        return attention(context, node)
    if node.kind == OpKind.CONCAT:
        return concat(context, node, reads)
    if node.kind == OpKind.PRODUCT:
        if any(u.kind in (UseKind.SCALE, UseKind.OTHER) for _, u in context.uses.get(node.id, [])):
            return scaled(context, node, before)
        if node.setting("summed"):
            return scores(context, node, reads)
        return product(context, node, reads)
    return _plain(node, before, len(reads))


def _plain(node: Node, before: Signal, reads: int) -> Signal | None:
    """A scale and shift; a mask, a copy or a move, which leave what they keep as it was."""
    return affine(node, before) if reads == 1 and plain(node) else None


def _input(context: Context, node: Node, given: InputStatistics | None) -> Signal | None:
    if given is None:
        return None
    readers = [n for n in context.graph.nodes if node.id in n.inputs]
    convolved = any(n.kind == OpKind.CONVOLUTION for n in readers)
    width = float(node.shape[1 if convolved and len(node.shape) > 1 else -1]) if node.shape else 1.0
    return Signal(
        mean=given.mean,
        power=given.power,
        near=given.near,
        far=given.far,
        pairs=given.mean**2,
        # Independent features are alike by chance as units are; see `fanin.predictions.layers.sampled`.
        scatter=max(0.0, given.scatter - 1.0 / max(width, 1.0)),
        gaussian=False,
        width=width,
    )


def _looked_up(found: Signal | None, seen: Measurement | None) -> Signal | None:
    """How often a batch repeats its tokens is a property of the data, seen in the cosine of the rows."""
    if found is None or seen is None or seen.cosine is None:
        return found
    alike = max(seen.cosine, 0.0) * found.power
    alone = found.far > found.near  # a table of positions: what samples share is known
    return replace(found, near=max(alike, found.near), far=found.far if alone else max(alike, found.far))


def _restarted(context: Context, node: Node, seen: Measurement, why: str) -> Signal:
    before = [context.signals[i] for i in node.inputs if i in context.signals]
    place = f"module '{node.module}'" if node.module else "the model"
    reason = _NO_LAW.format(op=node.op, place=place) + (f", and {why}" if why else "") + _MEASURED
    certainty, reasons = joined(((s.certainty, s.reasons) for s in before), Certainty.UNKNOWN, reason)
    alike = (seen.cosine if seen.cosine is not None else 0.0) * seen.power
    return Signal(
        mean=seen.mean,
        power=seen.power,
        near=alike,
        far=alike,
        pairs=seen.mean**2,
        gaussian=False,
        width=float(max(seen.units, 1)),
        certainty=certainty,
        reasons=reasons,
    )
