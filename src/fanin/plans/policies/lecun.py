"""LeCun everywhere: the initialization of self-normalising networks."""

from __future__ import annotations

from fanin.plans import law

__all__ = ["POLICY"]

POLICY = law.policy("lecun", "lecun_normal", "every weight N(0, 1 / fan_in), with true fans")
