"""The verb: whether a function of parameters is sick at step zero, where, why, and what cures it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FunctionType
from typing import Any

import jax

from fanin.checks import runner
from fanin.checks.asked import codes, whole_number
from fanin.checks.tiers import Clock, tier_of
from fanin.errors import InputError, explain, finite
from fanin.jax.leaves import Names
from fanin.jax.models import Subject, subject_of
from fanin.jax.probe import measured
from fanin.jax.trials import Trials
from fanin.plans import planner
from fanin.records.finding import Origin
from fanin.records.origin import of_code
from fanin.records.plan import Plan
from fanin.reports.report import Report

__all__ = ["check"]


def check(
    function: Any,
    params: Any,
    *inputs: Any,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    seed: int = 0,
    tier: str = "standard",
    plan: Plan | None = None,
    lr: float | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    names: Names = None,
    **kwargs: Any,
) -> Report:
    """Measure a model on one batch and say what is wrong with it, why, and how to cure it.

    Parameters
    ----------
    function, params, *inputs, names, **kwargs
        As `fanin.jax.plan` takes them, with values: a batch of real data, and parameters as they are now.
        (A module that holds its own arrays is given without `params`.)
    target
        Integer classes (cross-entropy), floats (mean squared error), or what `loss` takes. Without
        it the first loss is not checked, unless the model returns one.
    loss
        ``loss(output, target)``, a scalar, which JAX can trace.
    seed
        Of the random direction in which gradients are measured.
    tier
        "fast" (one pass forward, one back) or "standard" (the loss's pass back besides).
    plan
        The plan that was carried out: weights that do not follow it are then found. Without it the
        yardstick is fanin's own plan, from which a healthy model may differ.
    lr
        Learning rate of plain gradient descent that is meant to be taken.
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
        A target that does not fit the output, a loss that cannot be traced, no such tier, or another option
        that is none.
    UnknownNameError
        No code begins like one of `select` or `ignore`.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> def mlp(p, x):
    ...     return jax.nn.relu(x @ p["fc1"]) @ p["fc2"]
    >>> zeros = {"fc1": jnp.zeros((4, 32)), "fc2": jnp.zeros((32, 2))}
    >>> batch = jax.random.normal(jax.random.key(0), (32, 4))
    >>> check(mlp, zeros, batch, target=jnp.arange(32) % 2).healthy
    False
    """
    depth, chosen = tier_of(tier), {"select": codes("select", select), "ignore": codes("ignore", ignore)}
    runner.chosen(**chosen)  # (what is misspelt is said before anything is measured)
    _refuse_plan(plan)
    if lr is not None and not (finite(lr) and lr > 0.0):
        raise InputError(explain("lr is no learning rate", received=lr, rule="It is a number above 0"))
    clock, seed = Clock(), whole_number("seed", seed)
    subject = subject_of(function, params, inputs, kwargs, names)
    run = measured(subject, target=target, loss=loss, seed=seed, tier=depth, lr=lr, clock=clock)
    with clock.part("the laws"):
        yardstick = plan or planner.plan(run.graph, seed=seed)
        trace = replace(run.trace, declared=plan is not None)
        diagnosis = runner.run(run.graph, yardstick, trace, **chosen, trial=Trials(run, seed=seed))
    environment = (
        *diagnosis.environment,
        ("jax", jax.__version__),
        ("device", _device(subject)),
        ("cost", clock.said(depth)),
    )
    return Report(replace(diagnosis, environment=environment, origin=_origin(function)))


def _refuse_plan(given: object) -> None:
    if given is not None and not isinstance(given, Plan):
        rule = "It is a fanin.records.plan.Plan, as fanin.jax.plan makes it"
        raise InputError(explain("This is no plan", received=type(given).__name__, rule=rule))


def _device(subject: Subject) -> str:
    """Where the parameters are."""
    devices = {
        str(d) for leaf in subject.leaves if isinstance(leaf.value, jax.Array) for d in leaf.value.devices()
    }
    return ", ".join(sorted(devices)) or "the host"


def _origin(function: Any) -> Origin | None:
    """Where the model's own code stands."""
    bound = getattr(function, "__self__", None)
    kind = type(bound if bound is not None else function)
    for candidate in (function, vars(kind).get("__call__")):
        plain = getattr(candidate, "__wrapped__", candidate)
        if isinstance(plain, FunctionType) and (found := of_code(plain.__code__)) is not None:
            return found
    return None
