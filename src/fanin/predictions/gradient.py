"""What is known of a gradient while it is followed back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fanin.laws.band import Chance
from fanin.predictions.context import Context
from fanin.predictions.pointwise import plain
from fanin.predictions.quotient import divides, reciprocal
from fanin.predictions.signal import joined
from fanin.records.graph import Node, OpKind, UseKind
from fanin.records.prediction import Certainty

__all__ = ["Gradient", "mean_slope", "reasoned", "summed", "unknown_back"]

Floats = NDArray[np.float64]

_SMALL = 1e-3
_NO_WAY = "no law for the gradient of {op}"
_MEET = "gradients that meet again without weights between them are added with the mean slopes of their ways"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """A gradient while it is followed back.

    Parameters
    ----------
    power
        G: summed over units and positions of a sample.
    near
        Correlation of the gradients of two positions at the same unit.
    far
        The same of two samples: none, but behind a norm over the batch, whose gradients add up to 0.
    along
        The same of the part that goes along the signal itself, which an activation's slope leaves.
    scatter
        Mean squared cosine of the gradients of two samples.
    even
        Share of G in what all units of a sample have in common: the square of their mean over their
        mean square. Chance alone gives one over the units.
    profile
        Share of G by spatial position, or None where it is even.
    luck
        How ``ln G`` answers to chance; see `fanin.laws.band.Chance`.
    ways
        For each node since the last weights: G there, and the mean factor from there to here.
    chosen
        ``E f'^2`` at the places of an activation f that a maximum behind it chose; None where all count.
    behind
        The last layer with weights that it passed; -1 for none.
    """

    power: float
    near: float = 0.0
    far: float = 0.0
    along: float = 0.0
    scatter: float = 0.0
    even: float = 0.0
    profile: Floats | None = None
    luck: Chance = field(default_factory=Chance)
    ways: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    chosen: float | None = None
    behind: int = -1
    certainty: Certainty = Certainty.EXACT
    reasons: tuple[str, ...] = ()


def summed(parts: list[Gradient]) -> Gradient:
    """Gradients that arrive by several ways: ``E (sum g_k)^2``.

    Where each has weights of its own on its way they add up in power. Where two come from one node by ways
    without weights, ``E g_k g_l = G E phi_k E phi_l`` with the mean factors phi of both ways.
    """
    if len(parts) == 1:
        return parts[0]
    alone = sum(p.power for p in parts)
    share = [p.power / alone if alone > 0.0 else 1.0 / len(parts) for p in parts]
    mixed = sum(_together(p, q) for p, q in combinations(parts, 2))
    power = max(alone + 2.0 * mixed, 0.0)
    ways: dict[int, tuple[float, float]] = {}
    for p in parts:
        for node, (there, factor) in p.ways.items():
            ways[node] = (there, factor + ways.get(node, (there, 0.0))[1])
    # A way that brings nothing spoils nothing.
    close = abs(mixed) > _SMALL * alone
    certainty, reasons = joined(
        ((p.certainty, p.reasons) for p, s in zip(parts, share, strict=True) if s > _SMALL),
        Certainty.APPROXIMATE if close else Certainty.EXACT,
        _MEET if close else "",
    )
    return Gradient(
        power=power,
        near=sum(s * p.near for s, p in zip(share, parts, strict=True)),
        far=sum(s * p.far for s, p in zip(share, parts, strict=True)),
        along=sum(s * p.along for s, p in zip(share, parts, strict=True)),
        scatter=sum(s * s * p.scatter for s, p in zip(share, parts, strict=True)),
        even=sum(s * p.even for s, p in zip(share, parts, strict=True)),
        profile=_together_placed(parts, share),
        luck=Chance.blended((s, p.luck) for s, p in zip(share, parts, strict=True)),
        ways=ways,
        behind=parts[0].behind if len({p.behind for p in parts}) == 1 else min(p.behind for p in parts),
        certainty=certainty,
        reasons=reasons,
    )


def _together_placed(parts: list[Gradient], share: list[float]) -> Floats | None:
    """Share by place of a sum; a part without a profile is spread evenly."""
    known = [p.profile for p in parts if p.profile is not None]
    if not known or len({m.size for m in known}) != 1:
        return None
    found = np.zeros(known[0].shape)
    for p, s in zip(parts, share, strict=True):
        found = found + s * (1.0 / found.size if p.profile is None else p.profile.reshape(found.shape))
    return found


def _together(p: Gradient, q: Gradient) -> float:
    """What two ways have in common: from the last node that both come from."""
    both = p.ways.keys() & q.ways.keys()
    if not both:
        return 0.0
    there, factor = p.ways[min(both)]
    return there * factor * q.ways[min(both)][1]


def reasoned(g: Gradient, reason: str, certainty: Certainty = Certainty.APPROXIMATE) -> Gradient:
    """The same gradient, known as well as this reason lets it be."""
    certainty, reasons = joined([(g.certainty, g.reasons)], certainty, reason)
    return replace(g, certainty=certainty, reasons=reasons)


def mean_slope(context: Context, node: Node, place: int, read: int) -> float | None:
    """Mean derivative of a node by one of its inputs, element by element; None where there is none."""
    if math.prod(context.nodes[read].shape) != math.prod(node.shape):
        return None
    if node.kind == OpKind.ADD:
        signs = [*node.setting("signs"), *[1.0] * (place + 1)]
        alpha = (node.setting("alpha") or (1.0,))[0]
        return signs[place] * (alpha if place == 1 else 1.0)
    if node.kind == OpKind.ACTIVATION and node.activation is not None:
        before = context.signals[read]
        return context.expansion(node.activation, before.mean, before.variance).slope
    if node.kind == OpKind.PRODUCT and not node.setting("summed"):
        factors = context.moments(node, UseKind.SCALE, UseKind.OTHER)
        others = [r[0] for r in context.reads(node) if r[0] != read]
        if factors:
            return math.prod(m.mean for m in factors)
        if divides(node):
            under = reciprocal(context.signals[others[0]]) if others and place == 0 else None
            return None if under is None else under.mean
        return context.signals[others[0]].mean if len(others) == 1 else None
    if node.factor is not None:
        return node.factor
    if plain(node) and len(context.reads(node)) == 1:
        return -1.0 if node.setting("signs") else 1.0
    return None


def unknown_back(node: Node, g: Gradient, seen: float | None) -> Gradient:
    """A gradient behind an operation without a law: as it was measured, else as it came."""
    power = g.power if seen is None else seen
    return reasoned(
        replace(g, power=power, profile=None, luck=Chance()), _NO_WAY.format(op=node.op), Certainty.UNKNOWN
    )
