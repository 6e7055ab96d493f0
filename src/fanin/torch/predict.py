"""The verb: what a model computes at step zero, by the laws, without running it on numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from fanin.errors import InputError, explain
from fanin.plans import planner
from fanin.predictions.predict import predict as foretell
from fanin.predictions.weights import Moments, of_plan
from fanin.records.graph import Graph, OpKind
from fanin.records.plan import Plan
from fanin.records.prediction import InputStatistics, Prediction
from fanin.torch.ends import alike
from fanin.torch.inputs import as_call
from fanin.torch.names import named_tensors
from fanin.torch.read import read
from fanin.torch.sharded import whole
from fanin.torch.statistics import numbers
from fanin.torch.trials import Trials

__all__ = ["predict"]


def predict(
    model: nn.Module,
    *inputs: object,
    policy: str | None = "auto",
    seed: int = 0,
    plan: Plan | None = None,
) -> Prediction:
    """Predict power, likeness and gradient at every operation, and the first loss; nothing is computed.

    The model is read from one run on tensors without values, so it may be of any size and on the meta
    device. Of the inputs only their mean, power and likeness are used.

    Parameters
    ----------
    model
        Any module.
    *inputs
        A batch as the model takes it; on the meta device its samples have mean 0, variance 1 and nothing in
        common.
    policy
        How the weights would be drawn; None for the weights as they are.
    seed
        Of the plan; it changes no figure.
    plan
        A plan to be predicted instead of the policy's own.

    Returns
    -------
    Prediction
        Prints as a table; each figure is exact, approximate (with the reason) or unknown.

    Raises
    ------
    ModelError
        The model cannot be run on these inputs.
    InputError
        The weights as they are were asked for, and they have no values.
    UnknownNameError
        No policy has this name.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    >>> found = predict(model, torch.randn(32, 64))
    >>> round(found.nodes[1].power / found.nodes[0].power, 6)  # He's law doubles it, ReLU halves it again
    2.0
    """
    # A sharded model is predicted as a whole; its own weights have to be gathered for that.
    with whole(model, values=policy is None and plan is None):
        return _predicted(model, inputs, policy=policy, plan=plan, seed=seed)


def _predicted(
    model: nn.Module, inputs: tuple[object, ...], *, policy: str | None, plan: Plan | None, seed: int
) -> Prediction:
    graph = read(model, *inputs)
    tensors = [t for t in named_tensors(model) if t.tensor.is_floating_point()]
    real = {t.name: _moments(t.tensor) for t in tensors if not t.tensor.is_meta}
    if policy is None and plan is None:
        if len(real) < len(tensors):
            raise InputError(
                explain(
                    "The weights as they are cannot be predicted from",
                    received="parameters on the meta device, which have no values",
                    remedy="Name a policy, or build the model on a real device",
                )
            )
        weights, basis = real, "the weights as they are"
    else:
        made = plan or planner.plan(graph, policy=policy or "auto", seed=seed)
        weights, basis = of_plan(made, real), f"the weights of policy {made.policy}"
    given = list(_given(graph, inputs))
    batch = next((x.shape[0] for _, x in given if x.ndim), 1)
    return foretell(
        graph,
        weights,
        inputs=[s for node, x in given if (s := _statistics(graph, node, x)) is not None],
        batch=batch,
        mode="train" if model.training else "eval",
        basis=basis,
        trial=Trials(model, inputs, graph, seed=seed),
    )


def _moments(x: torch.Tensor) -> Moments:
    if x.numel() == 0:
        return Moments(mean=0.0, variance=0.0)
    values = x.detach().double()
    mean, variance = float(values.mean()), float(values.var(correction=0))
    chance = 5.0 * math.sqrt(variance / values.numel())
    return (
        Moments(mean=0.0, variance=variance + mean**2)
        if abs(mean) <= chance
        else Moments(mean=mean, variance=variance)
    )


def _given(graph: Graph, inputs: tuple[object, ...]) -> Iterator[tuple[int, torch.Tensor]]:
    """Input nodes with their tensors: inputs are recorded first, in the order of the call."""
    args, kwargs = as_call(inputs)
    tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
    nodes = {node.id: node for node in graph.nodes if node.kind == OpKind.INPUT}
    for place, x in enumerate(tensors):
        if place in nodes and nodes[place].shape == tuple(x.shape):
            yield place, x


def _statistics(graph: Graph, node: int, x: torch.Tensor) -> InputStatistics | None:
    if x.is_meta or not x.is_floating_point() or x.numel() == 0:
        return None
    found = numbers(x, [1 if x.ndim > 2 else x.ndim - 1])[1 if x.ndim > 2 else x.ndim - 1]
    if not (found.finite and found.power > 0.0):
        return None
    far = (found.cosine or 0.0) * found.power
    near = alike(graph, node, x)
    return InputStatistics(
        node=node,
        mean=found.mean,
        power=found.power,
        near=far if near is None else near,
        far=far,
        scatter=len(x) / x.numel(),
    )
