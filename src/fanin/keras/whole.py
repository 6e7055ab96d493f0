"""The verbs for whole models: plan, initialise, carry out."""

from __future__ import annotations

import importlib
import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import ml_dtypes  # Keras has it on every backend
import numpy as np

from fanin.errors import InputError, explain
from fanin.keras.variables import Names, Variable, variables_of
from fanin.plans import planner
from fanin.plans.carried import check_plan, check_precision, check_stream
from fanin.plans.numbers import numbers
from fanin.plans.prior import ClassPrior
from fanin.plans.rule import Policy
from fanin.records.graph import Graph
from fanin.records.plan import Entry, Plan

__all__ = ["apply_", "finished", "init_", "opened", "plan", "read"]

_READERS = {"jax": "fanin.keras.in_jax", "torch": "fanin.keras.in_torch"}
_NARROW = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def read(model: Any, *inputs: Any, names: Names = None) -> Graph:
    """Read a model's computation from one run without values, in training mode where it has one.

    Parameters
    ----------
    model
        A built `keras.Model` or layer, on the JAX or the PyTorch backend.
    *inputs
        A batch as the model takes it; only shapes and dtypes count.
    names
        From paths of variables to names of streams, as a mapping or a function.

    Returns
    -------
    Graph
        Parameters are named by their variables' paths.

    Raises
    ------
    InputError
        No built model, names that do not fit, or a backend that has no reader.
    ModelError
        The model cannot be run on these inputs.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="fc1")], name="net")
    >>> [str(p.uses[0].axes) for p in read(model, np.zeros((1, 8), "float32")).parameters][:1]
    ['in out']
    """
    variables, reader, options = opened(model, names)
    return finished(reader.read(model, variables, inputs, options), model, variables)


def opened(model: Any, names: Names) -> tuple[tuple[Variable, ...], Any, dict[str, Any]]:
    """A model's variables, the reader of the backend, and what the model is called with besides inputs.

    Raises
    ------
    InputError
        As `read`.
    """
    variables = variables_of(model, names)
    backend = keras.backend.backend()
    if backend not in _READERS:
        raise InputError(
            explain(
                "Keras models are read on two of its backends",
                received=f"backend {backend}",
                rule="They are " + " and ".join(_READERS),
                remedy="Use KERAS_BACKEND=jax (or torch) here: plans and weights are the same on both, and "
                "the saved model loads on any backend; fanin.keras' initializers run on all of them",
            )
        )
    taken = inspect.signature(model.call).parameters
    options = {"training": True} if "training" in taken else {}
    return variables, importlib.import_module(_READERS[backend]), options


def finished(graph: Graph, model: Any, variables: Sequence[Variable]) -> Graph:
    """A backend's graph with what Keras itself says of the model."""
    frozen = {variable.name for variable in variables if not variable.role and not variable.value.trainable}
    return replace(
        graph,
        model=str(model.name),
        framework=f"keras {keras.__version__} on {keras.backend.backend()}",
        parameters=tuple(replace(p, trainable=False) if p.name in frozen else p for p in graph.parameters),
    )


def plan(
    model: Any,
    *inputs: Any,
    policy: str | Policy = "auto",
    seed: int = 0,
    names: Names = None,
    class_prior: ClassPrior | None = None,
) -> Plan:
    """Say what every variable of a model should get, and why; nothing is changed.

    Parameters
    ----------
    model, inputs, names
        As in `read`.
    policy, seed, class_prior
        As in `fanin.torch.plan`.

    Returns
    -------
    Plan
        The same on both backends.

    Raises
    ------
    InputError, ModelError
        As `read`; a policy or a class prior that does not fit the model.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="fc1")], name="net")
    >>> [entry.scheme for entry in plan(model, np.zeros((1, 8), "float32")).entries]
    ['variance_scaling', 'zeros']
    """
    graph = read(model, *inputs, names=names)
    return planner.plan(graph, policy=policy, seed=seed, class_prior=class_prior)


def init_(
    model: Any,
    *inputs: Any,
    policy: str | Policy = "auto",
    seed: int = 0,
    names: Names = None,
    class_prior: ClassPrior | None = None,
) -> Plan:
    """Plan a model and carry the plan out in place, all or nothing.

    Parameters and errors are those of `plan` and `apply_`.

    Returns
    -------
    Plan
        What was done.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, name="fc1")], name="net")
    >>> done = init_(model, np.zeros((1, 8), "float32"), seed=1)
    >>> model.variables[1].numpy().tolist()
    [0.0, 0.0]
    """
    made = plan(model, *inputs, policy=policy, seed=seed, names=names, class_prior=class_prior)
    return apply_(model, made, names=names)


def apply_(model: Any, plan: Plan, *, names: Names = None) -> Plan:
    """Carry out a plan, an edited or a loaded one too: all or nothing.

    Parameters
    ----------
    model
        A built model with the variables that the plan lists; on any backend.
    plan
        The plan.
    names
        Those that the plan was made with.

    Returns
    -------
    Plan
        The same plan.

    Raises
    ------
    InputError
        A plan for another model; the model is untouched.

    Warns
    -----
    PrecisionWarning
        Once, for all variables whose dtype is too coarse for their draws.

    Examples
    --------
    >>> import fanin
    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, name="fc1")], name="net")
    >>> made = plan(model, np.zeros((1, 8), "float32"))
    >>> done = apply_(model, made.override({made.entries[1].name: fanin.ones()}))
    >>> model.variables[1].numpy().tolist()
    [1.0, 1.0]
    """
    variables = variables_of(model, names)
    jobs = _checked(variables, plan)
    new = [(variable, _tensor(entry, variable.dtype, plan.seed)) for entry, variable in jobs]
    done: list[tuple[Variable, Any]] = []  # with copies: some backends write into the memory that there is
    try:
        for variable, value in new:
            done.append((variable, keras.ops.copy(variable.value.value)))
            variable.value.assign(value)
    except BaseException:
        for variable, old in done:
            variable.value.assign(old)
        raise
    return plan


def _tensor(entry: Entry, kind: str, seed: int) -> Any:
    values = numbers(entry, seed)
    if kind in _NARROW:
        # Not every backend takes NumPy arrays of the narrow types; float32 holds their values.
        values = values.view(getattr(ml_dtypes, kind)).astype(np.float32)
    return keras.ops.convert_to_tensor(values, dtype=kind)


def _checked(variables: Sequence[Variable], plan: Plan) -> list[tuple[Entry, Variable]]:
    """The lines that draw, each with its variable, once all of the plan is known to fit."""
    check_plan(plan, maker="fanin.keras.plan(model, batch)")
    check_stream(plan)
    found = {variable.name: variable for variable in variables}
    planned = Counter(entry.name for entry in plan.entries)
    odd = sorted({*planned} ^ {*found} | {name for name, times in planned.items() if times > 1})
    if odd:
        raise InputError(
            explain(
                f"The plan (of {plan.model}) is for another model",
                received=", ".join(odd[:4]) + (f" and {len(odd) - 4} more" if len(odd) > 4 else ""),
                rule="A plan has exactly one entry for each variable; Keras numbers layers without a name",
                remedy="Name the layers, or plan this model: fanin.keras.plan(model, batch)",
            )
        )
    for entry in plan.entries:
        variable = found[entry.name]
        if (entry.shape, entry.dtype) != (variable.shape, variable.dtype):
            raise InputError(
                explain(
                    f"'{entry.name}' is another than in the plan",
                    received=f"{variable.shape} {variable.dtype}, planned {entry.shape} {entry.dtype}",
                    rule="A plan is carried out on variables of the shapes and dtypes it was made for",
                    remedy="Plan the model as it is now",
                )
            )
    check_precision(plan)
    return [(entry, found[entry.name]) for entry in plan.entries if entry.draw is not None]
