"""``fanin compare``: which way to begin is better, on the user's model and data."""

from __future__ import annotations

from pathlib import Path

import click

from fanin.cli import output as show
from fanin.cli import studies
from fanin.cli.options import form
from fanin.errors import InputError, explain

__all__ = ["compare"]


@click.command(short_help="Train a model from several beginnings, and say which differences are shown.")
@click.argument("target")
@click.option(
    "--variants",
    "-v",
    "variants",
    multiple=True,
    metavar="A,B,...",
    help="Policies (he, auto), schemes for every weight (he_uniform, keras:he_normal, 'normal(std=0.02)'), "
    "own (the model's own code), plans (FILE.json); each with a factor, as he*1.5.  "
    "[default: framework, glorot, lecun, he, auto]",
)
@click.option(
    "--grid",
    "axes",
    multiple=True,
    metavar="AXIS=A,B,...",
    help="Every combination: scheme=he_normal,he_uniform; model=plain,bn (other functions of TARGET's file); "
    "gain=0.5,1,2. Repeat for several axes.",
)
@click.option(
    "--lr",
    default="0.01",
    show_default=True,
    metavar="RATE,...",
    help="Learning rate; of several each arm gets its best on the validation data.",
)
@click.option(
    "--target-loss", type=click.FloatRange(min=0.0), help="Validation loss whose first step is reported."
)
@click.option("--no-check", is_flag=True, help="Do not check the arms at step zero.")
@studies.study_options
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Save the study as JSON too."
)
@form
def compare(
    target: str, variants: tuple[str, ...], axes: tuple[str, ...], lr: str, target_loss: float | None,
    source: str, seeds: int, steps: int, batch: int, optimiser: str, score: str, budget: float | None,
    jobs: int, file: Path | None, html: Path | None, output: Path | None, form: str, *, resume: bool,
    no_check: bool,
) -> None:  # fmt: skip
    """Train the model at TARGET from several beginnings, and compare them seed by seed.

    TARGET is a function that makes the model; it takes a batch of inputs and returns a number for each class.
    All arms of a seed share the order of the samples and the names of the random streams, so that they differ
    in the law and in nothing else.
    """
    from fanin.experiments.compare import VARIANTS  # noqa: PLC0415 - loads torch, which --help must not
    from fanin.experiments.compare import compare as run  # noqa: PLC0415

    chosen = studies.grid(axes)
    if variants and "law" in chosen:
        raise click.UsageError("--variants and --grid scheme=... name the same axis: give one of them")
    try:
        with show.talk():
            models = {word: studies.factory(_beside(target, word)) for word in chosen.get("model", [])}
            outcome = run(
                models or studies.factory(target), studies.data(source),
                variants=studies.words(variants) or chosen.get("law") or VARIANTS,
                gains=_numbers(chosen.get("gain", ["1"]), "gain"), lr=_numbers(studies.words([lr]), "--lr"),
                seeds=seeds, steps=steps, batch=batch, optimiser=optimiser, score=score, target=target_loss,
                budget=budget, jobs=jobs, file=file, resume=resume, checks=not no_check,
                told=studies.ticker(),
            )  # fmt: skip
    except KeyboardInterrupt:
        studies.kept(file)
        raise
    if output is not None:
        show.note(f"wrote {show.said_size(outcome.save(output))}")
    studies.written(outcome, form, html)


def _beside(target: str, word: str) -> str:
    """A TARGET of its own, or another function of the same file or module."""
    place, _, _ = target.rpartition(":")
    return word if ":" in word else f"{place or target}:{word}"


def _numbers(texts: list[str], what: str) -> tuple[float, ...]:
    try:
        return tuple(float(text) for text in texts)
    except ValueError:
        raise InputError(explain(f"{what} holds no numbers", received=", ".join(texts))) from None
