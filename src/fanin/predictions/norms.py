"""Normalisation: what is taken out, and what all the rest is divided by."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fanin.predictions.context import Context
from fanin.predictions.signal import Signal, joined
from fanin.predictions.trial import Drawn
from fanin.records.graph import Node, UseKind
from fanin.records.prediction import Certainty

__all__ = ["Removed", "divided", "norm", "removed"]

Floats = NDArray[np.float64]

_LEVEL = 0.1
"""Nats about 1 within which a norm by hand is one to power 1: what its output's shifts and chance leave."""
_START = "running statistics are taken to be at their start, mean 0 and variance 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Second moments of what a norm subtracts, and the divisor's square.

    `own` of one element; `near` and `far` of two positions and two samples; `divisor` is variance plus
    epsilon `eps`; what is divided is multiplied by `level` before; `observations` are the numbers over
    which the statistics run.
    """

    own: float
    near: float
    far: float
    divisor: float
    observations: float
    running: bool = False
    eps: float = 0.0
    level: float = 1.0


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
        level = _level(context, node, before) if node.setting("written out") else 1.0
        rest = before.power + eps
        return Removed(own=0.0, near=0.0, far=0.0, divisor=rest, observations=width, eps=eps, level=level)
    one = (before.power - before.pairs) / width + before.pairs
    near = (before.near - before.mean**2) / width + before.mean**2
    far = (before.far - before.mean**2) / width + before.mean**2
    divisor = max(before.power - one, 0.0) + eps
    return Removed(own=one, near=near, far=far, divisor=divisor, observations=width, eps=eps)


def _level(context: Context, node: Node, before: Signal) -> float:
    """Power that a norm written by hand brings signals to, as a trial of it on normal numbers shows."""
    reads = context.reads(node)
    if context.trial is None or len(reads) != 1:
        return 1.0
    source = context.nodes[reads[0][0]]
    unit = context.units.get(source.id, len(source.shape) - 1)
    # (Rounded, so that norms of a network's many layers are tried once.)
    mean = round(before.mean / math.sqrt(before.power), 1) if before.power > 0.0 else 0.0
    given = Drawn(
        node=source.id,
        shape=source.shape,
        unit=unit,
        batch=context.batch,
        mean=mean,
        power=1.0,
        near=mean * mean,
        far=mean * mean,
    )
    found = context.trial(node, (given,), context.weights, context.units.get(node.id, len(node.shape) - 1))
    scales = math.prod(m.power for m in context.moments(node, UseKind.NORM_SCALE))
    shifts = sum(m.power for m in context.moments(node, UseKind.NORM_SHIFT))
    if isinstance(found, str) or not scales > 0.0 or found.error > _LEVEL:
        return 1.0
    level = (found.output.power - shifts) / scales
    return level if level > 0.0 and abs(math.log(level)) > _LEVEL else 1.0


def norm(context: Context, node: Node, before: Signal) -> Signal | None:
    """``gamma (x - m) / sqrt(v + eps) + beta``."""
    scales = context.moments(node, UseKind.NORM_SCALE)
    shifts = context.moments(node, UseKind.NORM_SHIFT)
    out = removed(context, node, before)
    if not out.divisor > 0.0:
        return None
    times = out.level * math.prod(m.power for m in scales) / out.divisor
    each = math.sqrt(out.level) * math.prod(m.mean for m in scales) / math.sqrt(out.divisor)
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
    over_places = bool(node.setting("over the batch") or node.setting("groups"))
    level, alike, far = (1.0, 1.0, before.far - out.far) if over_places or out.running else _each(before, out)
    luck = (
        before.luck
        if out.running
        else before.luck.scaled((out.divisor - _divided(out, before)) / out.divisor)
    )
    return replace(
        before,
        marginal=before.marginal if each > 0.0 else None,
        mean=each * kept + offset,
        power=times * level * (before.power - out.own) + added + cross,
        near=times * alike * (before.near - out.near) + added + cross,
        far=times * far + added + cross,
        pairs=(each * kept + offset) ** 2 if out.own else each * each * before.pairs + offset**2,
        profile=before.profile if over_places else None,
        common=before.common,
        source=before.source if out.running else None,
        luck=luck,
        certainty=certainty,
        reasons=reasons,
    )


def divided(before: Signal, out: Removed) -> Floats | None:
    """The divisor of a norm over units by place, over its mean; None where places are alike."""
    if before.profile is None or not out.divisor > 0.0:
        return None
    kept = max(out.divisor - out.eps, 0.0) * before.profile + out.eps
    return kept / out.divisor


def _each(before: Signal, out: Removed) -> tuple[float, float, float]:
    """A norm of every place by its own power: factors of power and of likeness, and what samples share.

    ``E q_p / v_p`` for ``E q_p / E v_p``; of two places alike by c, ``c sqrt(q_p q_p')`` becomes c.
    """
    divisor = divided(before, out)
    if divisor is None or before.profile is None:
        return 1.0, 1.0, before.far - out.far
    each = before.profile / np.maximum(divisor, 1e-300)
    roots = np.sqrt(before.profile)
    level = float(each.mean())
    alike = float((roots / np.sqrt(np.maximum(divisor, 1e-300))).mean() / roots.mean()) ** 2
    far = (before.far - out.far) * level
    if before.common is not None:
        kept = max(before.power - out.own, 0.0)
        far = kept * float((each * before.common.reshape(each.shape)).mean())
    return level, alike, far


def _divided(out: Removed, before: Signal) -> float:
    """Part of the divisor that follows the signal: all of it but epsilon."""
    return max(before.power - out.own, 0.0)
