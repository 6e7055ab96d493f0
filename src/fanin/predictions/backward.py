"""From the output to the inputs: the power of the gradient at every node.

G is the sum over a sample's elements of the squared derivative of ``<r, output>`` for a random direction r
of unit variance. Forward and backward signal are taken as independent, as ever in these laws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from fanin.laws.band import Chance
from fanin.predictions.attention import SHORT, attention_back
from fanin.predictions.concat import spans
from fanin.predictions.context import Context
from fanin.predictions.gradient import Gradient, mean_slope, reasoned, summed, unknown_back
from fanin.predictions.layers import CHOSEN
from fanin.predictions.layers_back import OWN_SOURCE, norm_back, slope_back, weights_back
from fanin.predictions.mixing import log_softmax_slope
from fanin.predictions.mixing_back import concat_back, pool_back, product_back, spread_back
from fanin.predictions.places import fitting, put
from fanin.predictions.pointwise import plain
from fanin.predictions.recurrent import recurrence_back
from fanin.predictions.trial import gradients_of
from fanin.records.graph import Node, OpKind
from fanin.records.prediction import Certainty

__all__ = ["backward"]

_CHOSEN_ERROR, _TOLD_APART, _CHOSEN_SOURCE = 1.0, 0.2, OWN_SOURCE - 1
"""Nats that a gradient from one place is off by, whose power may be any part of the others', and where places
are told apart."""

_PART = 0.5
"""Share of a node's numbers below which it is a part of it that is the output."""


def backward(
    context: Context, output: int, start: float, measured: Mapping[int, float]
) -> dict[int, Gradient]:
    """Gradients at all nodes that lead to the output.

    Parameters
    ----------
    output
        The node whose output meets the random direction.
    start
        G there: elements of a sample.
    measured
        G as it was measured, from which the prediction starts anew behind an operation without a law.
    """
    found: dict[int, Gradient] = {}
    given = Gradient(power=start, scatter=1.0 / context.width(context.nodes[output]))
    if start < _PART * math.prod(context.nodes[output].shape) / max(context.batch, 1):
        given = reasoned(replace(given, luck=Chance(parts={_CHOSEN_SOURCE: _CHOSEN_ERROR})), CHOSEN)
    arrived: dict[int, list[Gradient]] = {output: [given]}
    for node in reversed(context.graph.nodes):
        if node.id not in arrived:
            continue
        here = summed(arrived.pop(node.id))
        found[node.id] = here
        partial = {read[0] for read in node.reads if len(read) > 1}
        try:
            handed = _back(context, node, here, measured)
        except OverflowError:  # (powers past the range of a double say nothing)
            handed = [(r[0], unknown_back(node, here, measured.get(r[0]))) for r in context.reads(node)]
        for place, (read, part) in enumerate(handed):
            part = _put(context, node, part, read, place, len(handed))  # noqa: PLW2901
            if read in partial:  # other parts of it have ways of their own
                part = replace(part, behind=-node.id - 2)  # noqa: PLW2901
            mean = None if read in partial else mean_slope(context, node, place, read)
            ways = {} if mean is None else {**here.ways, node.id: (here.power, 1.0)}
            part = replace(part, ways={k: (g, f * (mean or 0.0)) for k, (g, f) in ways.items()})  # noqa: PLW2901
            arrived.setdefault(read, []).append(part)
    return found


def _put(context: Context, node: Node, part: Gradient, read: int, place: int, handed: int) -> Gradient:
    """A gradient of a part of a tensor as one of the whole: other places get nothing this way."""
    of_it = [r for r in node.reads if r[0] == read]
    if len(of_it) > 1 and handed == len(node.reads):
        of_it = [r for r in (node.reads[place],) if r[0] == read]
    profile = part.profile
    if len(of_it) == 1 and len(of_it[0]) > 1:
        profile = put(profile, context.cut(of_it[0]))
    source = context.nodes[read]
    profile = fitting(profile, source.shape, context.units.get(read, len(source.shape) - 1), context.batch)
    part = replace(part, profile=profile)
    if any(context.chosen(r) for r in of_it):
        error = _CHOSEN_ERROR if profile is None else _TOLD_APART
        luck = part.luck.plus(Chance(parts={_CHOSEN_SOURCE: error}))
        part = reasoned(replace(part, luck=luck), CHOSEN)
    return part


def _back(
    context: Context, node: Node, g: Gradient, measured: Mapping[int, float]
) -> list[tuple[int, Gradient]]:
    """What each input of a node gets."""
    reads = context.reads(node)
    if not reads or node.id not in context.signals:
        return []
    first = reads[0][0]
    before = context.seen(reads[0])
    if node.id in context.outcomes:
        return gradients_of(context, node, g) or []
    if node.kind in (OpKind.CONTRACTION, OpKind.CONVOLUTION):
        return weights_back(context, node, g, first, before, measured)
    if node.kind == OpKind.ACTIVATION and node.activation is not None:
        return [(first, slope_back(context, node, node.activation, g, before))]
    if node.kind == OpKind.ADD:
        signs = node.setting("alpha") or (1.0,)
        each = [1.0, signs[0]] + [1.0] * len(reads)
        return [
            (r[0], spread_back(context, node, replace(g, power=g.power * s * s), r[0]))
            for r, s in zip(reads, each[: len(reads)], strict=True)
        ]
    if node.kind == OpKind.NORM:
        return [(first, norm_back(context, node, g, before))]
    if node.kind == OpKind.DROPOUT:
        p = (node.setting("p") or (0.0,))[0]
        times = (node.setting("kept times") or (1.0 / (1.0 - p) if p < 1.0 else 0.0,))[0]
        factor = (1.0 - p) * times * times if p else 1.0
        return [(first, replace(g, power=g.power * factor, near=g.near * (1.0 - p)))]
    if node.kind == OpKind.CONCAT:
        if places := spans(context, node):
            return concat_back(g, places)
        whole = float(math.prod(node.shape))
        return [(r[0], replace(g, power=g.power * min(1.0, _size(context, r) / whole))) for r in reads]
    if node.kind == OpKind.POOL:
        return pool_back(context, node, g, first)
    if node.kind == OpKind.PRODUCT:
        return product_back(context, node, g, reads)
    if node.kind == OpKind.SOFTMAX:
        weights = context.signals[node.id]
        if "log" in node.op:
            return [(first, replace(g, power=g.power * log_softmax_slope(node, weights)))]
        factor = weights.slope / max(node.shape[int((node.setting("dim") or (-1.0,))[0])], 1)
        return [(first, reasoned(replace(g, power=g.power * factor), SHORT))]
    if node.kind == OpKind.ATTENTION:
        return attention_back(context, node, g)
    if node.factor is not None:
        return [(first, replace(g, power=g.power * node.factor**2))]
    if node.kind == OpKind.RECURRENCE:
        back = recurrence_back(context, node, g)
        return [(first, unknown_back(node, g, measured.get(first)) if back is None else back)]
    if len(reads) == 1 and plain(node) and context.signals[node.id].certainty != Certainty.UNKNOWN:
        return [(first, g)]
    alone = gradients_of(context, node, g)
    return alone if alone is not None else [(r[0], unknown_back(node, g, measured.get(r[0]))) for r in reads]


def _size(context: Context, read: tuple[int, ...]) -> float:
    rank = (len(read) - 1) // 2
    return float(math.prod(read[1 + rank :] if rank else context.nodes[read[0]].shape))
