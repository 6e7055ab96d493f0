"""Orthogonal matrices everywhere."""

from __future__ import annotations

from fanin.plans import law

__all__ = ["POLICY"]

POLICY = law.policy("orthogonal", "orthogonal", "every weight a Haar-random semi-orthogonal matrix")
