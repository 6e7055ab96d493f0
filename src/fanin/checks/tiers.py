"""How much a check may cost: three tiers, and what each one runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from fanin.errors import InputError, explain

__all__ = ["TIERS", "Clock", "Tier", "tier_of"]

Tier = Literal["fast", "standard", "deep"]

TIERS: tuple[str, ...] = get_args(Tier)

_TELLING = 1e-2


def tier_of(name: str) -> Tier:
    """Read a tier's name.

    Raises
    ------
    InputError
        There is no such tier.
    """
    for tier in get_args(Tier):
        if name == tier:
            found: Tier = tier
            return found
    raise InputError(
        explain(
            "There is no such tier",
            received=repr(name),
            rule="fast: one pass forward, one back; standard: the loss's pass back besides; deep: curvature, "
            "Jacobian, tangent kernel and the other mode besides",
        )
    )


@dataclass(slots=True)
class Clock:
    """Seconds that the parts of a check took, by name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of a block to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def said(self, tier: str) -> str:
        """The cost in words: seconds, how often the passes of one training step fit in, and shares."""
        whole = sum(self.seconds.values())
        parts = ", ".join(
            f"{name} {100 * part / whole:.0f} %" for name, part in self.seconds.items() if whole
        )
        step = self.seconds.get("forward", 0.0) + self.seconds.get("the loss's pass back", 0.0)
        # Below a hundredth of a second what is called a pass is mostly the calls themselves.
        times = f", {whole / step:.2g} times one forward and backward pass" if step > _TELLING else ""
        return f"{tier} tier, {whole:.2g} s{times}: {parts}"
