"""He everywhere."""

from __future__ import annotations

from fanin.plans import law

__all__ = ["POLICY"]

POLICY = law.policy(
    "he", "he_normal", "every weight N(0, 2 / fan_in), with true fans; no other gain or depth"
)
