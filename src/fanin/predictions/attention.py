"""The gradient of attention: to its values, and through its scores to queries and keys."""

from __future__ import annotations

from dataclasses import replace

from fanin.predictions.context import Context
from fanin.predictions.gradient import Gradient, reasoned
from fanin.predictions.mixing import fused, values_read
from fanin.predictions.signal import Signal
from fanin.records.graph import Node

__all__ = ["SHORT", "attention_back", "key_back", "query_back"]

SHORT = "the gradient of attention scores is taken at even attention"
_EVEN = "attention is taken as even"


def attention_back(context: Context, node: Node, g: Gradient) -> list[tuple[int, Gradient]]:
    """The values get ``G (share + near (1 - share))``, the scores ``G (q_v - near_v) share (1 - share)``.

    A row of scores gets ``a_j <g, v_j - sum a v>``: what all values share moves no weight.
    """
    weights, read = values_read(context, node)
    if read is None:
        return []
    value = context.signals[read[0]]
    reads = context.reads(node)
    lone = max(value.power - value.near, 0.0)
    share = weights.share if weights is not None else (fused(context, node) or (0.0, False, 0.0))[0]
    share = min(max(share, 0.0), 1.0)
    # Of two values a row of weights has (1 - share) / (T - 1) in common on the average.
    places = max(context.positions(context.nodes[read[0]]), 2.0)
    own = share + g.near * (1.0 - share)
    common = (1.0 - share) / (places - 1.0) * (1.0 - g.near) + g.near
    near = min(1.0, common / own) if own > 0.0 else 0.0
    back = replace(g, power=g.power * own, near=near, profile=None)
    found = [(read[0], reasoned(back, _EVEN))]
    if weights is not None:
        for other in reads:
            if other != read and context.signals[other[0]].share > 0.0:
                keys = context.nodes[other[0]].shape[-1]
                found.append(
                    (other[0], reasoned(replace(g, power=g.power * keys * lone, profile=None), SHORT))
                )
        return found
    scored = fused(context, node)
    if scored is None or len(reads) < 3:
        return found
    scores = replace(g, power=g.power * lone * share * (1.0 - share) * scored[2], profile=None)
    query, key = (context.signals[r[0]] for r in reads[:2])
    found.append((reads[0][0], reasoned(query_back(scores, key), SHORT)))
    found.append((reads[1][0], reasoned(key_back(scores, query, context.positions(node)), SHORT)))
    return found


def query_back(scores: Gradient, key: Signal) -> Gradient:
    """A row of scores, whose gradients add up to 0, meets what keys do not share."""
    return replace(scores, power=scores.power * max(key.power - key.near, 0.0), near=0.0)


def key_back(scores: Gradient, query: Signal, places: float) -> Gradient:
    """A column of scores: its gradients are as alike as those of the outputs."""
    alike = max(0.0, scores.near) * max(0.0, query.near) * (places - 1.0)
    return replace(scores, power=scores.power * (query.power + alike), near=0.0)
