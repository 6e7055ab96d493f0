"""Reading a Keras model on the JAX backend: its stateless call is a function that can be traced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import keras
import numpy as np

from fanin.jax.leaves import Leaf
from fanin.jax.models import Subject
from fanin.jax.read import graph_of, recorded
from fanin.keras.variables import Variable
from fanin.records.graph import Graph

__all__ = ["read"]


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

    subject = Subject(
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
    with keras.device("cpu:0"):
        return graph_of(recorded(subject), subject)
