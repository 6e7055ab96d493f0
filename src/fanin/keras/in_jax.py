"""Reading and measuring a Keras model on the JAX backend: its stateless call is a function to be traced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import keras
import numpy as np

from fanin.checks.tiers import Clock
from fanin.jax import probe
from fanin.jax.leaves import Leaf
from fanin.jax.models import Subject
from fanin.jax.read import graph_of, recorded
from fanin.jax.trials import Trials
from fanin.keras.losses import Told
from fanin.keras.measured import Measured
from fanin.keras.variables import Variable
from fanin.records.graph import Graph

__all__ = ["measured", "read"]


def read(
    model: Any, variables: Sequence[Variable], inputs: tuple[Any, ...], options: dict[str, Any]
) -> Graph:
    """The graph of a model's call.

    Parameters
    ----------
    model
        A built model.
    variables
        All of its variables.
    inputs
        Its positional arguments.
    options
        Keyword arguments that are no arrays.

    Raises
    ------
    ModelError
        The model cannot be traced on these inputs.
    """
    subject = _subject(model, variables, inputs, options)
    with keras.device("cpu:0"):
        return graph_of(recorded(subject), subject)


def measured(
    model: Any,
    variables: Sequence[Variable],
    inputs: tuple[Any, ...],
    options: dict[str, Any],
    *,
    loss: Told | None,
    seed: int,
    tier: str,
    lr: float | None,
) -> Measured:
    """One compiled pass forward and back.

    Parameters
    ----------
    model, variables, inputs, options
        As `read` takes them.
    loss
        The loss with its target.
    seed, tier, lr
        As the verb takes them.

    Raises
    ------
    ModelError, InputError
        As `fanin.jax.check`.
    """
    subject, clock = _subject(model, variables, inputs, options), Clock()
    target = None if loss is None else jax.tree_util.tree_map(np.asarray, loss.target)
    run = probe.measured(subject, target=target, loss=loss, seed=seed, tier=tier, lr=lr, clock=clock)
    trace = run.trace
    if loss is not None and trace.loss is not None:
        output = None
        if loss.kind.family or loss.kind.takes:
            with clock.part("the output once more"):  # (what was traced has no values)
                output = jax.jit(subject.call)([v.value.value for v in variables], list(subject.inputs))
        trace = replace(trace, loss=replace(trace.loss, **loss.figures(output)))
    return Measured(
        graph=run.graph,
        trace=trace,
        trial=Trials(run, seed=seed),
        environment=(("jax", jax.__version__), ("cost", clock.said(tier))),
    )


def _subject(
    model: Any, variables: Sequence[Variable], inputs: tuple[Any, ...], options: dict[str, Any]
) -> Subject:
    """The model as one function of arrays."""
    places = {id(variable.value): place for place, variable in enumerate(variables)}
    trained = [places[id(v)] for v in model.trainable_variables]
    others = [places[id(v)] for v in model.non_trainable_variables]
    leaves, structure = jax.tree_util.tree_flatten(inputs)
    arrays = tuple(x if hasattr(x, "dtype") else np.asarray(x) for x in leaves)

    def call(values: Sequence[Any], given: Sequence[Any]) -> Any:
        args = jax.tree_util.tree_unflatten(structure, given)
        out, _ = model.stateless_call(
            [values[k] for k in trained], [values[k] for k in others], *args, **options
        )
        return out

    return Subject(
        model=str(model.name),
        leaves=tuple(
            Leaf(
                path=variable.path,
                name=variable.name,
                value=variable.value.value,
                buffer=bool(variable.role),
                role=variable.role,
            )
            for variable in variables
        ),
        call=call,
        inputs=arrays,
        rebuilt=tuple,
    )
