"""What a check compares a measurement with: the laws for the weights as they are, and for the plan's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fanin.predictions.predict import predict
from fanin.predictions.trial import Trial
from fanin.predictions.weights import of_plan, of_trace
from fanin.records.graph import Graph, OpKind
from fanin.records.plan import Plan
from fanin.records.prediction import InputStatistics, NodePrediction, Prediction
from fanin.records.trace import Trace

__all__ = ["Forecast", "forecast", "inputs_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Two predictions for one measured pass.

    Parameters
    ----------
    now
        From the variances of the weights as they are: what the code should compute.
    planned
        From the plan: what this architecture computes with good weights.
    """

    now: Prediction
    planned: Prediction
    nodes: Mapping[int, NodePrediction]
    healthy: Mapping[int, NodePrediction]


def forecast(graph: Graph, plan: Plan, trace: Trace, trial: Trial | None = None) -> Forecast:
    """Predict a measured pass, from its inputs and the number of its samples.

    Parameters
    ----------
    graph, trace
        What was run, and what was measured; of the measurement only the inputs and the parameters' variances
        are used, but where no law reaches.
    plan
        The yardstick; tensors that it keeps have the variance that was measured.

    trial
        Runs an operation that no law is known for.

    Examples
    --------
    >>> from fanin.records.graph import Graph
    >>> from fanin.records.plan import Plan
    >>> from fanin.records.trace import Trace
    >>> graph = Graph(
    ...     model="Net",
    ...     framework="torch",
    ...     engine="fake tensors",
    ...     nodes=(),
    ...     outputs=(),
    ...     path=(),
    ...     parameters=(),
    ...     activations=(),
    ...     branches=(),
    ... )
    >>> plan = Plan(model="Net", framework="torch", policy="auto", seed=0, stream=1, entries=())
    >>> trace = Trace(batch=8, source="given", mode="train", measurements=(), parameters=())
    >>> forecast(graph, plan, trace).planned.basis
    "the plan's weights"
    """
    weights = of_trace(trace)
    common = {
        "inputs": inputs_of(trace),
        "batch": trace.batch,
        "mode": trace.mode,
        "output": trace.output,
        "trace": trace,
        "trial": trial,
    }
    now = predict(graph, weights, **common)  # type: ignore[arg-type]
    planned = predict(graph, of_plan(plan, weights), basis="the plan's weights", **common)  # type: ignore[arg-type]
    return Forecast(
        now=now,
        planned=planned,
        nodes={p.node: p for p in now.nodes},
        healthy={p.node: p for p in planned.nodes},
    )


def inputs_of(trace: Trace) -> tuple[InputStatistics, ...]:
    """Moments of the floating inputs of a measured pass."""
    found: list[InputStatistics] = []
    for m in trace.measurements:
        if m.kind == OpKind.INPUT and m.finite and math.isfinite(m.power) and m.power > 0.0:
            far = (m.cosine or 0.0) * m.power
            found.append(
                InputStatistics(
                    node=m.node,
                    mean=m.mean,
                    power=m.power,
                    near=far if m.near is None else m.near,
                    far=far,
                    scatter=1.0 / max(math.prod(m.shape) / max(trace.batch, 1), 1.0),
                )
            )
    return tuple(found)
