"""``fanin tune``: the scale of the weights, by cross-validation."""

from __future__ import annotations

from pathlib import Path

import click

from fanin.cli import output as show
from fanin.cli import studies
from fanin.cli.options import form

__all__ = ["tune"]


@click.command(short_help="Choose a factor on a plan's weights by cross-validation.")
@click.argument("target")
@click.option(
    "--policy",
    default="auto",
    show_default=True,
    help="What is multiplied: a policy, a scheme for every weight, or a plan (FILE.json).",
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    type=click.Choice(["all", "body", "branches", "head", "embeddings"]),
    help="What gets a factor of its own, one after the other; repeat for several.  [default: all]",
)
@click.option(
    "--range",
    "between",
    nargs=2,
    type=click.FloatRange(min=0.0, min_open=True),
    default=(0.25, 4.0),
    show_default=True,
    metavar="LOW HIGH",
    help="Smallest and largest factor, around 1.",
)
@click.option("--points", type=click.IntRange(2, 101), default=9, show_default=True, help="Factors to try.")
@click.option(
    "--folds", type=click.IntRange(2, 100), default=5, show_default=True, help="Of the cross-validation."
)
@click.option(
    "--halving", is_flag=True, help="Drop the worse two thirds after a ninth and a third of the steps."
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0.0, min_open=True),
    default=0.01,
    show_default=True,
    help="Learning rate.",
)
@studies.study_options
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PLAN.json",
    help="Save the tuned plan, for fanin init --plan.",
)
@form
def tune(
    target: str, policy: str, groups: tuple[str, ...], between: tuple[float, float], points: int, folds: int,
    lr: float, source: str, seeds: int, steps: int, batch: int, optimiser: str, score: str,
    budget: float | None, jobs: int, file: Path | None, html: Path | None, output: Path | None, form: str, *,
    halving: bool, resume: bool,
) -> None:  # fmt: skip
    """Choose a factor on the weights of the model at TARGET by cross-validation, and try it on test data.

    Of the factors within one standard error of the best, the one nearest to 1 is chosen: the plan stays as
    it is unless the data speak against it.
    """
    from fanin.experiments.tune import tune as run  # noqa: PLC0415 - loads torch, which --help must not

    try:
        with show.talk():
            outcome = run(
                studies.factory(target), studies.data(source), policy=policy, groups=groups or ("all",),
                between=between, points=points, folds=folds, halving=halving, seeds=seeds, steps=steps,
                batch=batch, lr=lr, optimiser=optimiser, score=score, budget=budget, jobs=jobs, file=file,
                resume=resume, told=studies.ticker(),
            )  # fmt: skip
    except KeyboardInterrupt:
        studies.kept(file)
        raise
    if output is not None:
        show.note(f"wrote {show.said_size(outcome.plan().save(output))}")
    studies.written(outcome, form, html)
