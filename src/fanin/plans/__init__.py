"""Whole models: from what a tensor is used for to what it gets, and why."""

from __future__ import annotations

from fanin.plans import policies
from fanin.plans.planner import plan

__all__ = ["plan", "policies"]
