"""Experiments on real data: the same model, several ways to begin.

>>> import fanin.experiments
>>> fanin.experiments.__all__
['compare', 'tune']
"""

from __future__ import annotations

from fanin.experiments.compare import compare
from fanin.experiments.tune import tune

__all__ = ["compare", "tune"]
