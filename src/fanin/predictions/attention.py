"""The gradient of attention: to its values, and through its scores to queries and keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fanin.laws.band import Chance
from fanin.predictions.context import Context
from fanin.predictions.gradient import Gradient, reasoned
from fanin.predictions.mixing import fused, values_read
from fanin.predictions.signal import Signal
from fanin.records.graph import Node

Floats = NDArray[np.float64]

__all__ = ["SHORT", "attention_back", "key_back", "query_back"]

_ERROR, _SOURCE = (0.05, 0.15), -(1 << 41)
"""Nats that these laws are off by in language models, to values and to scores; always to one side."""
SHORT = "the gradient of attention scores is taken at even attention"
_EVEN = "attention is taken as even"


def attention_back(context: Context, node: Node, g: Gradient) -> list[tuple[int, Gradient]]:
    """The values get ``G (share + near (1 - share))``, the scores ``G (q_v - near_v) share (1 - share)``.

    A row of scores gets ``a_j <g, v_j - sum a v>``: what all values share moves no weight.
    """
    weights, read = values_read(context, node)
    if read is None:
        return []
    value = context.seen(read)
    reads = context.reads(node)
    lone = max(value.power - value.near, 0.0)
    scored = fused(context, node) if weights is None else None
    share = weights.share if weights is not None else 0.0 if scored is None else scored.share
    share = min(max(share, 0.0), 1.0)
    keys = next((context.nodes[r[0]].shape[-1] for r in reads if context.signals[r[0]].share > 0.0), 0)
    # Of two values a row of weights has (1 - share) / (T - 1) in common on the average.
    places = max(float(keys), *node.setting("keys"), 2.0)
    rows = weights.rows if weights is not None else () if scored is None else scored.rows
    share, slope, onto = _by_rows(g, rows, share, 0.0 if scored is None else scored.slope)
    own = share + g.near * (1.0 - share)
    common = (1.0 - share) / (places - 1.0) * (1.0 - g.near) + g.near
    near = min(1.0, common / own) if own > 0.0 else 0.0
    first, second = (g.luck.plus(Chance(parts={_SOURCE: error})) for error in _ERROR)
    back = replace(g, power=g.power * own, near=near, profile=onto, luck=first)
    g = replace(g, luck=second)
    found = [(read[0], reasoned(back, _EVEN))]
    if weights is not None:
        scores = reasoned(replace(g, power=g.power * keys * lone), SHORT)
        others = [r[0] for r in reads if r != read and context.signals[r[0]].share > 0.0]
        return [*found, *((other, scores) for other in others)]
    if scored is None or len(reads) < 3:
        return found
    scores = replace(g, power=g.power * lone * slope * scored.scale)
    query, key = (context.signals[r[0]] for r in reads[:2])
    found.append((reads[0][0], reasoned(query_back(scores, key, share), SHORT)))
    found.append((reads[1][0], reasoned(key_back(scores, query, float(node.shape[-2])), SHORT)))
    return found


def _by_rows(
    g: Gradient, rows: tuple[float, ...], share: float, slope: float
) -> tuple[float, float, Floats | None]:
    """Share, slope and the values' profile where rows differ: row t is handed on to the places up to t.

    ``G_j = sum over t >= j of G_t share_t / t``, for the ``G_t`` of the rows.
    """
    if len(rows) < 2:
        return share, slope, None
    count, each = len(rows), np.asarray(rows)
    came = np.full(count, 1.0 / count)
    if g.profile is not None and g.profile.size == count:
        came = g.profile.ravel() / float(g.profile.sum())
    own = came * each / np.arange(1, count + 1)
    onto = np.cumsum(own[::-1])[::-1]
    total = float(onto.sum())
    found = float((came * each * (1.0 - each)).sum())
    return total, found, onto / total if total > 0.0 else None


def query_back(scores: Gradient, key: Signal, share: float = 1.0) -> Gradient:
    """A row of scores, whose gradients add up to 0, meets what keys do not share.

    Values are as alike as keys are, both being made of the same tensor: where the likeness of pairs
    scatters by r^2, the products of the two add up to ``1 + (1 / share - 1) r^2``.
    """
    lone = max(key.power - key.near, 0.0)
    if lone <= 0.0:
        return replace(scores, power=0.0, near=0.0)
    scatter = min(1.0, key.scatter * (key.power / lone) ** 2)
    together = 1.0 + (1.0 / max(share, 1e-9) - 1.0) * scatter
    return replace(scores, power=scores.power * lone * together, near=0.0)


def key_back(scores: Gradient, query: Signal, places: float) -> Gradient:
    """A column of scores: its gradients are as alike as those of the outputs."""
    alike = max(0.0, scores.near) * max(0.0, query.near) * (places - 1.0)
    return replace(scores, power=scores.power * (query.power + alike), near=0.0, profile=None)
