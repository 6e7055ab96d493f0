"""The verb: whether a Keras model is sick at step zero, where, why, and what cures it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from types import FunctionType
from typing import Any

import keras

from fanin.checks import runner
from fanin.checks.asked import codes, whole_number
from fanin.checks.tiers import tier_of
from fanin.errors import InputError, explain, finite
from fanin.keras.kinds import LOGITS, PROBABILITIES
from fanin.keras.losses import Ending, told
from fanin.keras.variables import Names, layers_of
from fanin.keras.whole import finished, opened
from fanin.plans import planner
from fanin.records.finding import Origin
from fanin.records.graph import Graph, OpKind
from fanin.records.origin import of_code
from fanin.records.plan import Plan
from fanin.reports.report import Report

__all__ = ["check"]

_NEAR, _HALF = 1e-3, 0.5
"""How near to 0 and 1 the values of a sigmoid lie, and how far up they have to come."""


def check(
    model: Any,
    *inputs: Any,
    target: Any = None,
    loss: Any = None,
    seed: int = 0,
    tier: str = "standard",
    plan: Plan | None = None,
    lr: float | None = None,
    names: Names = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> Report:
    """Measure a model on one batch, as in training, and say what is wrong with it, why, and what cures it.

    Parameters
    ----------
    model
        A built `keras.Model` or layer, on the PyTorch or the JAX backend; it is left exactly as it was.
    *inputs
        A batch of real data, as the model takes it: arrays, or a list or a dict of them.
    target
        Integer classes, one-hot rows or numbers, as the loss takes them; a list or a dict for several
        outputs. Without it the first loss is not checked.
    loss
        A name, an object or a function of `keras.losses`, or a list or a dict of these. Any other function is
        called as ``loss(output, target)``; as Keras calls it if its first parameter is named ``y_true``.
        Without it the loss counts that the model was compiled with; then, by the target's kind, cross entropy
        (of probabilities if the model ends in a softmax or a sigmoid, else of logits) or squares.
    seed
        Of the random direction in which gradients are measured.
    tier
        "fast", "standard" or "deep", as in `fanin.torch.check`.
    plan
        The plan that was carried out: weights that do not follow it are then found.
    lr
        Learning rate of plain gradient descent that is meant to be taken.
    names
        From paths of variables to names, as in `read`.
    select, ignore
        Codes, or beginnings of codes, to report or to leave out; one text may hold several, with commas.

    Returns
    -------
    fanin.reports.report.Report
        Prints as a table; ``.healthy``, ``.findings``, ``.verdict``, ``.plan()``, ``.save(path)``.

    Raises
    ------
    ModelError
        The model fails on this batch, or there is nothing to measure.
    InputError
        No built model, a backend that has no reader, a loss or a target that does not fit, or another option
        that is none.
    UnknownNameError
        No code begins like one of `select` or `ignore`.

    Examples
    --------
    >>> import numpy as np
    >>> layers = [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(2, "softmax")]
    >>> model = keras.Sequential(layers)
    >>> x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    >>> check(model, x, target=np.arange(32) % 2, loss="sparse_categorical_crossentropy").healthy
    True
    """
    seed, depth = whole_number("seed", seed), tier_of(tier)
    chosen = {"select": codes("select", select), "ignore": codes("ignore", ignore)}
    runner.chosen(**chosen)
    _refuse(plan, lr, inputs)
    variables, reader, options = opened(model, names)

    @functools.cache
    def ending() -> Ending:
        return _ending(reader.read(model, variables, inputs, options))

    asked = told(model, loss, target, ending)
    found = reader.measured(model, variables, inputs, options, loss=asked, seed=seed, tier=depth, lr=lr)
    graph = finished(found.graph, model, variables)
    yardstick = plan or planner.plan(graph, seed=seed)
    notes = (*_frozen_norms(model), *found.trace.notes)
    trace = replace(found.trace, declared=plan is not None, notes=notes)
    diagnosis = runner.run(graph, yardstick, trace, **chosen, trial=found.trial)
    environment = (*diagnosis.environment, ("keras", keras.__version__), *found.environment)
    return Report(replace(diagnosis, environment=environment, origin=_origin(model)))


def _refuse(plan: object, lr: object, inputs: tuple[Any, ...]) -> None:
    if plan is not None and not isinstance(plan, Plan):
        rule = "It is a fanin.records.plan.Plan, as fanin.keras.plan makes it"
        raise InputError(explain("This is no plan", received=type(plan).__name__, rule=rule))
    if lr is not None and not (finite(lr) and float(str(lr)) > 0.0):
        raise InputError(explain("lr is no learning rate", received=lr, rule="It is a number above 0"))
    for value in inputs:
        if hasattr(value, "__next__") or isinstance(value, keras.utils.PyDataset):
            raise InputError(
                explain(
                    "There is a source of batches where a batch is wanted",
                    received=type(value).__name__,
                    rule="A model is run once, on one batch as it takes it",
                    remedy="Take the first, and give its labels as target=...",
                )
            )
    for leaf in _leaves(inputs):
        if 0 in getattr(leaf, "shape", ()):
            raise InputError(
                explain(
                    "The batch is empty",
                    received=f"an input of shape {tuple(leaf.shape)}",
                    rule="A batch has a sample, better 64",
                )
            )


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _ending(graph: Graph) -> Ending:
    """How the output looks by what makes it."""
    nodes = {node.id: node for node in graph.nodes}
    node = nodes[graph.outputs[0]]
    shape = node.shape
    while node.kind == OpKind.POINTWISE and len(set(node.inputs)) == 1 and node.factor == 1.0:
        node = nodes[node.inputs[0]]
    if node.kind == OpKind.SOFTMAX and "log" not in node.op:
        return Ending(shape=shape, takes=PROBABILITIES)
    values = () if node.activation is None else graph.activations[node.activation].values
    bounded = bool(values) and min(values) >= -_NEAR and max(values) <= 1.0 + _NEAR
    return Ending(shape=shape, takes=PROBABILITIES if bounded and max(values) > _HALF else LOGITS)


def _frozen_norms(model: Any) -> tuple[str, ...]:
    """A note on batch norms that Keras runs as in inference, with statistics that nothing was counted for."""
    idle = []
    for layer in layers_of(model):
        frozen = isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable and layer.built
        if frozen and not layer.moving_mean.numpy().any() and (layer.moving_variance.numpy() == 1.0).all():
            idle.append(str(layer.name))
    if not idle:
        return ()
    named = ", ".join(idle[:3]) + (f" and {len(idle) - 3} more" if len(idle) > 3 else "")
    return (f"frozen batch norms with fresh statistics normalise nothing (trainable=False: {named})",)


def _origin(model: Any) -> Origin | None:
    """Where the model's own code stands: the first of its layers' that is in the working directory."""
    for kind in dict.fromkeys(type(layer) for layer in layers_of(model)):
        call = getattr(kind, "call", None)
        if isinstance(call, FunctionType) and (found := of_code(call.__code__)) is not None:
            return found
    return None
