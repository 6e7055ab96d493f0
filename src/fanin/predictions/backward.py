"""From the output to the inputs: the power of the gradient at every node.

G is the sum over a sample's elements of the squared derivative of ``<r, output>`` for a random direction r
of unit variance. Forward and backward signal are taken as independent, as ever in these laws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fanin.laws.band import Chance
from fanin.laws.fans import fans
from fanin.predictions.attention import SHORT, attention_back, key_back, query_back
from fanin.predictions.context import Context
from fanin.predictions.gradient import Gradient, mean_slope, reasoned, summed
from fanin.predictions.layers import CHOSEN, NOTICED, WITH_MEAN, taps
from fanin.predictions.marginal import passed
from fanin.predictions.mixing import averaged, chosen
from fanin.predictions.norms import removed
from fanin.predictions.pointwise import plain
from fanin.predictions.recurrent import recurrence_back
from fanin.predictions.signal import Signal, joined
from fanin.predictions.trial import gradients_of
from fanin.records.graph import Node, OpKind, UseKind
from fanin.records.prediction import Certainty

__all__ = ["backward"]

_OWN_ERROR, _OWN_SOURCE = 0.015, -(1 << 40)
"""Nats that the law of a batch norm's gradient is off by in ResNets with batches of 8 to 32; always to one
side, so that all norms share one source."""
_CHOSEN_ERROR, _CHOSEN_SOURCE = 1.0, _OWN_SOURCE - 1
"""Nats that a gradient from one place is off by, whose power may be any part of the others'."""
_BATCHED = "the gradient of a norm over a batch is taken at samples and places that differ by chance"
_NO_WAY = "no law for the gradient of {op}"


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
    arrived: dict[int, list[Gradient]] = {
        output: [Gradient(power=start, scatter=1.0 / context.width(context.nodes[output]))]
    }
    for node in reversed(context.graph.nodes):
        if node.id not in arrived:
            continue
        here = summed(arrived.pop(node.id))
        found[node.id] = here
        partial = {read[0] for read in node.reads if len(read) > 1}
        for place, (read, part) in enumerate(_back(context, node, here, measured)):
            if any(r[0] == read and context.chosen(r) for r in node.reads):
                luck = part.luck.plus(Chance(parts={_CHOSEN_SOURCE: _CHOSEN_ERROR}))
                part = reasoned(replace(part, luck=luck), CHOSEN)  # noqa: PLW2901
            if read in partial:  # other parts of it have ways of their own
                part = replace(part, behind=-node.id - 2)  # noqa: PLW2901
            mean = None if read in partial else mean_slope(context, node, place, read)
            ways = {} if mean is None else {**here.ways, node.id: (here.power, 1.0)}
            part = replace(part, ways={k: (g, f * (mean or 0.0)) for k, (g, f) in ways.items()})  # noqa: PLW2901
            arrived.setdefault(read, []).append(part)
    return found


def _back(
    context: Context, node: Node, g: Gradient, measured: Mapping[int, float]
) -> list[tuple[int, Gradient]]:
    """What each input of a node gets."""
    reads = context.reads(node)
    if not reads or node.id not in context.signals:
        return []
    first = reads[0][0]
    before = context.signals[first]
    if node.id in context.outcomes:
        return gradients_of(context, node, g) or []
    if node.kind in (OpKind.CONTRACTION, OpKind.CONVOLUTION):
        return _weights(context, node, g, first, before, measured)
    if node.kind == OpKind.ACTIVATION and node.activation is not None:
        return [(first, _slope(context, node, node.activation, g, before))]
    if node.kind == OpKind.ADD:
        signs = node.setting("alpha") or (1.0,)
        each = [1.0, signs[0]] + [1.0] * len(reads)
        return [
            (r[0], _spread(context, node, replace(g, power=g.power * s * s), r[0]))
            for r, s in zip(reads, each[: len(reads)], strict=True)
        ]
    if node.kind == OpKind.NORM:
        return [(first, _norm(context, node, g, before))]
    if node.kind == OpKind.DROPOUT:
        p = (node.setting("p") or (0.0,))[0]
        times = (node.setting("kept times") or (1.0 / (1.0 - p) if p < 1.0 else 0.0,))[0]
        factor = (1.0 - p) * times * times if p else 1.0
        return [(first, replace(g, power=g.power * factor, near=g.near * (1.0 - p)))]
    if node.kind == OpKind.CONCAT:
        whole = float(math.prod(node.shape))
        return [
            (r[0], replace(g, power=g.power * min(1.0, _size(context, r) / whole), profile=None))
            for r in reads
        ]
    if node.kind == OpKind.POOL:
        return _pool(context, node, g, first)
    if node.kind == OpKind.PRODUCT:
        return _product(context, node, g, reads)
    if node.kind == OpKind.SOFTMAX:
        weights = context.signals[node.id]
        factor = weights.slope / max(node.shape[int((node.setting("dim") or (-1.0,))[0])], 1)
        return [(first, reasoned(replace(g, power=g.power * factor), SHORT))]
    if node.kind == OpKind.ATTENTION:
        return attention_back(context, node, g)
    if node.factor is not None:
        return [(first, replace(g, power=g.power * node.factor**2))]
    if node.kind == OpKind.RECURRENCE:
        back = recurrence_back(context, node, g)
        return [(first, _unknown(node, g, measured.get(first)) if back is None else back)]
    if len(reads) == 1 and plain(node) and context.signals[node.id].certainty != Certainty.UNKNOWN:
        return [(first, g)]
    alone = gradients_of(context, node, g)
    return alone if alone is not None else [(r[0], _unknown(node, g, measured.get(r[0]))) for r in reads]


def _size(context: Context, read: tuple[int, ...]) -> float:
    rank = (len(read) - 1) // 2
    return float(math.prod(read[1 + rank :] if rank else context.nodes[read[0]].shape))


def _unknown(node: Node, g: Gradient, seen: float | None) -> Gradient:
    power = g.power if seen is None else seen
    return reasoned(
        replace(g, power=power, profile=None, luck=Chance()), _NO_WAY.format(op=node.op), Certainty.UNKNOWN
    )


def _weights(
    context: Context,
    node: Node,
    g: Gradient,
    first: int,
    before: Signal,
    measured: Mapping[int, float],
) -> list[tuple[int, Gradient]]:
    """``G' = (var_w + m_w^2 n e) K G``: each output hands its gradient to the K inputs that it sums.

    Weights with a mean m_w hand all inputs the sum of the n outputs' gradients, whose part in common
    has the share e of the power.
    """
    after = context.signals[node.id]
    if after.certainty == Certainty.UNKNOWN and before.certainty != Certainty.UNKNOWN:
        return [(first, _unknown(node, g, measured.get(first)))]
    factor = _gain(context, node)
    if factor is None:
        return [(first, _unknown(node, g, measured.get(first)))]
    common, alike = _in_common(context, node, g)
    factor *= common
    profile = None
    if node.kind == OpKind.CONVOLUTION and (lines := taps(node, context)) is not None:
        came = g.profile if g.profile is not None and g.profile.shape == lines.output else None
        even = np.full(lines.output, 1.0 / math.prod(lines.output)) if came is None else came
        sums = lines.backward(even)
        whole = math.prod(lines.kernel) / (math.prod(lines.stride) if lines.transposed else 1)
        factor *= float(sums.sum()) / whole
        profile = sums / sums.sum() if sums.sum() > 0.0 else None
    units = max(before.width, 1.0)
    chance = _chance(context, node, g, units, 2.0 * g.scatter)
    back = replace(
        g,
        power=g.power * factor,
        profile=profile,
        along=0.0,
        scatter=g.scatter + (1.0 - g.scatter) / units,
        even=alike,
        luck=g.luck.drawn(-node.id - 1, chance),
        behind=node.id,
    )
    return [(first, reasoned(back, WITH_MEAN) if alike > NOTICED else back)]


def _in_common(context: Context, node: Node, g: Gradient) -> tuple[float, float]:
    """What weights with a mean add to the gain, as a factor, and the share in common behind them."""
    uses = context.uses.get(node.id, [])
    found = [(p, u.axes, u.offset) for p, u in uses if u.kind == UseKind.WEIGHT and u.axes is not None]
    if len(found) != 1 or context.moments(node, UseKind.SCALE):
        return 1.0, 0.0
    parameter, axes, offset = found[0]
    weight = context.weights.get(parameter.name)
    if weight is None or (mean := weight.shifted(offset).mean) == 0.0:
        return 1.0, 0.0
    n = fans(parameter.shape, axes).fan_out
    alike = mean**2 * max(1.0, n * g.even)
    return (weight.variance + alike) / (weight.variance + mean**2), alike / (weight.variance + alike)


def _gain(context: Context, node: Node) -> float | None:
    """``var_w K``, without what padding takes away."""
    kinds = (UseKind.WEIGHT, UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE)
    found = [(p, u) for p, u in context.uses.get(node.id, []) if u.kind in kinds and u.axes is not None]
    if len(found) != 1:
        return None
    magnitudes = context.moments(node, UseKind.SCALE)
    if magnitudes:
        return sum(m.power for m in magnitudes) / len(magnitudes)
    parameter, use = found[0]
    weight = context.weights.get(parameter.name)
    return None if weight is None else weight.shifted(use.offset).power * context.connections(parameter, use)


def _chance(context: Context, node: Node, g: Gradient, units: float, far: float) -> float:
    """Chance of one draw in the sum over units: ``sqrt(2 E cos^2 / n)`` over pairs of observations."""
    samples, places = float(max(context.batch, 1)), context.positions(node)
    own = 2.0 / places + 2.0 * g.near * g.near * (1.0 - 1.0 / places)
    return math.sqrt(max(own / samples + far * (1.0 - 1.0 / samples), 0.0) / units)


def _slope(context: Context, node: Node, activation: int, g: Gradient, before: Signal) -> Gradient:
    """``G' = G E f'^2``."""
    behind = passed(context, activation, before)
    f = behind.series
    if f.slope_power <= 0.0:
        return replace(g, power=0.0)
    near = f.slope_pair(before.near_correlation) / f.slope_power
    far = f.slope_pair(before.far_correlation) / f.slope_power
    luck = g.luck
    drawn = -g.behind - 1
    if g.behind >= 0 and drawn in luck.parts:
        # The same draw seen behind the activation: kappa = E (g f')^4-like over pairs.
        squares = f.slope_power**2
        alike = (1.0 + 2.0 * g.scatter) * f.slope_square_pair(before.far_correlation) / squares - 1.0
        one = 3.0 * f.slope_fourth / squares - 1.0
        places, samples = context.positions(node), float(max(context.batch, 1))
        close = (1.0 + 2.0 * g.near**2) * f.slope_square_pair(before.near_correlation) / squares - 1.0
        own = one / places + close * (1.0 - 1.0 / places)
        kappa = own / samples + alike * (1.0 - 1.0 / samples)
        luck = luck.drawn(drawn, math.sqrt(max(kappa, 0.0) / max(before.width, 1.0)))
    luck = luck.plus(before.luck, f.slope_growth)
    certainty, reasons = joined([(g.certainty, g.reasons)], Certainty.EXACT)
    if not before.gaussian:
        certainty, reasons = joined(
            [(g.certainty, g.reasons)], Certainty.APPROXIMATE, "the input of an activation is no Gaussian"
        )
    return replace(
        g,
        power=g.power * (behind.slope_power if g.chosen is None else g.chosen),
        chosen=None,
        near=g.near * near,
        far=g.far * far,
        along=g.near * float(f.slopes[1]) / f.slope_power,
        scatter=g.scatter * far * far,
        even=g.even * max(f.slope_pair(before.correlation(before.pairs)) / f.slope_power, 0.0),
        luck=luck,
        certainty=certainty,
        reasons=reasons,
    )


def _spread(context: Context, node: Node, g: Gradient, read: int) -> Gradient:
    """A tensor that was repeated over others gets the sum of their gradients."""
    came, made = math.prod(context.nodes[read].shape), math.prod(node.shape)
    if came <= 0 or came >= made:
        return g
    times = made / came
    return replace(g, power=g.power * (1.0 + (times - 1.0) * g.near), profile=None)


def _norm(context: Context, node: Node, g: Gradient, before: Signal) -> Gradient:
    """``G' = G gamma^2 / v``, less the two directions that a norm takes out: the mean and the signal.

    Over a batch every unit has a v of its own, and ``E 1/v = (1 + Var v / v^2) / E v``.
    """
    out = removed(context, node, before)
    scales = context.moments(node, UseKind.NORM_SCALE)
    factor = math.prod(m.power for m in scales) / out.divisor if out.divisor > 0.0 else 0.0
    lost, near, far = 0.0, g.near, g.far
    if not out.running:
        lost = min(1.0, (2.0 if out.own else 1.0) / max(out.observations, 1.0))
        if node.setting("over the batch"):
            places, samples = context.positions(node), float(max(context.batch, 1))
            # What the mean takes out, and what goes along the signal: both less where gradients cancel.
            close = g.near * (1.0 - 1.0 / places) / samples
            mean = max(0.0, 1.0 / (places * samples) + close + g.far * (1.0 - 1.0 / samples))
            kept = min(1.0, mean * samples / (1.0 / places + close * samples)) if close > 0.0 else 1.0
            signal = 1.0 / (places * samples) + g.along * (1.0 - 1.0 / places) / samples * kept
            lost = min(1.0, mean + signal)
            near, far = ((c - mean) / (1.0 - lost) if lost < 1.0 else 0.0 for c in (near, far))
            # Every unit sees the same samples: how alike these are is what its input scatters by.
            alike = before.scatter * (before.power / out.divisor) ** 2
            factor *= 1.0 + 2.0 * (1.0 / max(out.observations, 1.0) + min(alike, 1.0))
    luck = g.luck if out.running else g.luck.plus(before.luck, -1.0)
    if node.setting("over the batch") and not out.running:
        luck = luck.plus(Chance(parts={_OWN_SOURCE: _OWN_ERROR}))
    batched = bool(node.setting("over the batch")) and not out.running
    here = Certainty.APPROXIMATE if batched or out.running else Certainty.EXACT
    carried, reasons = joined([(g.certainty, g.reasons)], here, _BATCHED if batched else "")
    return replace(
        g,
        power=g.power * factor * (1.0 - lost),
        near=min(1.0, max(-1.0, near)),
        far=min(1.0, max(-1.0, far)),
        # (A norm over units takes out what they have in common.)
        even=g.even if node.setting("over the batch") else 0.0,
        luck=luck,
        certainty=carried,
        reasons=reasons,
    )


def _pool(context: Context, node: Node, g: Gradient, first: int) -> list[tuple[int, Gradient]]:
    """A mean over w places hands each a w-th: ``G' = G / w``; a maximum hands all to one."""
    if node.setting("upsampling") == (1.0,):
        times = math.prod(node.shape) / max(math.prod(context.nodes[first].shape), 1)
        return [(first, replace(g, power=g.power * (1.0 + (times - 1.0) * g.near), profile=None))]
    if node.setting("maximum") == (1.0,):
        return [
            (
                first,
                reasoned(
                    replace(g, profile=None, chosen=chosen(context, node, context.signals[first])),
                    "each place is the largest of one window at most",
                ),
            )
        ]
    found = averaged(context, node)
    if found is None:
        return [(first, _unknown(node, g, None))]
    count, along = found
    times = count if node.setting("sum") == (1.0,) else 1.0
    near = 1.0 if along == "positions" else g.near
    return [(first, replace(g, power=g.power * times * times / count, near=near, profile=None))]


def _product(
    context: Context, node: Node, g: Gradient, reads: list[tuple[int, ...]]
) -> list[tuple[int, Gradient]]:
    factors = context.moments(node, UseKind.SCALE, UseKind.OTHER)
    if factors:
        return [(reads[0][0], replace(g, power=g.power * math.prod(m.power for m in factors)))]
    if len(reads) == 1:
        reads = reads * 2
    a, b = reads[0], reads[1]
    first, second = context.signals[a[0]], context.signals[b[0]]
    if node.setting("summed"):
        terms = node.setting("summed")[0]
        g = replace(g, power=g.power * terms)
        places = float(node.shape[-2]) if len(node.shape) > 1 else 1.0
        left, right = query_back(g, second), key_back(g, first, places)
        return [(a[0], reasoned(left, SHORT)), (b[0], reasoned(right, SHORT))]
    return [
        (a[0], _spread(context, node, replace(g, power=g.power * second.power), a[0])),
        (b[0], _spread(context, node, replace(g, power=g.power * first.power), b[0])),
    ]
