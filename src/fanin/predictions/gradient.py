"""What is known of a gradient while it is followed back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fanin.laws.band import Chance
from fanin.predictions.signal import joined
from fanin.records.prediction import Certainty

__all__ = ["Gradient", "summed"]

Floats = NDArray[np.float64]

_SMALL = 1e-3
_MEET = "gradients that meet again without weights between them are taken as independent"


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
    profile
        Share of G by spatial position, or None where it is even.
    luck
        How ``ln G`` answers to chance; see `fanin.laws.band.Chance`.
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
    profile: Floats | None = None
    luck: Chance = field(default_factory=Chance)
    chosen: float | None = None
    behind: int = -1
    certainty: Certainty = Certainty.EXACT
    reasons: tuple[str, ...] = ()


def summed(parts: list[Gradient]) -> Gradient:
    """Gradients that arrive by several ways add up in power: each has weights of its own on its way."""
    if len(parts) == 1:
        return parts[0]
    meet = len({p.behind for p in parts}) < len(parts)
    power = sum(p.power for p in parts)
    share = [p.power / power if power > 0.0 else 1.0 / len(parts) for p in parts]
    # A way that brings nothing spoils nothing.
    certainty, reasons = joined(
        ((p.certainty, p.reasons) for p, s in zip(parts, share, strict=True) if s > _SMALL),
        Certainty.APPROXIMATE if meet and sorted(share)[-2] > _SMALL else Certainty.EXACT,
        _MEET if meet else "",
    )
    maps = [p.profile for p in parts]
    profile = None
    if all(m is not None for m in maps) and len({m.shape for m in maps if m is not None}) == 1:
        profile = sum((s * m for s, m in zip(share, maps, strict=True) if m is not None), np.zeros(()))
    return Gradient(
        power=power,
        near=sum(s * p.near for s, p in zip(share, parts, strict=True)),
        far=sum(s * p.far for s, p in zip(share, parts, strict=True)),
        along=sum(s * p.along for s, p in zip(share, parts, strict=True)),
        scatter=sum(s * s * p.scatter for s, p in zip(share, parts, strict=True)),
        profile=profile,
        luck=Chance.blended((s, p.luck) for s, p in zip(share, parts, strict=True)),
        behind=parts[0].behind if meet else min(p.behind for p in parts),
        certainty=certainty,
        reasons=reasons,
    )
