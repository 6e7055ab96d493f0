"""One signal divided by another: means over counts, attention without softmax, sums over norms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fanin.predictions.signal import Signal, joined
from fanin.records.graph import Node, OpKind
from fanin.records.prediction import Certainty

__all__ = ["divides", "reciprocal"]

_SPREAD = 0.5
"""Variance of a divisor over its squared mean up to which its law's shape does not count."""
_DIVISOR = "a divisor is taken as independent of what it divides, and as positive"


def divides(node: Node) -> bool:
    """Whether a product of two signals is a quotient: the second divides the first."""
    return node.kind == OpKind.PRODUCT and ".div" in node.op and len(node.reads or node.inputs) == 2


def reciprocal(b: Signal) -> Signal | None:
    """``E 1/b = (1 + e) / m``, ``E 1/b^2 = (1 + e)^3 / m^2`` with ``e = Var b / m^2``; None where b may be 0.

    Exact for a log-normal b of mean m, and to second order in its spread for any. So is ``E 1/(b b') =
    (1 + e)^2 (1 + c) / m^2`` for two of covariance ``c m^2``. Of places of different power each has a mean.
    """
    square = b.mean * b.mean
    if not (square > 0.0 and math.isfinite(b.power)) or b.variance > _SPREAD * square:
        return None
    e = b.variance / square
    mean = (1.0 + e) / b.mean
    profile, level = None, 1.0
    if b.profile is not None:
        inverse = 1.0 / np.maximum(b.profile, 1e-12)
        level = float(inverse.mean())
        profile = inverse / level
    power = level * (1.0 + e) ** 3 / square
    certainty, reasons = joined([(b.certainty, b.reasons)], Certainty.APPROXIMATE, _DIVISOR)

    def shared(moment: float) -> float:
        return min(power, level * (1.0 + e) ** 2 * max(moment, 0.0) / square**2)

    return replace(
        b,
        mean=mean,
        power=power,
        near=shared(b.near),
        far=shared(b.far),
        pairs=shared(b.pairs),
        scatter=0.0,
        profile=profile,
        common=None,
        marginal=None,
        gaussian=False,
        luck=b.luck.scaled(-1.0),
        certainty=certainty,
        reasons=reasons,
    )
