"""The verb: whether a model is sick at step zero, where, why, and what cures it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from fanin.checks import runner
from fanin.checks.asked import codes, whole_number
from fanin.checks.tiers import Clock, tier_of
from fanin.errors import FaninError, InputError, explain, finite
from fanin.plans import planner
from fanin.records.finding import Cure, Diagnosis, Severity
from fanin.records.plan import Plan
from fanin.records.trace import Trace
from fanin.reports.report import Report
from fanin.torch.draws import spreads
from fanin.torch.losses import Losses
from fanin.torch.names import named_tensors
from fanin.torch.origin import origin
from fanin.torch.probe import measure
from fanin.torch.sandbox import keep_loss, keep_random_state
from fanin.torch.sharded import whole
from fanin.torch.trials import Trials
from fanin.torch.write import write

__all__ = ["check"]

_DRAWS = 4
_MOST = 10_001
"""Draws, at most, and one more: each is a model and a pass."""


def check(
    model: nn.Module | Callable[[], nn.Module],
    *inputs: object,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    seed: int = 0,
    tier: str = "standard",
    plan: Plan | None = None,
    lr: float | None = None,
    fix: bool = False,
    draws: int = _DRAWS,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> Report:
    """Measure a model on one batch and say what is wrong with it, why, and how to cure it.

    Parameters
    ----------
    model
        Any module with real weights; it is left exactly as it was. Or a function that makes one: it is
        called `draws` times, and the report says between which bounds the figures of the draws lie.
        A sharded model is gathered first: every process has to call, and has to have the memory.
    inputs
        A batch of real data: positional arguments of the model, or one mapping of keyword ones.
    target
        Integer classes (cross-entropy), floats (mean squared error), or what `loss` takes. Without
        it the first loss is not checked, unless the model returns one.
    loss
        ``loss(output, target)``, a scalar.
    seed
        Of the random direction in which gradients are measured.
    tier
        "fast" (one pass forward, one back), "standard" (the loss's pass back besides, about 1.5 times a
        training step's passes), "deep" (curvature, Jacobian, tangent kernel, the other mode: some dozens).
    plan
        The plan that was carried out: weights that do not follow it are then found. Without it the
        yardstick is fanin's own plan, from which a healthy model may differ.
    lr
        Learning rate of plain gradient descent that is meant to be taken.
    fix
        Whether to try the plan: it is carried out, the model is measured again and put back, and the
        report says which findings the plan cures. `Report.plan` hands it over.
    draws
        Models to make, where `model` is a function.
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
        A target that does not fit the output, a loss without a gradient, no such tier, or another option
        that is none.
    UnknownNameError
        No code begins like one of `select` or `ignore`.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> check(model, torch.randn(32, 4), target=torch.arange(32) % 2).healthy
    True
    """
    asked = _Asked(
        inputs=inputs, target=target, loss=loss, seed=whole_number("seed", seed), tier=tier_of(tier),
        plan=_plan(plan), lr=lr, fix=fix, select=codes("select", select), ignore=codes("ignore", ignore),
    )  # fmt: skip
    runner.chosen(asked.select, asked.ignore)  # (what is misspelt is said before anything is measured)
    more = whole_number("draws", draws, least=1, below=_MOST) - 1
    if lr is not None and not (finite(lr) and lr > 0.0):
        raise InputError(explain("lr is no learning rate", received=lr, rule="It is a number above 0"))
    # A function that makes models draws their weights: the random states are put back after all of them.
    with keep_random_state(), keep_loss(loss):
        made = model if isinstance(model, nn.Module) else _called(model)
        with whole(made, values=True):
            report = _checked(made, asked, [] if isinstance(model, nn.Module) else [model] * more)
    return Report(replace(report.diagnosis, origin=origin(made, model)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What `check` was asked for."""

    inputs: tuple[object, ...]
    target: Any
    loss: Callable[..., Any] | None
    seed: int
    tier: str
    plan: Plan | None
    lr: float | None
    fix: bool
    select: Sequence[str]
    ignore: Sequence[str]


def _checked(made: nn.Module, want: _Asked, others: Sequence[Any]) -> Report:
    clock = Clock()
    asked = {"target": want.target, "loss": want.loss, "seed": want.seed}
    graph, trace = measure(made, *want.inputs, **asked, tier=want.tier, lr=want.lr, clock=clock)
    yardstick = want.plan or planner.plan(graph, seed=want.seed)
    if others:
        with clock.part(f"{len(others)} further draws"):
            more = [measure(_called(f), *want.inputs, **asked, tier="fast")[1] for f in others]
            trace = replace(trace, draws=len(others) + 1, spreads=spreads([trace, *more]))
    trace = replace(trace, declared=want.plan is not None)
    trials = Trials(made, want.inputs, graph, seed=want.seed)
    trials.loss = Losses(trials, want.inputs, want.target, want.loss)
    chosen: dict[str, Any] = {"select": want.select, "ignore": want.ignore, "trial": trials}
    diagnosis = runner.run(graph, yardstick, trace, **chosen)
    if want.fix and diagnosis.findings:
        with clock.part("the cure on trial"), _tried(made, yardstick):
            _, after = measure(made, *want.inputs, **asked, lr=want.lr)
        again = runner.run(graph, yardstick, _like(after, trace), **chosen)
        diagnosis = replace(diagnosis, cure=_compared(diagnosis, again))
    environment = (
        *diagnosis.environment,
        ("torch", torch.__version__),
        ("device", _device(made)),
        ("cost", clock.said(want.tier)),
    )
    return Report(replace(diagnosis, environment=environment))


def _plan(given: object) -> Plan | None:
    if given is None or isinstance(given, Plan):
        return given
    rule = "It is a fanin.records.plan.Plan, as fanin.torch.plan makes it"
    raise InputError(explain("This is no plan", received=type(given).__name__, rule=rule))


def _called(make: object) -> nn.Module:
    """The model that a function makes.

    Raises
    ------
    InputError
        What is no function, one that cannot be called without arguments, or one that makes no model.
    """
    what = "A check takes a torch.nn.Module, or a function without arguments that makes one"
    if not callable(make):
        raise InputError(explain("There is no model to check", received=type(make).__name__, rule=what))
    name = getattr(make, "__name__", type(make).__name__)
    try:
        made = make()
    except FaninError:
        raise
    except Exception as error:
        raise InputError(
            explain(
                f"'{name}' cannot be called to make a model",
                received=f"{type(error).__name__}: {error}",
                rule=what,
                remedy="Give a model itself, or a function that builds it: check(lambda: Net(...), batch)",
            )
        ) from error
    if not isinstance(made, nn.Module):
        received = f"'{name}' returned {type(made).__name__}"
        raise InputError(explain("There is no model to check", received=received, rule=what))
    return made


def _like(after: Trace, before: Trace) -> Trace:
    return replace(after, deep=before.deep, tier=before.tier, declared=before.declared)


@contextmanager
def _tried(model: nn.Module, plan: Plan) -> Iterator[None]:
    """Carry a plan out for a while: every tensor has its values back afterwards."""
    before = [(t.tensor, t.tensor.detach().clone()) for t in named_tensors(model)]
    try:
        write(model, plan)
        yield
    finally:
        for tensor, values in before:
            tensor.data.copy_(values)


def _compared(before: Diagnosis, after: Diagnosis) -> Cure:
    # What the deep tier measures is not measured again.
    was = {f.code for f in before.findings if not f.code.startswith("FAN5") and f.code != "FAN305"}
    now = {f.code for f in after.findings}
    grave = {f.code for f in after.findings if f.severity != Severity.INFO}
    return Cure(
        cured=tuple(sorted(was - now)),
        left=tuple(sorted(was & now)),
        new=tuple(sorted(grave - {f.code for f in before.findings})),
    )


def _device(model: nn.Module) -> str:
    return ", ".join(sorted({str(p.device) for p in model.parameters()})) or "none"
