"""The verb: what the weights' scale should be, by cross-validation."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fanin.errors import InputError, explain
from fanin.experiments import asked, journal
from fanin.experiments.bench import Bench, Factory, Job, Kind, fresh, planned, shapes
from fanin.experiments.choice import chosen, factor_of, grid, rungs, survivors
from fanin.experiments.data import Data
from fanin.experiments.fit import Training
from fanin.experiments.given import Given, given
from fanin.experiments.paired import contrasts
from fanin.experiments.parts import folds as cut
from fanin.experiments.parts import whole
from fanin.experiments.runner import Progress, Runner, about, checked_settings
from fanin.experiments.scores import checked_score, guessing, summed, validation
from fanin.experiments.start import start
from fanin.experiments.variants import Begin, variant
from fanin.plans.factors import GROUPS
from fanin.records.plan import Plan
from fanin.records.study import Arm, Factor, Study, Tuned
from fanin.reports.outcome import Outcome

__all__ = ["tune"]


def tune(
    factory: Factory,
    data: Given,
    *,
    policy: Begin = "auto",
    groups: Sequence[str] = ("all",),
    between: tuple[float, float] = (0.25, 4.0),
    points: int = 9,
    folds: int = 5,
    halving: bool = False,
    seeds: int = 3,
    steps: int = 300,
    batch: int = 64,
    lr: float = 0.01,
    optimiser: str = "sgd",
    score: str = "accuracy",
    budget: float | None = None,
    jobs: int = 1,
    file: str | os.PathLike[str] | None = None,
    resume: bool = False,
    told: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Choose a factor on a plan's weights by k-fold cross-validation, and try it on data held out.

    Every factor is tried in every fold, under the fold's own seed: factors differ in nothing else. Of those
    whose mean loss is within one standard error of the best, the one nearest to 1 is chosen; so the plan
    stays as it is unless the data speak against it. The test data take no part until that is done.

    Parameters
    ----------
    factory
        A function that makes the model; called anew for each run.
    data
        As for `fanin.experiments.compare`. Folds are cut from the training samples, every class in each.
    policy
        What is multiplied: a policy, a scheme for every weight, or a plan.
    groups
        What gets a factor of its own, one after the other: "all" weights that are summed over, or "body",
        "branches" (the last weight of each residual branch), "head", "embeddings".
    between, points
        The smallest and the largest factor, and how many are tried, evenly on a logarithmic axis; 1 is
        always among them.
    folds
        Number of folds.
    halving
        Whether all factors are first given a ninth of the steps, the better third of them a third, and
        the better third of these all: a third of the work, and a curve with gaps.
    seeds
        Runs of factor 1 and of the chosen one on all training samples, for the test data.
    steps, batch, lr, optimiser
        As for `fanin.experiments.compare`, with one learning rate.
    score
        "accuracy" or "loss" on the test data; factors are chosen by the loss.
    budget, jobs, file, resume, told
        As for `fanin.experiments.compare`.

    Returns
    -------
    Outcome
        Prints the curve and the choice; ``.plan()`` is the tuned plan.

    Raises
    ------
    InputError
        Settings under which nothing can be tuned, fewer samples of a class than folds, a group that the
        model does not have, or a variant without a plan.
    UnknownNameError
        A policy, group, optimiser or score that is not known.
    ModelError
        The model fails on the data.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> made = tune(
    ...     lambda: torch.nn.Linear(4, 2), (x, (x[:, 0] > 0).long()), points=3, folds=2, steps=3, seeds=1
    ... )
    >>> [one.factor for one in made.study.tuned[0].factors]
    [0.25, 1.0, 4.0]

    References
    ----------
    L. Breiman et al., Classification and Regression Trees, 1984, section 3.4.3 (one standard error).
    K. Jamieson and A. Talwalkar, Non-stochastic best arm identification, 2016.
    """
    checked_score(score)
    there = asked.place(file)
    asked.listener(told)
    checked_settings(jobs=jobs, budget=budget, resume=resume, file=there)
    seeds = asked.count("seeds", seeds, "The tuning has nothing to do")
    tried = asked.numbers("lr", lr, "A learning rate is positive and finite")
    if len(tried) > 1:
        raise InputError(explain("All factors are tried at one learning rate", received=f"lr={lr!r}"[:200]))
    (lr,) = tried
    parts = tuple(dict.fromkeys(asked.several("groups", groups)))
    factors = grid(between, points)
    if not parts or ("all" in parts and {"body", "branches", "head"} & set(parts)):
        raise InputError(
            explain(
                "A weight is in two groups" if parts else "The tuning has nothing to do",
                received=f"groups {', '.join(map(str, parts)) or 'none'}",
                rule=f"Groups are {', '.join(GROUPS)}; 'all' is body, branches and head",
            )
        )
    samples = given(data)
    training = Training(steps=steps, batch=batch, optimiser=optimiser)
    if isinstance(factory, Mapping):
        raise InputError(explain("One model is tuned at a time", received=f"{len(factory)} models"))
    bench = Bench(models={"": factory}, parts=(*cut(samples, folds), whole(samples)), training=training)
    begin = variant(policy)
    model = fresh(factory, bench.parts[0], samples.classes)
    kind = Kind(name=begin.name, model="", variant=begin)
    # Before anything is trained: the model has these groups, and their laws have a factor.
    counts = {
        group: _changed(
            planned(model, begin, bench.parts[0], seed=0),
            planned(model, begin, bench.parts[0], seed=0, times={group: 2.0}),
        )
        for group in parts
    }
    settings = _settings(training, begin.law, factors, folds, rate=lr, halving=halving, samples=samples)
    runner = Runner(bench=bench, jobs=jobs, budget=budget, file=there, told=told)
    if there is not None:
        subject = about(
            samples, {"": shapes(model)}, {"verb": "tune", "policy": begin.name, **dict(settings)}
        )
        if resume and there.exists():
            runner.done.update(journal.resumed(there, subject))
        else:
            journal.begin(there, subject)
    fixed: dict[str, float] = {}
    found: list[Tuned] = []
    notes: list[str] = []
    for group in parts:
        curve = _curve(
            runner, kind, group, factors, fixed, folds=folds, halving=halving, rate=lr, notes=notes
        )
        best, taken = chosen(curve)
        fixed[group] = taken
        found.append(Tuned(group=group, tensors=counts[group], factors=curve, best=best, chosen=taken))
        if best in (factors[0], factors[-1]):
            notes.append(f"the best factor of {group} is at the end of the range, {best:g}: try a wider one")
    plan = planned(model, begin, bench.parts[0], seed=0, times=fixed)
    arms = _held_out(runner, kind, fixed, seeds=seeds, rate=lr, samples=samples, score=score, notes=notes)
    pairs = contrasts(
        {arm.name: arm.scores for arm in arms},
        grain=1.0 / len(samples.test_labels) if score == "accuracy" else 0.0,
    )
    study = Study(
        title=f"{type(model).__name__}: the scale of {begin.name}, cross-validated",
        data=str(samples),
        chance=samples.chance,
        settings=(*settings, ("seeds on the test data", str(len(arms[0].curves) if arms else 0))),
        arms=arms,
        seconds=runner.seconds,
        score=score,
        guess=guessing(samples),
        contrasts=pairs,
        tuned=tuple(found),
        plan=plan,
        notes=tuple(notes),
    )
    return Outcome(study)


def _changed(before: Plan, after: Plan) -> int:
    """Tensors that a factor changes."""
    return sum(a.draw != b.draw for a, b in zip(before.entries, after.entries, strict=True))


def _curve(
    runner: Runner,
    kind: Kind,
    group: str,
    factors: Sequence[float],
    fixed: Mapping[str, float],
    *,
    folds: int,
    halving: bool,
    rate: float,
    notes: list[str],
) -> tuple[Factor, ...]:
    """Every factor of one group in every fold."""
    alive = list(factors)
    found: dict[float, Factor] = {}
    total = runner.bench.training.steps
    for steps in rungs(total, len(factors)) if halving else (total,):
        times = {factor: tuple({**fixed, group: factor}.items()) for factor in alive}
        jobs = {
            (fold, factor): Job(
                key=_key(times[factor], steps, fold),
                kind=kind,
                seed=fold,
                rate=rate,
                part=fold,
                steps=steps,
                factors=times[factor],
            )
            for fold in range(folds)
            for factor in alive
        }
        made = runner.carry_out(list(jobs.values()))
        complete = [fold for fold in range(folds) if all(jobs[fold, factor].key in made for factor in alive)]
        if len(complete) < 2:
            raise InputError(
                explain(
                    "The budget ended before two folds were complete",
                    received=f"{len(made)} of {len(jobs)} runs of '{group}' in {runner.seconds:.0f} s",
                    remedy="Give more time, fewer factors or steps, or a file to go on with later",
                )
            )
        if len(complete) < folds:
            notes.append(
                f"time was up: {len(complete)} of {folds} folds of {group} are complete, and only these count"
            )
        for factor in alive:
            losses = [validation(made[jobs[fold, factor].key]) for fold in complete]
            found[factor] = factor_of(factor, losses, steps)
        if steps < total:
            alive = survivors([found[factor] for factor in alive])
    return tuple(found[factor] for factor in factors)


def _key(times: Sequence[tuple[str, float]], steps: int, fold: int) -> str:
    told = " ".join(f"{group}*{factor:g}" for group, factor in times)
    return f"{told} | fold {fold} | {steps} steps"


def _held_out(
    runner: Runner, kind: Kind, fixed: Mapping[str, float], *, seeds: int, rate: float, samples: Data,
    score: str, notes: list[str],
) -> tuple[Arm, ...]:  # fmt: skip
    """Factor 1 and the chosen factors, trained on all training samples and tried on the test data."""
    changed = tuple((group, factor) for group, factor in fixed.items() if factor != 1.0)
    ways: dict[str, tuple[tuple[str, float], ...]] = {"factor 1": ()}
    if changed:
        ways[" ".join(f"{group}*{factor:.3g}" for group, factor in changed)] = changed
    last = len(runner.bench.parts) - 1
    steps = runner.bench.training.steps
    jobs = {
        (seed, name): Job(
            key=f"test | {name} | seed {seed}",
            kind=kind,
            seed=seed,
            rate=rate,
            part=last,
            steps=steps,
            factors=times,
        )
        for seed in range(seeds)
        for name, times in ways.items()
    }
    made = runner.carry_out(list(jobs.values()))
    there = [seed for seed in range(seeds) if all(jobs[seed, name].key in made for name in ways)]
    if len(there) < seeds:
        notes.append(f"time was up: {len(there)} of {seeds} seeds were tried on the test data")
    if not there:
        return ()
    arms = []
    for name, times in ways.items():
        law = replace(kind.variant, name=name)
        arm = Arm(
            name=name,
            curves=tuple(made[jobs[seed, name].key] for seed in there),
            law=law.law + "".join(f"; {group} times {factor:g}" for group, factor in times),
            start=start(runner.bench, kind, times=dict(times)),
        )
        arms.append(summed(arm, score, samples))
    return tuple(arms)


def _settings(
    training: Training,
    law: str,
    factors: Sequence[float],
    folds: int,
    *,
    rate: float,
    halving: bool,
    samples: Data,
) -> tuple[tuple[str, str], ...]:
    return (
        ("law", law),
        ("factors", ", ".join(f"{factor:g}" for factor in factors)),
        ("folds", f"{folds} of {len(samples.train_labels)} training samples"),
        ("halving", "yes" if halving else "no"),
        ("optimiser", training.optimiser),
        ("learning rate", f"{rate:g}"),
        ("steps", str(training.steps)),
        ("batch", str(training.batch)),
    )
