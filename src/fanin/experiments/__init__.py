"""Experiments on real data: the same model, several ways to begin.

>>> import fanin.experiments
>>> fanin.experiments.__all__
['compare', 'tune']
"""

from __future__ import annotations

from fanin.errors import missing

try:
    import torch  # noqa: F401 - to say in words that it is missing
except ModuleNotFoundError as error:
    raise missing("fanin.experiments", error, extra="experiments") from error

from fanin.experiments.compare import compare
from fanin.experiments.tune import tune

__all__ = ["compare", "tune"]
