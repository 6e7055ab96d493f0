"""Product moments of two nodes' outputs, which decide what a sum of them is.

A contraction whose weights have mean 0 is uncorrelated with everything before it, whatever lies between:
``E u (W x) = 0``. So the later of two nodes is opened again and again until such a layer, or a
common node, is met.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from fanin.predictions.context import Context, Reading
from fanin.predictions.quotient import divides, reciprocal
from fanin.predictions.signal import Signal
from fanin.records.graph import Node, OpKind, UseKind

__all__ = ["Which", "joint"]

Which: TypeAlias = Literal["same", "near", "far"]
"""Whether the two are taken at one position of one sample, at two positions, or in two samples."""

_DEPTH = 60
_FRESH = {OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.EMBEDDING, OpKind.RECURRENCE, OpKind.ATTENTION}


def joint(context: Context, a: Reading, b: Reading, which: Which = "same", depth: int = 0) -> float:
    """``E a b`` at the same unit.

    Parameters
    ----------
    a, b
        A node's id, and the part of its output that is meant.
    which
        At one position, at two positions of a sample, or in two samples.
    """
    if a[0] > b[0]:
        a, b = b, a
    key = (a, b, which)
    if key not in context.joints:
        context.joints[key] = _joint(context, a, b, which, depth)
    return context.joints[key]


def _joint(context: Context, a: Reading, b: Reading, which: Which, depth: int) -> float:
    first, second = context.seen(a), context.seen(b)
    if a[0] == b[0]:
        if _apart(a, b):
            return first.mean * first.mean
        return {"same": first.power, "near": first.near, "far": first.far}[which]
    apart = first.mean * second.mean
    node = context.nodes[b[0]]
    if depth > _DEPTH or node.kind in _FRESH:
        return apart
    return _opened(context, a, first, node, second, which, depth + 1, apart)


def _opened(
    context: Context,
    a: Reading,
    first: Signal,
    node: Node,
    second: Signal,
    which: Which,
    depth: int,
    apart: float,
) -> float:
    """Replace the later node by what it computes of its inputs."""
    reads = context.reads(node)
    if not reads:
        return apart
    before = context.seen(reads[0])
    if node.kind == OpKind.ADD:
        shift = sum(m.mean for m in context.moments(node, UseKind.SHIFT, UseKind.BIAS))
        signs = node.setting("signs") or (1.0,) * len(reads)
        return first.mean * shift + sum(
            sign * joint(context, a, read, which, depth) for sign, read in zip(signs, reads, strict=False)
        )
    if node.kind == OpKind.ACTIVATION and node.activation is not None:
        # Stein: E (x - mu) f(x) = var E f'.
        f = context.expansion(node.activation, before.mean, before.variance)
        covariance = joint(context, a, reads[0], which, depth) - first.mean * before.mean
        return first.mean * f.mean + f.slope * covariance
    if len(reads) == 1 and before.variance > 0.0:
        linear = node.factor is not None or node.kind in (OpKind.DROPOUT, OpKind.POINTWISE, OpKind.PRODUCT)
        if linear or node.kind == OpKind.NORM:
            together = joint(context, a, reads[0], which, depth) - first.mean * before.mean
            if node.setting("over the batch"):
                # What all samples share was taken out.
                together -= joint(context, a, reads[0], "far", depth) - first.mean * before.mean
            return apart + math.sqrt(second.variance / before.variance) * _sign(node) * together
    if node.kind == OpKind.PRODUCT and len(reads) == 2 and not node.setting("summed"):
        # E u a b of Gaussians, and of gates that are independent of both others.
        a_read, b_read = reads
        left, right = (context.seen(read) for read in reads)
        if divides(node):
            under = reciprocal(right)
            if under is None:
                return apart
            return apart + under.mean * (joint(context, a, a_read, which, depth) - first.mean * left.mean)
        with_left = joint(context, a, a_read, which, depth) - first.mean * left.mean
        with_right = joint(context, a, b_read, which, depth) - first.mean * right.mean
        return apart + right.mean * with_left + left.mean * with_right
    if node.kind == OpKind.CONCAT:
        return sum(joint(context, a, read, which, depth) for read in reads) / len(reads)
    return apart


def _sign(node: Node) -> float:
    taken_from_nothing = node.kind == OpKind.POINTWISE and bool(node.setting("signs"))
    return -1.0 if taken_from_nothing or (node.factor is not None and node.factor < 0.0) else 1.0


def _apart(a: Reading, b: Reading) -> bool:
    """Whether two parts of one tensor have no element in common."""
    if len(a) != len(b) or len(a) == 1:
        return False
    rank = (len(a) - 1) // 2
    return any(
        a[1 + d] + a[1 + rank + d] <= b[1 + d] or b[1 + d] + b[1 + rank + d] <= a[1 + d] for d in range(rank)
    )
