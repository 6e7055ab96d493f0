"""The verbs for whole models: plan, carry out, initialise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fanin.jax.leaves import Names
from fanin.jax.models import holder_of, subject_of
from fanin.jax.read import graph_of, recorded
from fanin.jax.write import with_values, written
from fanin.plans import planner
from fanin.plans.prior import ClassPrior
from fanin.plans.rule import Policy
from fanin.records.plan import Plan

__all__ = ["apply_plan", "init", "plan"]


def plan(
    apply: Any,
    params: Any,
    *inputs: Any,
    policy: str | Policy = "auto",
    seed: int = 0,
    names: Names = None,
    class_prior: ClassPrior | None = None,
    **kwargs: Any,
) -> Plan:
    """Say what every array of a model should get, and why; nothing is computed.

    The model is traced once, by shapes, to see what each array is used for.

    Parameters
    ----------
    apply
        A function ``apply(params, *inputs, **kwargs)``, a linen module (or its ``apply``), or a module that
        holds its own arrays (nnx, Equinox), which is given without `params`.
    params
        Tree of arrays, or of `jax.ShapeDtypeStruct`; the variables of a linen module.
    *inputs, **kwargs
        What the model takes besides. Arrays (or shapes) are traced, everything else is passed as it is.
    policy, seed, class_prior
        As in `fanin.torch.plan`.
    names
        From paths of leaves (keys joined by dots) to names of streams, as a mapping or a function: equal
        names give equal weights, in every framework.

    Returns
    -------
    Plan
        Prints as a table; `Plan.override`, `Plan.diff`, `Plan.save` and `Plan.why` work on it.

    Raises
    ------
    ModelError
        The model cannot be traced on these inputs.
    InputError
        No model, no parameters, names that do not fit, or a policy that does not.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> def head(p, x):
    ...     return x @ p["kernel"] + p["bias"]
    >>> made = plan(head, {"kernel": jnp.zeros((4, 2)), "bias": jnp.zeros(2)}, jnp.zeros((1, 4)))
    >>> [(entry.name, entry.scheme) for entry in made.entries]
    [('bias', 'zeros'), ('kernel', 'variance_scaling')]
    """
    subject = subject_of(apply, params, inputs, kwargs, names)
    graph = graph_of(recorded(subject), subject)
    return planner.plan(graph, policy=policy, seed=seed, class_prior=class_prior)


def init(
    apply: Any,
    params: Any,
    *inputs: Any,
    policy: str | Policy = "auto",
    seed: int = 0,
    names: Names = None,
    class_prior: ClassPrior | None = None,
    values: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Plan a model and return new parameters; what was given is not changed.

    Parameters
    ----------
    apply, params, inputs, policy, seed, names, class_prior, kwargs
        As in `plan`.
    values
        As in `apply_plan`.

    Returns
    -------
    tree
        What `params` is (for a module that holds its arrays: such a module), with new arrays of the same
        shapes, dtypes and shardings.

    Raises
    ------
    ModelError, InputError
        As `plan` and `apply_plan` do.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> shapes = {"kernel": jax.ShapeDtypeStruct((4, 2), jnp.float32)}
    >>> new = init(lambda p, x: x @ p["kernel"], shapes, jnp.zeros((1, 4)), seed=1)
    >>> new["kernel"].shape
    (4, 2)
    """
    subject = subject_of(apply, params, inputs, kwargs, names)
    # What is given is read too: a slope decides what an activation is.
    recording = recorded(subject)
    graph = graph_of(recording, replace(subject, leaves=with_values(subject.leaves, values)))
    made = planner.plan(graph, policy=policy, seed=seed, class_prior=class_prior)
    return subject.rebuilt(written(subject.leaves, made, values))


def apply_plan(
    params: Any, plan: Plan, *, names: Names = None, values: Mapping[str, Any] | None = None
) -> Any:
    """Carry out a plan, an edited or a loaded one too, and return new parameters.

    Parameters
    ----------
    params
        What `plan` was given as such, or a module that holds its arrays.
    plan
        The plan.
    names
        Those that the plan was made with.
    values
        Values of kept arrays of which only the shape is given, by name. (Running means and variances start
        at 0 and 1 without.)

    Returns
    -------
    tree
        As `params`, with new arrays of the same shapes, dtypes and shardings; kept ones are the same objects.

    Raises
    ------
    InputError
        A plan for other parameters, or a kept array that has no value.

    Examples
    --------
    >>> import fanin, jax.numpy as jnp
    >>> params = {"kernel": jnp.zeros((4, 2)), "bias": jnp.zeros(2)}
    >>> made = plan(lambda p, x: x @ p["kernel"] + p["bias"], params, jnp.zeros((1, 4)))
    >>> apply_plan(params, made.override({"bias": fanin.ones()}))["bias"].tolist()
    [1.0, 1.0]
    """
    holder = holder_of(params, names)
    return holder.rebuilt(written(holder.leaves, plan, values))
