"""Operations that mix places: pooling, softmax, attention."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fanin.laws.quadrature import Curve, curve
from fanin.laws.softmax import attention_share, attention_shares, attention_slope, random_cross_entropy
from fanin.predictions.context import Context, Reading
from fanin.predictions.signal import Signal, joined
from fanin.records.graph import Node, OpKind
from fanin.records.prediction import Certainty

__all__ = [
    "Fused",
    "attention",
    "averaged",
    "chosen",
    "fused",
    "log_softmax_slope",
    "pool",
    "scores",
    "softmax",
    "values_read",
]

_UNIFORM = "attention is taken as even but for the spread of independent scores"
_MAXIMUM = "the largest of a window is taken from values of equal correlation"
_WINDOW = "places of a window are taken to be as alike as all places of a sample"
_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(61)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """Of an attention in one operation.

    Parameters
    ----------
    share, rows, slope
        ``sum a^2`` of a row, that of every row where they differ, and what it passes back to the scores.
    row
        Variance of the scores within a row.
    causal
        Whether later places are hidden.
    scale
        What the product of an element of a query and one of a key counts for in the power of a score.
    """

    share: float
    rows: tuple[float, ...]
    slope: float
    row: float
    causal: bool
    scale: float


def averaged(context: Context, node: Node) -> tuple[float, str] | None:
    """How many places a pool joins, and along what: "positions", "units" or "both"; None if unclear."""
    came = context.nodes[context.reads(node)[0][0]]
    joins = math.prod(came.shape) / max(math.prod(node.shape), 1)
    dims = {int(d) % max(len(came.shape), 1) for d in node.setting("dim")}
    if node.setting("mean") or node.setting("sum"):
        if not dims:
            return None
        unit = context.units.get(came.id, len(came.shape) - 1)
        rank = _rank(node, len(node.setting("dim")))
        if rank != len(came.shape):
            # A view of what was made: its units are last, as they are where a contraction's rows are split.
            dims = {int(d) % rank for d in node.setting("dim")}
            if rank - 1 not in dims:
                return joins, "positions"
            return joins, "units" if len(dims) == 1 else "both"
        if dims == {unit}:
            return joins, "units"
        return (joins, "positions") if unit not in dims else (joins, "both")
    kernel = math.prod(node.setting("kernel_size")) if node.setting("kernel_size") else joins
    if len(node.setting("kernel_size")) == 1:
        kernel **= max(len(came.shape) - 2, 1)
    return max(kernel, 1.0), "positions"


def _rank(node: Node, dims: int) -> int:
    """Dimensions of what a mean reads: those that it goes over are gone, or of size 1."""
    kept = node.setting("kept") == (1.0,)
    return max(len(node.shape) + (0 if kept else dims), 1)


def pool(context: Context, node: Node, before: Signal) -> Signal | None:
    """A mean over w places keeps ``near + (q - near) / w``; a maximum raises mean and power."""
    if node.setting("upsampling") == (1.0,):
        return replace(before, profile=None)
    found = averaged(context, node)
    if found is None:
        return None
    count, along = found
    if node.setting("maximum") == (1.0,):
        return _largest(node, before, count, context)
    if not (node.setting("mean") == (1.0,) or node.setting("sum") == (1.0,) or "avg" in node.op):
        return None
    times = count if node.setting("sum") == (1.0,) else 1.0
    whole = count >= context.positions(context.nodes[context.reads(node)[0][0]]) - 0.5
    if along == "positions":
        alike, near = before.near, before.near
    else:
        alike, near = before.pairs, before.near
    partial = along == "positions" and not whole and before.near_correlation < 0.999
    certainty, reasons = joined(
        [(before.certainty, before.reasons)],
        Certainty.APPROXIMATE if partial else Certainty.EXACT,
        _WINDOW if partial else "",
    )
    square = times * times
    power = alike + (before.power - alike) / count
    far = before.far
    if along != "positions":
        constant = before.mean**2
        far, near = constant + (far - constant) / count, constant + (near - constant) / count
    return replace(
        before,
        mean=times * before.mean,
        power=square * power,
        near=square * (power if whole and along == "positions" else near),
        far=square * far,
        pairs=square * before.pairs,
        gaussian=count >= 16 or before.gaussian,
        marginal=None,
        profile=None,
        width=context.width(node),
        certainty=certainty,
        reasons=reasons,
    )


def _tops(
    context: Context, node: Node, before: Signal, count: float
) -> tuple[np.ndarray, np.ndarray, Curve | None]:
    """The largest of `count` places of equal correlation, by what they share; its masses; what is behind it.

    Behind a ReLU the places are those of its Gaussian input, as a maximum and a monotone function commute.
    """
    came = context.nodes[context.reads(node)[0][0]]
    marginal = before
    function = None
    if came.kind == OpKind.ACTIVATION and came.activation is not None and context.reads(came):
        marginal = context.signals[context.reads(came)[0][0]]
        function = curve(context.graph.activations[came.activation].values)
    rho = min(max(marginal.near_correlation, 0.0), 1.0)
    sd = math.sqrt(marginal.variance)
    top, mass = _order_statistic(count)
    shared = _POINTS[:, None] * math.sqrt(rho)
    return marginal.mean + sd * (shared + math.sqrt(1.0 - rho) * top[None, :]), mass, function


def chosen(context: Context, node: Node, before: Signal) -> float | None:
    """``E f'^2`` at the places that a maximum chose behind an activation f; None behind anything else."""
    found = averaged(context, node)
    if found is None:
        return None
    values, mass, function = _tops(context, node, before, found[0])
    if function is None:
        return None
    slopes = function.derivative()(values.ravel()).reshape(values.shape) ** 2
    return float(_WEIGHTS @ (slopes @ mass) / _WEIGHTS.sum())


def _largest(node: Node, before: Signal, count: float, context: Context) -> Signal:
    """Largest of `count` places, of equal correlation: ``E max`` by integrals over what they share."""
    values, mass, function = _tops(context, node, before, count)
    if function is not None:
        values = function(values.ravel()).reshape(values.shape)
    weights = _WEIGHTS / _WEIGHTS.sum()
    inner, square = values @ mass, (values**2) @ mass
    mean, power = float(weights @ inner), float(weights @ square)
    near = float(weights @ inner**2)
    scale = (power - mean**2) / before.variance if before.variance > 0.0 else 0.0
    certainty, reasons = joined([(before.certainty, before.reasons)], Certainty.APPROXIMATE, _MAXIMUM)
    return replace(
        before,
        mean=mean,
        power=power,
        near=near,
        far=mean**2 + scale * (before.far - before.mean**2),
        pairs=mean**2 + scale * (before.pairs - before.mean**2),
        scatter=before.scatter * (scale * before.power / power) ** 2 if power > 0.0 else 0.0,
        gaussian=False,
        marginal=None,
        profile=None,
        certainty=certainty,
        reasons=reasons,
    )


def _order_statistic(count: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of the largest of n independent normals: density ``n phi Phi^(n-1)``."""
    z = np.linspace(-8.0, 8.0, 401)
    below = 0.5 * np.array([math.erfc(-x / math.sqrt(2.0)) for x in z])
    density = np.exp(-0.5 * z * z) * below ** (count - 1.0)
    return z, density / density.sum()


def scores(context: Context, node: Node, reads: list[Reading]) -> Signal:
    """Products of queries and keys: ``d q_q q_k``, of which ``d q_q (q_k - near_k)`` varies along a row."""
    parts = [context.seen(read) for read in reads]
    parts = parts if len(parts) > 1 else parts * 2
    a, b = parts[:2]
    terms = (node.setting("summed") or (1.0,))[0]
    certainty, reasons = joined((p.certainty, p.reasons) for p in parts)
    mean = terms * a.mean * b.mean
    # What all samples share meets but once, and its inner product is all luck.
    alike = abs(a.far_correlation * b.far_correlation)
    luck = a.luck.plus(b.luck).drawn(-node.id - 1, math.sqrt(2.0) * alike)
    square = terms * (terms - 1.0) * (a.mean * b.mean) ** 2
    return Signal(
        mean=mean,
        power=terms * a.power * b.power + square,
        near=terms * a.near * b.near + square,
        far=terms * a.far * b.far + square,
        pairs=terms * a.power * b.near + square,
        scatter=a.scatter + b.scatter,
        gaussian=terms >= 16,
        width=context.width(node),
        row=terms * a.power * max(b.power - b.near, 0.0),
        luck=luck,
        certainty=certainty,
        reasons=reasons,
    )


def softmax(context: Context, node: Node, before: Signal) -> Signal:
    """Weights that add up to 1 over T places: mean ``1/T``, second moment ``share / T``."""
    places = node.shape[int((node.setting("dim") or (-1.0,))[0])] if node.shape else 1
    if "log" in node.op:
        return _log_softmax(before, max(places, 1))
    causal = before.causal or _masked(context, node)
    row = before.row or max(before.power - before.pairs, 0.0)
    share = attention_share(max(places, 1), score_variance=row, causal=causal)
    slope = attention_slope(max(places, 1), score_variance=row, causal=causal)
    rows = attention_shares(max(places, 1), score_variance=row, causal=True) if causal else ()
    mean = 1.0 / max(places, 1)
    certainty, reasons = joined([(before.certainty, before.reasons)], Certainty.APPROXIMATE, _UNIFORM)
    return Signal(
        mean=mean,
        power=share * mean,
        near=mean * mean,
        far=mean * mean if not causal else share * mean,
        pairs=mean * mean,
        gaussian=False,
        width=context.width(node),
        share=share,
        rows=rows,
        slope=slope,
        row=row,
        causal=causal,
        certainty=certainty,
        reasons=reasons,
    )


def _log_softmax(before: Signal, classes: int) -> Signal:
    """``x - ln sum exp(x)``: the mean is minus the cross entropy of logits that know nothing of labels."""
    variance = max(before.power - before.pairs, 0.0)
    if not math.isfinite(variance):
        return replace(before, power=math.inf)
    mean = -random_cross_entropy(classes, math.sqrt(variance))
    square = mean * mean
    # What all logits of a sample share is taken out.
    near, far = (max(m - before.pairs, 0.0) for m in (before.near, before.far))
    return replace(
        before,
        mean=mean,
        power=square + variance,
        near=square + near,
        far=square + far,
        pairs=square,
        gaussian=False,
        marginal=None,
        source=None,
        slope=attention_share(classes, score_variance=variance),
        luck=before.luck.scaled(variance / (square + variance)),
    )


def log_softmax_slope(node: Node, after: Signal) -> float:
    """``I - 1 p'`` passes on ``1 - 2 / C + sum p^2`` of a gradient without a direction."""
    classes = max(node.shape[int((node.setting("dim") or (-1.0,))[0])], 1)
    return max(1.0 - 2.0 / classes + after.slope, 0.0)


def _masked(context: Context, node: Node) -> bool:
    """Whether a mask is laid over square scores before the softmax, or over what is added to them."""
    if len(node.shape) < 2 or node.shape[-1] != node.shape[-2]:
        return False
    ahead = [(read[0], 4) for read in context.reads(node)]
    while ahead:
        id, left = ahead.pop()
        here = context.nodes[id]
        if here.kind == OpKind.POINTWISE and here.factor is None:
            return True
        if left and here.kind in (OpKind.ADD, OpKind.POINTWISE):
            ahead += [(read[0], left - 1) for read in context.reads(here)]
    return False


def values_read(context: Context, node: Node) -> tuple[Signal | None, Reading | None]:
    """The weights of an attention (None in a fused one), and the values that they average."""
    reads = context.reads(node)
    weighted = [r for r in reads if context.signals[r[0]].share > 0.0]
    rest = [r for r in reads if r not in weighted]
    if weighted and rest:
        return context.signals[weighted[0][0]], rest[-1]
    return None, reads[-1] if reads else None


def fused(context: Context, node: Node) -> Fused | None:
    """What an attention in one operation does; None where its settings are not known."""
    reads = context.reads(node)
    if len(reads) < 2 or not node.setting("keys"):
        return None
    query, key = context.seen(reads[0]), context.seen(reads[min(1, len(reads) - 1)])
    width = (node.setting("width") or (1.0,))[0]
    factor = (node.setting("scale") or (1.0 / math.sqrt(width),))[0]
    causal = node.setting("is_causal") == (1.0,)
    row = factor**2 * width * query.power * max(key.power - key.near, 0.0)
    keys = int(node.setting("keys")[0])
    share = attention_share(keys, score_variance=row, causal=causal)
    slope = attention_slope(keys, score_variance=row, causal=causal)
    rows = attention_shares(keys, score_variance=row, causal=True) if causal else ()
    return Fused(share=share, rows=rows, slope=slope, row=row, causal=causal, scale=factor**2 * width)


def attention(context: Context, node: Node) -> Signal | None:
    """``q' = near_v + (q_v - near_v) sum a^2``: a mean of values keeps what all places share."""
    weights, read = values_read(context, node)
    if read is None:
        return None
    value = context.seen(read)
    certainties = [(value.certainty, value.reasons)]
    if weights is not None:
        share, causal, row = weights.share, weights.causal, weights.row
        certainties.append((weights.certainty, weights.reasons))
    else:
        scored = fused(context, node)
        if scored is None:
            return None
        share, causal, row = scored.share, scored.causal, scored.row
        drop = (node.setting("dropout_p") or (0.0,))[0]
        share = share / (1.0 - drop) if drop < 1.0 else share
    # Two rows have the places of the shorter in common.
    overlap = 0.5 * share if causal else share
    certainty, reasons = joined(certainties, Certainty.APPROXIMATE, _UNIFORM)
    lone = max(value.power - value.near, 0.0)
    # Places that are alike by chance get like scores: E a_j a_k of a pair grows by row variance times r.
    scatter = min(1.0, value.scatter * (value.power / lone) ** 2) if lone > 0.0 else 0.0
    share += (1.0 - share) * min(1.0, row * scatter)
    # Of two samples the same places have `far` in common, others no more than two places of one sample.
    apart = min(value.far, value.near)
    power = value.near + lone * share
    return replace(
        value,
        power=power,
        near=value.near + lone * overlap,
        far=apart + (value.far - apart) * min(share, 1.0),
        width=context.width(node),
        source=None,
        share=0.0,
        marginal=None,
        profile=None,
        common=None,
        certainty=certainty,
        reasons=reasons,
    )
