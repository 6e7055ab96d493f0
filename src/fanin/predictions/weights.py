"""Mean and second moment of every parameter: as a plan would draw it, or as it is now."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["Moments", "of_plan", "of_trace"]

_ERRORS = 5.0
"""A mean within so many standard errors of 0 is taken for 0."""

_SEEN = 1 << 19
"""Elements of a large parameter that a mean is measured on, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean and variance of a parameter's elements."""

    mean: float
    variance: float

    @property
    def power(self) -> float:
        """Second moment."""
        return self.mean * self.mean + self.variance

    def shifted(self, offset: float) -> Moments:
        """Of the parameter plus a constant."""
        return Moments(mean=self.mean + offset, variance=self.variance)


def of_plan(plan: Plan, kept: Mapping[str, Moments] | None = None) -> dict[str, Moments]:
    """Moments that a plan's draws have; those of `kept` for tensors that it leaves alone."""
    found = dict(kept or {})
    for entry in plan.entries:
        if entry.draw is not None and entry.std is not None:
            found[entry.name] = Moments(mean=entry.draw.mean, variance=entry.std**2)
    return found


def of_trace(trace: Trace) -> dict[str, Moments]:
    """Moments of the parameters as they were measured; a mean that may be chance counts as 0."""
    found: dict[str, Moments] = {}
    for p in trace.parameters:
        if not (p.finite and math.isfinite(p.mean) and math.isfinite(p.std)):
            continue
        chance = abs(p.mean) <= _ERRORS * p.std / math.sqrt(max(min(p.numel, _SEEN), 1))
        found[p.name] = (
            Moments(mean=0.0, variance=p.mean**2 + p.std**2)
            if chance
            else Moments(mean=p.mean, variance=p.std**2)
        )
    return found
