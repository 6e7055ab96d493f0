"""Normalisation: what is taken out, and what all the rest is divided by."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fanin.predictions.context import Context
from fanin.predictions.signal import Signal, joined
from fanin.records.graph import Node, UseKind
from fanin.records.prediction import Certainty

__all__ = ["Removed", "norm", "removed"]

_START = "running statistics are taken to be at their start, mean 0 and variance 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Second moments of what a norm subtracts, and the divisor's square.

    `own` of one element; `near` and `far` of two positions and two samples; `divisor` is variance plus
    epsilon; `observations` are the numbers over which the statistics run.
    """

    own: float
    near: float
    far: float
    divisor: float
    observations: float
    running: bool = False


def removed(context: Context, node: Node, before: Signal) -> Removed:
    """What a norm takes out of this signal.

    A norm over the units of an observation takes out their mean, one over the batch what all samples
    share at a unit (``(near (1 - 1/P) + q/P)/B + far (1 - 1/B)`` for P positions and B samples), one over
    groups of g units and all positions of a sample a mean over both.
    """
    eps = (node.setting("eps") or node.setting("epsilon") or (0.0,))[0]
    width, places = context.width(node), context.positions(node)
    samples = float(max(context.batch, 1))
    in_sample = before.near * (1.0 - 1.0 / places) + before.power / places
    if node.setting("over the batch"):
        if node.setting("training") == (0.0,):
            return Removed(own=0.0, near=0.0, far=0.0, divisor=1.0 + eps, observations=math.inf, running=True)
        # Places of two samples share what both places of one, and both samples at a place, do.
        among = min(before.far, before.near) if places > 1.0 else before.far
        others = before.far / places + among * (1.0 - 1.0 / places)
        shared = in_sample / samples + others * (1.0 - 1.0 / samples)
        return Removed(
            own=shared,
            near=shared,
            far=shared,
            divisor=max(before.power - shared, 0.0) + eps,
            observations=samples * places,
        )
    centred = node.setting("centred") != (0.0,) and not node.setting("written out")
    groups = (node.setting("groups") or (0.0,))[0]
    if groups:
        units = max(1.0, width / groups)
        one = (in_sample - before.pairs) / units + before.pairs
        far = (before.far - before.mean**2) / units + before.mean**2
        seen = units * places
        return Removed(
            own=one, near=one, far=far, divisor=max(before.power - one, 0.0) + eps, observations=seen
        )
    if not centred:
        return Removed(own=0.0, near=0.0, far=0.0, divisor=before.power + eps, observations=width)
    one = (before.power - before.pairs) / width + before.pairs
    near = (before.near - before.mean**2) / width + before.mean**2
    far = (before.far - before.mean**2) / width + before.mean**2
    return Removed(
        own=one, near=near, far=far, divisor=max(before.power - one, 0.0) + eps, observations=width
    )


def norm(context: Context, node: Node, before: Signal) -> Signal | None:
    """``gamma (x - m) / sqrt(v + eps) + beta``."""
    scales = context.moments(node, UseKind.NORM_SCALE)
    shifts = context.moments(node, UseKind.NORM_SHIFT)
    out = removed(context, node, before)
    if not out.divisor > 0.0:
        return None
    times = math.prod(m.power for m in scales) / out.divisor
    each = math.prod(m.mean for m in scales) / math.sqrt(out.divisor)
    added = sum(m.power for m in shifts)
    offset = sum(m.mean for m in shifts)
    kept = before.mean - (before.mean if out.own else 0.0)
    cross = 2.0 * each * kept * offset
    unknown = context.unknown(node, UseKind.NORM_SCALE, UseKind.NORM_SHIFT)
    reason = (
        _START
        if out.running
        else "taken for a norm over the last dimension" * bool(node.setting("written out"))
    )
    reason = f"{', '.join(unknown)} is not known" if unknown else reason
    certainty, reasons = joined(
        [(before.certainty, before.reasons)], Certainty.APPROXIMATE if reason else Certainty.EXACT, reason
    )
    luck = (
        before.luck
        if out.running
        else before.luck.scaled((out.divisor - _divided(out, before)) / out.divisor)
    )
    return replace(
        before,
        marginal=before.marginal if each > 0.0 else None,
        mean=each * kept + offset,
        power=times * (before.power - out.own) + added + cross,
        near=times * (before.near - out.near) + added + cross,
        far=times * (before.far - out.far) + added + cross,
        pairs=(each * kept + offset) ** 2 if out.own else each * each * before.pairs + offset**2,
        profile=before.profile if node.setting("over the batch") or node.setting("groups") else None,
        source=before.source if out.running else None,
        luck=luck,
        certainty=certainty,
        reasons=reasons,
    )


def _divided(out: Removed, before: Signal) -> float:
    """Part of the divisor that follows the signal: all of it but epsilon."""
    return max(before.power - out.own, 0.0)
