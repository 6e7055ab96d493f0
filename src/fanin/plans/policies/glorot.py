"""Glorot everywhere."""

from __future__ import annotations

from fanin.plans import law

__all__ = ["POLICY"]

POLICY = law.policy("glorot", "glorot_uniform", "every weight U(±√(6 / (fan_in + fan_out))), with true fans")
