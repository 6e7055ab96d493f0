"""Whole models: from what a tensor is used for to what it gets, and why."""

from __future__ import annotations

from fanin.plans.planner import plan
from fanin.plans.policies import names as policies

__all__ = ["plan", "policies"]
