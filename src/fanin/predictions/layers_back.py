"""Gradients of what has weights or statistics: layers, activations behind them, norms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fanin.laws.band import Chance
from fanin.laws.fans import fans
from fanin.predictions.context import Context
from fanin.predictions.gradient import Gradient, reasoned, unknown_back
from fanin.predictions.layers import NOTICED, WITH_MEAN, taps
from fanin.predictions.marginal import passed
from fanin.predictions.norms import divided, removed
from fanin.predictions.places import like
from fanin.predictions.pointwise import placed
from fanin.predictions.signal import Signal, joined
from fanin.records.graph import Node, OpKind, UseKind
from fanin.records.prediction import Certainty

__all__ = ["OWN_SOURCE", "norm_back", "slope_back", "weights_back"]

_OWN_ERROR, OWN_SOURCE = 0.015, -(1 << 40)
"""Nats that the law of a batch norm's gradient is off by in ResNets with batches of 8 to 32; always to one
side, so that all norms share one source."""
_BATCHED = "the gradient of a norm over a batch is taken at samples and places that differ by chance"


def weights_back(
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
        return [(first, unknown_back(node, g, measured.get(first)))]
    factor = _gain(context, node)
    if factor is None:
        return [(first, unknown_back(node, g, measured.get(first)))]
    common, alike = _in_common(context, node, g)
    factor *= common
    profile = None if node.kind == OpKind.CONVOLUTION else g.profile
    if node.kind == OpKind.CONVOLUTION and (lines := taps(node, context)) is not None:
        came = g.profile
        if came is not None:
            came = came.reshape(lines.output) if came.size == math.prod(lines.output) else None
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
    samples, places = float(max(context.batch, 1)), _places(context, node, g)
    own = 2.0 / places + 2.0 * g.near * g.near * (1.0 - 1.0 / places)
    return math.sqrt(max(own / samples + far * (1.0 - 1.0 / samples), 0.0) / units)


def _places(context: Context, node: Node, g: Gradient) -> float:
    """Positions that a gradient is spread over: as many as would share its power evenly."""
    places = context.positions(node)
    if g.profile is None or not (square := float(np.square(g.profile).sum())) > 0.0:
        return places
    return min(places, max(1.0, 1.0 / square))


def slope_back(context: Context, node: Node, activation: int, g: Gradient, before: Signal) -> Gradient:
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
        places, samples = _places(context, node, g), float(max(context.batch, 1))
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
    slopes, profile = placed(context, activation, before, "slope"), g.profile
    level = 1.0
    if slopes is not None and (both := like(profile, slopes)) is not None:
        share = both[0] / float(both[0].sum())
        level = float((share * both[1]).sum())
        profile = share * both[1] / level if level > 0.0 else None
    return replace(
        g,
        power=g.power * (behind.slope_power * level if g.chosen is None else g.chosen),
        profile=profile,
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


def _neighbours(context: Context, node: Node) -> float:
    """Places that count as one in a variance, behind a convolution: ``sum over shifts d of c_d^2``.

    Two outputs at a distance of d strides s share ``1 - d s / k`` of a kernel's k taps along each axis, so
    are alike by as much where the inputs are not.
    """
    source = context.nodes[context.reads(node)[0][0]]
    if source.kind != OpKind.CONVOLUTION or source.setting("transposed") == (1.0,):
        return 1.0
    kernel = source.setting("kernel")
    stride = source.setting("stride") or (1.0,)
    stride = stride if len(stride) == len(kernel) else stride[:1] * len(kernel)
    if source.setting("dilation") and max(source.setting("dilation")) > 1.0:
        return 1.0
    found = 1.0
    for k, s in zip(kernel, stride, strict=True):
        shares = [max(0.0, 1.0 - d * s / k) for d in range(1, int(k) + 1)]
        found *= 1.0 + 2.0 * sum(share * share for share in shares)
    return found


def norm_back(context: Context, node: Node, g: Gradient, before: Signal) -> Gradient:
    """``G' = G gamma^2 / v``, less the two directions that a norm takes out: the mean and the signal.

    Over a batch every unit has a v of its own, and ``E 1/v = (1 + Var v / v^2) / E v``.
    """
    out = removed(context, node, before)
    scales = context.moments(node, UseKind.NORM_SCALE)
    factor = out.level * math.prod(m.power for m in scales) / out.divisor if out.divisor > 0.0 else 0.0
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
            seen = min(_neighbours(context, node), places) / max(out.observations, 1.0)
            factor *= 1.0 + 2.0 * (seen + min(alike, 1.0))
    profile = g.profile
    each = (
        None
        if out.running or node.setting("over the batch") or node.setting("groups")
        else divided(before, out)
    )
    if each is not None and (both := like(profile, each)) is not None:
        # Every place is divided by its own power.
        share = both[0] / float(both[0].sum()) / np.maximum(both[1], 1e-300)
        factor *= float(share.sum())
        profile = share / float(share.sum())
    luck = g.luck if out.running else g.luck.plus(before.luck, -1.0)
    if node.setting("over the batch") and not out.running:
        luck = luck.plus(Chance(parts={OWN_SOURCE: _OWN_ERROR}))
    batched = bool(node.setting("over the batch")) and not out.running
    here = Certainty.APPROXIMATE if batched or out.running else Certainty.EXACT
    carried, reasons = joined([(g.certainty, g.reasons)], here, _BATCHED if batched else "")
    return replace(
        g,
        power=g.power * factor * (1.0 - lost),
        profile=profile,
        near=min(1.0, max(-1.0, near)),
        far=min(1.0, max(-1.0, far)),
        # (A norm over units takes out what they have in common.)
        even=g.even if node.setting("over the batch") else 0.0,
        luck=luck,
        certainty=carried,
        reasons=reasons,
    )
