"""The bench on which all runs of a study stand: models, laws and data; and one run from beginning to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from fanin.errors import FaninError, InputError, ModelError, explain
from fanin.experiments.fit import Training, checked_output, fit, one_thread
from fanin.experiments.parts import Part
from fanin.experiments.variants import Variant
from fanin.plans import factors, planner
from fanin.plans.rule import Policy
from fanin.records.plan import Plan
from fanin.records.study import Curve
from fanin.torch import apply_
from fanin.torch.names import named_tensors
from fanin.torch.parametrised import adjusted, check_plain
from fanin.torch.read import read

__all__ = [
    "Bench",
    "Factory",
    "Job",
    "Kind",
    "begun",
    "built",
    "factories",
    "fresh",
    "planned",
    "run",
    "shapes",
]

Factory = Callable[[], nn.Module]

_READ = 8
"""Samples that a model is read with: shapes are all that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One arm: a name, which of the models, and how it begins."""

    name: str
    model: str
    variant: Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """All that runs need, the same for each of them.

    Parameters
    ----------
    models
        Functions that make a model, by name.
    parts
        What runs train on and are judged by; a job says which.
    """

    models: Mapping[str, Factory]
    parts: tuple[Part, ...]
    training: Training


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run.

    Parameters
    ----------
    key
        Its name in a study's file, unlike all others.
    kind
        The arm that it belongs to.
    seed
        Of the model's own draws, the law's, the order of the samples, and dropout.
    rate
        Learning rate.
    part
        Place in `Bench.parts`.
    steps
        How many.
    factors
        What groups of weights are multiplied by, besides the variant's own factor.
    """

    key: str
    kind: Kind
    seed: int
    rate: float
    part: int
    steps: int
    factors: tuple[tuple[str, float], ...] = ()


def factories(given: Factory | Mapping[str, Factory]) -> dict[str, Factory]:
    """Functions that make a model, by name.

    Raises
    ------
    InputError
        A model in place of a function, or nothing.
    """
    found = dict(given) if isinstance(given, Mapping) else {"": given}
    for name, factory in found.items():
        if isinstance(factory, nn.Module) or not callable(factory):
            raise InputError(
                explain(
                    "A study needs a function that makes a model",
                    received=f"{'for ' + name + ', ' if name else ''}{type(factory).__name__}",
                    rule="Every run begins with a new one",
                    remedy="For example lambda: Net(width=128)",
                )
            )
    if not found:
        raise InputError(explain("There is no model", received="an empty mapping"))
    return {str(name): factory for name, factory in found.items()}


def built(factory: Factory, *, seed: int, name: str = "") -> nn.Module:
    """Call a factory under PyTorch's generator seeded with `seed`.

    Raises
    ------
    InputError
        It raises an error, or returns no model.
    """
    called = f"The function{' of ' + repr(name) if name else ''} that makes the model"
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = factory()
    except FaninError:
        raise
    except Exception as error:
        raise InputError(
            explain(
                f"{called} raises an error",
                received=f"{type(error).__name__}: {error}",
                remedy="Give a function that takes no arguments and returns the model",
            )
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(
            explain(
                f"{called} makes none", received=type(model).__name__, rule="It returns a torch.nn.Module"
            )
        )
    return model


def fresh(factory: Factory, part: Part, classes: int, *, name: str = "") -> nn.Module:
    """Build a model, and make sure that it fits the data and that the next one is another.

    Raises
    ------
    InputError
        The factory returns the same model, or models that share tensors.
    ModelError
        The model fails on the data.
    """
    model, other = built(factory, seed=0, name=name), built(factory, seed=0, name=name)
    mine = {one.tensor.data_ptr() for one in named_tensors(model) if one.tensor.numel()}
    shared = [
        one.name for one in named_tensors(other) if one.tensor.numel() and one.tensor.data_ptr() in mine
    ]
    if model is other or shared:
        raise InputError(
            explain(
                "The function returns the same model each time",
                received=f"two calls share {', '.join(shared[:4]) or 'everything'}",
                rule="Every run trains a model of its own, or it would go on where the last one ended",
                remedy="Build the model inside the function",
            )
        )
    checked_output(model, part, classes, name=name or type(model).__name__)
    return built(factory, seed=0, name=name)


def shapes(model: nn.Module) -> str:
    """Names and shapes of a model's tensors, in words: what a study's file knows it by."""
    return "; ".join(f"{one.name} {tuple(one.tensor.shape)}" for one in named_tensors(model))


def begun(
    model: nn.Module, variant: Variant, part: Part, *, seed: int, times: Mapping[str, float] | None = None
) -> Plan | None:
    """Give a new model the weights of a variant, in place.

    Parameters
    ----------
    model, variant
        The model, and how it begins.
    part
        Its inputs say what the model takes.
    seed
        Of the law's draws.
    times
        Factors on groups of weights, besides the variant's own.

    Returns
    -------
    Plan or None
        What was done, where it was a plan.

    Raises
    ------
    FaninError
        The model cannot be read, or the plan does not fit it.
    """
    factored = {group: factor for group, factor in (times or {}).items() if factor != 1.0}
    if variant.base is None or not isinstance(variant.base, Policy | Plan):
        if factored or variant.factor != 1.0:
            raise InputError(
                explain(
                    f"The variant '{variant.name}' has no plan to multiply",
                    received=", ".join(f"{group} * {factor:g}" for group, factor in factored.items()),
                    remedy="Name a policy, such as 'framework'",
                )
            )
        if variant.base is not None:
            _own(variant.base, model, seed, variant.name)
        return None
    plan = planned(model, variant, part, seed=seed, times=factored)
    return apply_(model, plan)


def planned(
    model: nn.Module, variant: Variant, part: Part, *, seed: int, times: Mapping[str, float] | None = None
) -> Plan:
    """The plan of a variant for a model; nothing is changed."""
    base = variant.base
    if not isinstance(base, Policy | Plan):
        raise InputError(explain(f"The variant '{variant.name}' has no plan", received=variant.law))
    if isinstance(base, Plan) and variant.factor == 1.0 and not times:
        return replace(base, seed=seed)
    check_plain(model)
    graph = read(model, torch.tensor(part.x[:_READ]))
    plan = (
        replace(base, seed=seed)
        if isinstance(base, Plan)
        else adjusted(model, planner.plan(graph, policy=base, seed=seed))
    )
    group_of = factors.groups(graph)
    if variant.factor != 1.0:
        plan = factors.multiplied(plan, group_of, {"all": variant.factor})
    return factors.multiplied(plan, group_of, times or {})


def _own(initialise: Callable[[nn.Module], object], model: nn.Module, seed: int, name: str) -> None:
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            initialise(model)
    except FaninError:
        raise
    except Exception as error:
        raise ModelError(
            explain(f"The function '{name}' fails on the model", received=f"{type(error).__name__}: {error}")
        ) from error


def run(bench: Bench, job: Job) -> Curve:
    """Build, begin and train one model."""
    part = bench.parts[job.part]
    with one_thread():
        model = built(bench.models[job.kind.model], seed=job.seed, name=job.kind.model)
        begun(model, job.kind.variant, part, seed=job.seed, times=dict(job.factors))
        return fit(model, part, bench.training, seed=job.seed, rate=job.rate, steps=job.steps)
