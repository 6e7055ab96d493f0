"""Operations that act on each element: activations, sums, products, dropout, joined tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fanin.laws.band import Chance
from fanin.laws.hermite import Expansion
from fanin.predictions.context import Context, Reading
from fanin.predictions.joint import joint
from fanin.predictions.layers import luck_of
from fanin.predictions.marginal import passed, summed
from fanin.predictions.places import like
from fanin.predictions.quotient import divides, reciprocal
from fanin.predictions.signal import Marginal, Signal, joined
from fanin.records.graph import Node, UseKind
from fanin.records.prediction import Certainty

__all__ = ["activation", "add", "affine", "dropout", "elements", "placed", "plain", "product", "scaled"]

Floats = NDArray[np.float64]

_GRID, _LEAST = 7, 1e-9
"""Powers at which an activation is looked at where places differ, and the least of them over the mean."""

_STRAIGHT = 0.02
"""Luck and curvature below which the slope at the middle will do."""
_NOT_GAUSSIAN = "the input of an activation is no Gaussian"
_MOVES = (
    *("transpose", "contiguous", "clone", "copy", "masked_fill", "where"),
    *("add.Tensor", "add_", "sub"),
)
"""Operators whose second operand, where it is no signal, is a mask or a shift."""
_INDEPENDENT = 1e-6
"""Share of its power up to which the mixed term of a sum counts as none."""


def activation(context: Context, node: Node, before: Signal) -> Signal | None:
    """``E f^2``, and ``E f(u) f(v)`` for two positions and two samples, of a Gaussian input."""
    if node.activation is None or not (math.isfinite(before.power) and math.isfinite(before.mean)):
        return None
    behind = passed(context, node.activation, before)
    f = behind.series
    here = Certainty.EXACT if before.gaussian else Certainty.APPROXIMATE
    certainty, reasons = joined(
        [(before.certainty, before.reasons)], here, "" if before.gaussian else _NOT_GAUSSIAN
    )
    far, near = before.far_correlation, before.near_correlation
    luck = before.luck.scaled(_growth(context, node.activation, before, f.growth))
    if before.source is not None:
        luck = luck.drawn(before.source, luck_of(context, node, before, node.activation))
    tilt = f.slope_pair(far) * before.variance / f.power if f.power > 0.0 else 0.0
    factors = placed(context, node.activation, before, "power")
    level = 1.0 if factors is None else float(factors.mean())
    middle = 1.0 if factors is None else float(placed(context, node.activation, before, "mean").mean())  # type: ignore[union-attr]
    common = None
    if before.common is not None and behind.power > 0.0:
        grid = np.linspace(float(before.common.min()), float(before.common.max()), _GRID)
        common = np.interp(before.common, grid, [behind.pair(c) / behind.power for c in grid])
    return Signal(
        mean=behind.mean * middle,
        power=behind.power * level,
        near=behind.pair(near) * level,
        far=behind.pair(far) * level,
        pairs=behind.pair(before.correlation(before.pairs)) * level,
        scatter=before.scatter * tilt * tilt,
        profile=None if factors is None or level <= 0.0 else factors / level,
        common=common,
        gaussian=False,
        marginal=behind.marginal,
        width=before.width,
        luck=luck,
        certainty=certainty,
        reasons=reasons,
    )


def placed(
    context: Context, activation: int, before: Signal, what: Literal["mean", "power", "slope"]
) -> Floats | None:
    """``E f``, ``E f^2`` or ``E f'^2`` by place over that at the mean power; None where places are alike.

    Interpolated between a few powers, in the logarithm of the variance ``q_p - (E x)^2`` of a place.
    """
    if before.profile is None or before.variance <= 0.0:
        return None
    variance = np.maximum(before.power * before.profile - before.mean**2, _LEAST * before.variance)
    low, high = float(variance.min()), float(variance.max())
    grid = np.geomspace(low, high, _GRID)
    key: dict[str, Callable[[Expansion], float]] = {
        "mean": lambda f: f.mean, "power": lambda f: f.power, "slope": lambda f: f.slope_power,
    }  # fmt: skip
    of = key[what]
    middle = of(context.expansion(activation, before.mean, before.variance))
    if middle == 0.0:
        return np.ones_like(variance)
    table = [of(context.expansion(activation, before.mean, float(v))) / middle for v in grid]
    found: Floats = np.interp(np.log(variance), np.log(grid), table)
    return found


def _growth(context: Context, activation: int, before: Signal, slope: float) -> float:
    """Slope of ``ln E f^2`` over ``ln q``: where luck is large, over the range that it covers."""
    sd = min(before.luck.sd, 3.0)
    if abs(slope - 1.0) < _STRAIGHT or sd < _STRAIGHT or before.variance <= 0.0:
        return slope
    low, high = (
        context.expansion(activation, before.mean * times, before.variance * times**2).power
        for times in (math.exp(-0.5 * sd), math.exp(0.5 * sd))
    )
    return math.log(high / low) / (2.0 * sd) if low > 0.0 else slope


def plain(node: Node) -> bool:
    """Whether an operation of one tensor multiplies by a constant and shifts, or only moves or masks."""
    return node.factor is not None or any(word in node.op for word in _MOVES)


def affine(node: Node, before: Signal) -> Signal:
    """``a x + b``; without a factor, what only moves or masks elements."""
    a = 1.0 if node.factor is None else node.factor
    if node.factor is None and node.setting("signs"):
        a = -1.0  # 0 - x, where a recurrence has no state yet
    b = (node.setting("offset") or (0.0,))[0]
    square, cross = a * a, 2.0 * a * b * before.mean + b * b
    moved = replace(
        before,
        mean=a * before.mean + b,
        power=square * before.power + cross,
        near=square * before.near + cross,
        far=square * before.far + cross,
        pairs=square * before.pairs + cross,
        row=square * before.row,
        marginal=before.marginal if a > 0.0 else _mirrored(before.marginal),
    )
    share = square * before.power / moved.power if moved.power > 0.0 else 0.0
    return replace(moved, luck=before.luck.scaled(share) if b else before.luck)


def _mirrored(marginal: Marginal | None) -> Marginal | None:
    return None if marginal is None else replace(marginal, points=tuple(-x for x in marginal.points))


def add(context: Context, node: Node, reads: list[Reading]) -> Signal:
    """``E (a + b)^2 = E a^2 + E b^2 + 2 E a b``; tables and biases that are added count as terms.

    The mixed term is 0 for a branch that ends in a layer with weights of its own: see `joint`.
    """
    signs = list(node.setting("signs") or (1.0,) * len(reads))
    # (A table that is subtracted has a sign and is no signal.)
    signs = (signs + [1.0] * len(reads))[: len(reads)]
    if node.setting("alpha") and len(signs) > 1:
        signs[1] *= node.setting("alpha")[0]
    parts = [context.seen(read) for read in reads]
    totals = {"power": 0.0, "near": 0.0, "far": 0.0}
    for key, which in (("power", "same"), ("near", "near"), ("far", "far")):
        for i, (a, s) in enumerate(zip(reads, signs, strict=True)):
            for j, (b, t) in enumerate(zip(reads[i:], signs[i:], strict=True)):
                twice = 2.0 if j else 1.0
                totals[key] += twice * s * t * joint(context, a, b, which)  # type: ignore[arg-type]
    mean = sum(s * p.mean for s, p in zip(signs, parts, strict=True))
    pairs = mean**2 + sum(s * s * (p.pairs - p.mean**2) for s, p in zip(signs, parts, strict=True))
    biases = context.moments(node, UseKind.BIAS, UseKind.RECURRENT_BIAS)
    tables = context.moments(node, UseKind.SHIFT)
    unknown = context.unknown(node, UseKind.BIAS, UseKind.SHIFT)
    before = totals["power"]
    profile, common = _by_place(context, node, reads, [s * s for s in signs])
    mixed = before - mean * mean - sum(s * s * p.variance for s, p in zip(signs, parts, strict=True))
    marginal = None
    if abs(mixed) <= _INDEPENDENT * before and not biases and not tables:
        marginal = summed(list(zip(signs, parts, strict=True)))
    for moments, shared in [*((m, True) for m in biases), *((m, _is_vector(context, node)) for m in tables)]:
        cross = 2.0 * mean * moments.mean
        totals["power"] += moments.power + cross
        totals["near"] += cross + (moments.power if shared else moments.mean**2)
        places = 1.0 if shared else context.positions(node)
        totals["far"] += cross + moments.mean**2 + moments.variance / places
        pairs += moments.mean**2 + cross
        mean += moments.mean
    if totals["power"] > before > 0.0:
        # (What a table adds is of one power everywhere, and all samples have it.)
        added = totals["power"] - before
        own = np.full(1, before) if profile is None else before * profile
        common = None if common is None else (common * own + added) / (own + added)
        profile = None if profile is None else (own + added) / (before + added)
    reason = f"{', '.join(unknown)} is not known" if unknown else ""
    certainty, reasons = joined(
        ((p.certainty, p.reasons) for p in parts),
        Certainty.APPROXIMATE if unknown else Certainty.EXACT,
        reason,
    )
    power = totals["power"]
    sources = {p.source for p in parts}
    share = (lambda p: p.power / power) if power > 0.0 else (lambda _p: 0.0)
    luck = Chance.blended((share(p), p.luck) for p in parts)
    if len(parts) == 2 and power > 0.0:
        luck = luck.drawn(-node.id - 1, _mixed(context, node, parts, power))
    return Signal(
        mean=mean,
        power=power,
        near=totals["near"],
        far=totals["far"],
        pairs=pairs,
        scatter=sum(p.scatter * share(p) ** 2 for p in parts),
        profile=profile,
        common=common,
        gaussian=all(p.gaussian for p in parts) or before < 0.0,
        marginal=marginal,
        width=context.width(node),
        source=sources.pop() if len(sources) == 1 else None,
        row=sum(p.row for p in parts),
        luck=luck,
        certainty=certainty,
        reasons=reasons,
    )


def _by_place(
    context: Context, node: Node, reads: list[Reading], weights: list[float]
) -> tuple[Floats | None, Floats | None]:
    """Power by place of a sum, and the share that samples have in common; mixed terms follow the sum."""
    made = math.prod(node.shape)
    whole, shared = None, None
    alone = 0.0
    for read, weight in zip(reads, weights, strict=False):
        signal = context.seen(read)
        power = weight * signal.power
        alone += power
        if (signal.profile is not None or signal.common is not None) and elements(context, read) != made:
            return None, None  # repeated over other places
        own = np.full(1, power) if signal.profile is None else power * signal.profile
        far = signal.far / signal.power if signal.power > 0.0 else 0.0
        both = own * far if signal.common is None else own * signal.common
        whole, shared = _plus(whole, own), _plus(shared, both)
        if whole is None or shared is None:
            return None, None
    if whole is None or shared is None or shared.size < 2 or alone <= 0.0:
        return None, None
    share = np.minimum(shared / np.maximum(whole.reshape(-1) if whole.size == 1 else whole, 1e-300), 1.0)
    return (None if whole.size < 2 else whole / float(whole.mean())), share


def _plus(a: Floats | None, b: Floats) -> Floats | None:
    if a is None or a.size == 1 or b.size == 1:
        return b if a is None else a + b
    both = like(a, b)
    return None if both is None else both[0] + both[1]


def _is_vector(context: Context, node: Node) -> bool:
    """Whether what is added is one number a unit, the same at every position."""
    return all(
        sum(n > 1 for n in parameter.shape) <= 1
        for parameter, use in context.uses.get(node.id, [])
        if use.kind == UseKind.SHIFT
    )


def _mixed(context: Context, node: Node, parts: list[Signal], power: float) -> float:
    """Chance of the inner product of stream and branch: ``sd = 2 sqrt(q_a q_b kappa / n) / q``."""
    a, b = parts
    samples = float(max(context.batch, 1))
    places = context.positions(node)
    near = a.near_correlation * b.near_correlation
    own = 1.0 / places + near * (1.0 - 1.0 / places)
    alike = own / samples + a.far_correlation * b.far_correlation * (1.0 - 1.0 / samples)
    return 2.0 * math.sqrt(a.power * b.power * max(alike, 0.0) / max(context.width(node), 1.0)) / power


def scaled(context: Context, node: Node, before: Signal) -> Signal | None:
    """A product with a parameter: ``E (g x)^2 = E g^2 E x^2``."""
    factors = context.moments(node, UseKind.SCALE, UseKind.OTHER)
    others = [use for _, use in context.uses.get(node.id, []) if use.kind == UseKind.OTHER]
    if node.setting("derived") and others:
        return None  # a function of a buffer, such as the cosines of a rotary embedding
    if not factors or context.unknown(node, UseKind.SCALE, UseKind.OTHER):
        return None
    mean = math.prod(m.mean for m in factors)
    power = math.prod(m.power for m in factors)
    return replace(
        before,
        mean=mean * before.mean,
        power=power * before.power,
        near=power * before.near,
        far=power * before.far,
        pairs=mean * mean * before.pairs,
        row=power * before.row,
        marginal=before.marginal if power == mean * mean and mean > 0.0 else None,
    )


def product(context: Context, node: Node, reads: list[Reading]) -> Signal | None:
    """``E (a b)^2 = E a^2 E b^2`` of two factors that different rows of weights make (GLU, gates)."""
    parts = [context.seen(read) for read in reads]
    if len(parts) == 1 and context.uses.get(node.id):
        return None  # the other factor comes from a parameter in a way that is not followed
    if len(parts) == 1:
        parts = parts * 2
        reads = reads * 2
    mean = joint(context, reads[0], reads[1])
    if divides(node):
        under = reciprocal(parts[1])
        if under is None:
            return None
        parts = [parts[0], under]
        mean = parts[0].mean * under.mean
    tied = abs(mean - parts[0].mean * parts[1].mean) > 1e-9 * math.sqrt(parts[0].power * parts[1].power)
    certainty, reasons = joined(
        ((p.certainty, p.reasons) for p in parts),
        Certainty.APPROXIMATE if tied else Certainty.EXACT,
        "the factors of a product are not independent" if tied else "",
    )
    luck = parts[0].luck.plus(parts[1].luck)
    profile, level = _multiplied(parts)
    return Signal(
        mean=mean,
        power=level * math.prod(p.power for p in parts),
        near=level * math.prod(p.near for p in parts),
        far=level * math.prod(p.far for p in parts),
        pairs=math.prod(p.pairs for p in parts),
        scatter=sum(p.scatter * q.far_correlation**2 for p, q in (parts[:2], parts[1::-1]))
        + math.prod(p.scatter for p in parts),
        profile=profile,
        gaussian=False,
        width=context.width(node),
        luck=luck,
        certainty=certainty,
        reasons=reasons,
    )


def _multiplied(parts: list[Signal]) -> tuple[Floats | None, float]:
    """Profile of a product, and what the mean power gains as both are large at the same places."""
    a, b = parts[0].profile, parts[1].profile
    if a is None or b is None:
        return (b if a is None else a), 1.0
    both = like(a, b)
    if both is None:
        return None, 1.0
    made = both[0] * both[1]
    level = float(made.mean())
    return (made / level if level > 0.0 else None), level


def dropout(node: Node, before: Signal) -> Signal:
    """Elements kept with probability ``1 - p`` and multiplied by ``1 / (1 - p)``.

    ``q' = q / (1 - p)``; two positions or samples, whose masks are independent, keep their product.
    """
    p = (node.setting("p") or (0.0,))[0]
    if not 0.0 < p < 1.0:
        return before
    times = (node.setting("kept times") or (1.0 / (1.0 - p),))[0]
    kept = (1.0 - p) * times
    return replace(
        before,
        mean=kept * before.mean,
        power=(1.0 - p) * times * times * before.power,
        near=kept * kept * before.near,
        far=kept * kept * before.far,
        pairs=kept * kept * before.pairs,
        share=(1.0 - p) * times * times * before.share,
        marginal=None,
        gaussian=False if p > 0.5 else before.gaussian,
    )


def elements(context: Context, read: Reading) -> float:
    """Numbers that are read."""
    rank = (len(read) - 1) // 2
    if rank:
        return float(math.prod(read[1 + rank :]))
    return float(math.prod(context.nodes[read[0]].shape))
