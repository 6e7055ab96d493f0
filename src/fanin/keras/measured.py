"""What a backend hands to the check: a model's graph, what was measured, and how to try its operations."""

from __future__ import annotations

from dataclasses import dataclass

from fanin.predictions.trial import Trial
from fanin.records.graph import Graph
from fanin.records.trace import Trace

__all__ = ["Measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One pass forward and back through a model.

    Parameters
    ----------
    graph, trace
        With the names of Keras' variables.
    trial
        Runs operations that no law is known for; None where the backend has none.
    environment
        What the report says of the backend and of the cost.
    """

    graph: Graph
    trace: Trace
    trial: Trial | None
    environment: tuple[tuple[str, str], ...]
