"""The verb: which way to begin is better, on your model and your data."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence

from fanin.errors import InputError, explain
from fanin.experiments import asked, journal
from fanin.experiments.bench import Bench, Factory, Job, Kind, begun, built, factories, fresh, shapes
from fanin.experiments.fit import Training
from fanin.experiments.given import Given, given
from fanin.experiments.grid import kinds
from fanin.experiments.paired import contrasts
from fanin.experiments.parts import validated
from fanin.experiments.runner import Progress, Runner, about, checked_settings
from fanin.experiments.scores import checked_score, guessing, summed, validation
from fanin.experiments.start import start
from fanin.experiments.variants import Begin, named
from fanin.records.study import Arm, Contrast, Curve, Rate, Start, Study
from fanin.reports.outcome import Outcome

__all__ = ["VARIANTS", "compare", "rates"]

VARIANTS = ("framework", "glorot", "lecun", "he", "auto")


def compare(
    factory: Factory | Mapping[str, Factory],
    data: Given,
    *,
    variants: Mapping[str, Begin] | Sequence[Begin] = VARIANTS,
    gains: Sequence[float] = (1.0,),
    seeds: int = 3,
    steps: int = 300,
    batch: int = 64,
    lr: float | Sequence[float] = 0.01,
    optimiser: str = "sgd",
    score: str = "accuracy",
    target: float | None = None,
    budget: float | None = None,
    jobs: int = 1,
    file: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checks: bool = True,
    told: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Train the same model from different beginnings, and say which differences are shown.

    All arms of a seed share the model's own draws, the names of the random streams, the order of the samples
    and dropout: they differ in the law and in nothing else. Arms are compared seed by seed, by a paired
    t-test with Holm's correction for the number of pairs.

    Parameters
    ----------
    factory
        A function that makes the model, called anew for each run; or several by name, such as
        ``{"plain": net, "bn": net_with_norms}``. The model takes a batch of inputs and returns a number for
        each class.
    data
        ``"digits"``, ``"mnist"``, ``(x, y)``, ``(x, y, x_test, y_test)``, an ``.npz`` file of these, or a
        `Data`. A fifth of the training samples is kept for validation.
    variants
        Ways to begin: policies ("he"), schemes ("he_uniform", "keras:he_normal"), "own" for the model's own
        code, plans, functions; with a factor behind a star. See `fanin.experiments.variants.variant`.
    gains
        Factors on the weights of every variant.
    seeds
        Runs of each arm, of seed 0, 1, ...
    steps, batch, optimiser
        "sgd" (momentum 0.9), "adam" or "adamw", at a constant rate.
    lr
        One learning rate for all arms; or several, of which each arm gets the one with the smallest mean
        validation loss.
    score
        "accuracy" or "loss" on the test data at the end.
    target
        Validation loss whose first step is reported; by default half of that of guessing.
    budget
        Seconds after which no further run begins. Seeds that not all arms have are left out.
    jobs
        Processes; the results are the same for any number.
    file, resume
        Where every run is kept as it ends; whether to go on with such a file.
    checks
        Whether each arm is checked at step zero.
    told
        Called after each run.

    Returns
    -------
    Outcome
        Prints as a table; ``.study`` has every curve, ``.save(path)`` writes a page, text or JSON.

    Raises
    ------
    InputError
        Settings under which nothing can be compared, or data that do not fit.
    UnknownNameError
        A variant, optimiser or score that is not known.
    ModelError
        The model fails on the data.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    >>> y = (x[:, 0] > 0).long()
    >>> made = compare(lambda: torch.nn.Linear(4, 2), (x, y), variants=("he", "lecun"), steps=5)
    >>> [arm.name for arm in made.study.arms]
    ['he', 'lecun']

    References
    ----------
    X. Bouthillier et al., Accounting for variance in machine learning benchmarks, 2021.
    """
    checked_score(score)
    there = asked.place(file)
    asked.listener(told)
    checked_settings(jobs=jobs, budget=budget, resume=resume, file=there)
    seeds = asked.count("seeds", seeds, "There is no run to make")
    tried = rates(lr)
    if target is not None:
        (target,) = asked.numbers("target", target, "A loss to reach is positive and finite")
    models, samples = factories(factory), given(data)
    arms = kinds(tuple(models), named(variants), asked.several("gains", gains))
    training = Training(steps=steps, batch=batch, optimiser=optimiser)
    bench = Bench(models=models, parts=(validated(samples),), training=training)
    made = {name: fresh(one, bench.parts[0], samples.classes, name=name) for name, one in models.items()}
    _possible(bench, arms)
    settings = _settings(bench, arms, tried)
    known = {name: shapes(model) for name, model in made.items()}
    runner = Runner(bench=bench, jobs=jobs, budget=budget, file=there, told=told)
    if there is not None:
        subject = about(samples, known, {"verb": "compare", **dict(settings)})
        if resume and there.exists():
            runner.done.update(journal.resumed(there, subject))
        else:
            journal.begin(there, subject)
    # A seed of all arms before the next: what a budget leaves is paired.
    order = [
        Job(key=_key(kind, rate, seed), kind=kind, seed=seed, rate=rate, part=0, steps=steps)
        for seed, kind, rate in itertools.product(range(seeds), arms, tried)
    ]
    found = runner.carry_out(order)
    whole = [s for s in range(seeds) if all(_key(k, r, s) in found for k in arms for r in tried)]
    if not whole:
        raise InputError(
            explain(
                "The budget ended before every arm had one run",
                received=f"{len(found)} of {len(arms) * len(tried)} runs in {runner.seconds:.0f} s",
                remedy="Give more time, fewer steps, or a file to go on with later",
            )
        )
    starts = {kind.name: start(bench, kind) if checks else None for kind in arms}
    told_arms = tuple(
        summed(_arm(kind, tried, whole, found, starts[kind.name]), score, samples) for kind in arms
    )
    scores = {arm.name: arm.scores for arm in told_arms}
    pairs = contrasts(scores, grain=1.0 / len(samples.test_labels) if score == "accuracy" else 0.0)
    names = sorted({type(model).__name__ for model in made.values()})
    study = Study(
        title=f"{' and '.join(names)}: {len(arms)} ways to begin",
        data=str(samples),
        chance=samples.chance,
        settings=(*settings, ("seeds", ", ".join(map(str, whole)))),
        arms=told_arms,
        seconds=runner.seconds,
        score=score,
        guess=guessing(samples),
        target=target if target is not None else guessing(samples) / 2.0,
        contrasts=pairs,
        notes=_notes(told_arms, pairs, tried, seeds, len(whole)),
    )
    return Outcome(study)


def rates(lr: float | Sequence[float]) -> tuple[float, ...]:
    """Learning rates to try, in ascending order.

    Raises
    ------
    InputError
        None, or one that is not positive and finite.
    """
    return tuple(sorted(set(asked.numbers("lr", lr, "A learning rate is positive and finite"))))


def _possible(bench: Bench, arms: Sequence[Kind]) -> None:
    """Begin each arm once: what a plan cannot do is said before anything is trained."""
    for kind in arms:
        begun(built(bench.models[kind.model], seed=0), kind.variant, bench.parts[0], seed=0)


def _key(kind: Kind, rate: float, seed: int) -> str:
    return f"{kind.name} | lr {rate:g} | seed {seed}"


def _settings(bench: Bench, arms: Sequence[Kind], tried: Sequence[float]) -> tuple[tuple[str, str], ...]:
    training, part = bench.training, bench.parts[0]
    sizes = (len(part.y), len(part.watched_labels), len(part.held_labels))
    return (
        ("optimiser", training.optimiser),
        ("learning rates", ", ".join(f"{rate:g}" for rate in tried)),
        ("steps", str(training.steps)),
        ("batch", str(training.batch)),
        ("samples", "{} to train on, {} for validation, {} for testing".format(*sizes)),
        *((f"arm {kind.name}", kind.variant.law) for kind in arms),
    )


def _arm(
    kind: Kind, tried: Sequence[float], seeds: Sequence[int], found: Mapping[str, Curve], begin: Start | None
) -> Arm:
    """An arm with the runs of its best learning rate; what is held out has no say in which that is."""
    runs = {rate: [found[_key(kind, rate, seed)] for seed in seeds] for rate in tried}
    means = {
        rate: math.fsum(validation(curve) for curve in curves) / len(seeds) for rate, curves in runs.items()
    }
    best = min(tried, key=lambda rate: (means[rate], rate))
    return Arm(
        name=kind.name,
        curves=tuple(runs[best]),
        model=kind.model,
        law=kind.variant.law,
        start=begin,
        rates=tuple(Rate(learning_rate=rate, loss=means[rate]) for rate in tried) if len(tried) > 1 else (),
    )


def _notes(
    arms: Sequence[Arm], pairs: Sequence[Contrast], tried: Sequence[float], wanted: int, there: int
) -> tuple[str, ...]:
    notes = []
    if there < wanted:
        notes.append(f"time was up: {there} of {wanted} seeds are complete, and only these are compared")
    if there < 2:
        notes.append("one seed shows no difference: the next may turn it round")
    if len(tried) == 1 and any(pair.shown for pair in pairs):
        notes.append(
            f"one learning rate, {tried[0]:g}, served all arms, so a difference may be that of the rate: "
            "several rates (lr) are tuned for each arm on the validation data"
        )
    for arm in arms:
        ends = (tried[0], tried[-1])
        if arm.rates and arm.curves[0].learning_rate in ends:
            rate = f"{arm.curves[0].learning_rate:g}"
            notes.append(f"{arm.name} is best at the end of the learning rates, {rate}: try more")
        broken = sum(curve.diverged is not None for curve in arm.curves)
        if broken:
            notes.append(
                f"{arm.name} diverged in {broken} of {len(arm.curves)} runs, which count as guessing"
            )
    return tuple(notes)
