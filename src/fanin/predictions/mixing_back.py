"""Gradients of what mixes or joins: tensors side by side, pools, products, repeated tensors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fanin.predictions.attention import SHORT, key_back, query_back
from fanin.predictions.concat import Span
from fanin.predictions.context import Context
from fanin.predictions.gradient import Gradient, reasoned, unknown_back
from fanin.predictions.mixing import averaged, chosen
from fanin.predictions.places import even, like
from fanin.predictions.quotient import divides, reciprocal
from fanin.predictions.signal import Signal
from fanin.records.graph import Node, UseKind

__all__ = ["concat_back", "pool_back", "product_back", "spread_back"]


def concat_back(g: Gradient, places: tuple[Span, ...]) -> list[tuple[int, Gradient]]:
    """Each operand gets what arrives at its places."""
    whole = max(span.end for span in places)
    share = (
        g.profile.ravel()
        if g.profile is not None and g.profile.size == whole
        else np.full(whole, 1.0 / whole)
    )
    found = []
    for span in places:
        if span.read is not None:
            own = share[span.first : span.end]
            total = float(own.sum())
            inner = even(own / total) if total > 0.0 else None
            found.append((span.read[0], replace(g, power=g.power * total, profile=inner)))
    return found


def spread_back(context: Context, node: Node, g: Gradient, read: int) -> Gradient:
    """A tensor that was repeated over others gets the sum of their gradients."""
    came, made = math.prod(context.nodes[read].shape), math.prod(node.shape)
    if came <= 0 or came >= made:
        return g
    times = made / came
    return replace(g, power=g.power * (1.0 + (times - 1.0) * g.near), profile=None)


def pool_back(context: Context, node: Node, g: Gradient, first: int) -> list[tuple[int, Gradient]]:
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
        return [(first, unknown_back(node, g, None))]
    count, along = found
    times = count if node.setting("sum") == (1.0,) else 1.0
    near = 1.0 if along == "positions" else g.near
    return [(first, replace(g, power=g.power * times * times / count, near=near, profile=None))]


def product_back(
    context: Context, node: Node, g: Gradient, reads: list[tuple[int, ...]]
) -> list[tuple[int, Gradient]]:
    """Each factor gets the gradient times the power of the other; of a sum of products, over its terms."""
    factors = context.moments(node, UseKind.SCALE, UseKind.OTHER)
    if factors:
        return [(reads[0][0], replace(g, power=g.power * math.prod(m.power for m in factors)))]
    if len(reads) == 1:
        reads = reads * 2
    a, b = reads[0], reads[1]
    first, second = context.seen(a), context.seen(b)
    if node.setting("summed"):
        terms = node.setting("summed")[0]
        g = replace(g, power=g.power * terms)
        places = float(node.shape[-2]) if len(node.shape) > 1 else 1.0
        left, right = query_back(g, second), key_back(g, first, places)
        return [(a[0], reasoned(left, SHORT)), (b[0], reasoned(right, SHORT))]
    if divides(node):
        under = reciprocal(second)
        if under is None:
            return [(r[0], unknown_back(node, g, None)) for r in (a, b)]
        over = replace(under, power=first.power * under.power * under.power, profile=first.profile)
        down = replace(_times(context, g, over, a[0]), near=0.0)
        return [
            (a[0], spread_back(context, node, _times(context, g, under, b[0]), a[0])),
            (b[0], spread_back(context, node, down, b[0])),
        ]
    return [
        (a[0], spread_back(context, node, _times(context, g, second, b[0]), a[0])),
        (b[0], spread_back(context, node, _times(context, g, first, a[0]), b[0])),
    ]


def _times(context: Context, g: Gradient, other: Signal, read: int) -> Gradient:
    """Times another factor, place by place: two places, or samples, are alike where both factors are."""
    if other.power > 0.0:
        near, far = (max(-1.0, min(1.0, m / other.power)) for m in (other.near, other.far))
        near = 1.0 if math.prod(context.nodes[read].shape) <= context.batch * other.width else near
        g = replace(g, near=g.near * near, far=g.far * far)
    both = None if other.profile is None else like(g.profile, other.profile)
    if both is None:
        return replace(g, power=g.power * other.power)
    share = both[0] / float(both[0].sum()) * both[1]
    level = float(share.sum())
    return replace(g, power=g.power * other.power * level, profile=share / level if level > 0.0 else None)
