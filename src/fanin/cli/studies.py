"""What compare and tune have in common on the command line: options, data, models, and how far they are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fanin.cli import output as show
from fanin.errors import InputError, TargetError, explain, nearest

if TYPE_CHECKING:
    from torch import nn

    from fanin.experiments.data import Data
    from fanin.experiments.runner import Progress
    from fanin.reports.outcome import Outcome

__all__ = ["data", "factory", "grid", "kept", "study_options", "ticker", "words", "written"]

F = TypeVar("F", bound=Callable[..., Any])

_AXES = {"model": "model", "gain": "gain"} | dict.fromkeys(("law", "scheme", "policy", "variant"), "law")
"""Axes of a grid by what they may be called."""

_OPTIONS = (
    click.option(
        "--data", "source", required=True, metavar="digits|mnist|FILE.npz|FILE.py:FUNCTION",
        help="What to train on: real digits from installed packages, arrays x and y (and x_test, y_test), or "
        "a function that returns them.",
    ),
    click.option(
        "--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, help="Runs of each kind."
    ),
    click.option("--steps", type=click.IntRange(1), default=300, show_default=True, help="Of each run."),
    click.option(
        "--batch-size", "batch", type=click.IntRange(1), default=64, show_default=True, help="Samples a step."
    ),
    click.option(
        "--optimizer", "optimiser", type=click.Choice(["sgd", "adam", "adamw"]), default="sgd",
        show_default=True,
        help="sgd has momentum 0.9; the learning rate stays constant.",
    ),
    click.option(
        "--score", type=click.Choice(["accuracy", "loss"]), default="accuracy", show_default=True,
        help="What counts on the test data.",
    ),
    click.option(
        "--budget", type=click.FloatRange(min=0.0, min_open=True), metavar="SECONDS",
        help="No run begins after this time; what is complete is reported.",
    ),
    click.option(
        "--jobs", type=click.IntRange(1, 256), default=1, show_default=True,
        help="Processes; no result depends on it.",
    ),
    click.option(
        "--study", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.jsonl",
        help="Keep every run here as it ends.",
    ),
    click.option("--resume", is_flag=True, help="Go on with the --study file: what is there is not rerun."),
    click.option(
        "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the study as one HTML page."
    ),
)  # fmt: skip


def study_options(command: F) -> F:
    """Data, sizes, time, and where results go."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def words(texts: Iterable[str]) -> list[str]:
    """Words between commas that stand in no parentheses: ``he,normal(std=0.02, mean=0)`` are two."""
    found: list[str] = []
    for text in texts:
        depth, word = 0, ""
        for sign in text:
            depth += (sign == "(") - (sign == ")")
            if sign == "," and depth == 0:
                found.append(word)
                word = ""
            else:
                word += sign
        found.append(word)
    return [word.strip() for word in found if word.strip()]


def grid(axes: Iterable[str]) -> dict[str, list[str]]:
    """``--grid scheme=he,glorot --grid model=plain,bn`` as words by axis: "law", "model", "gain".

    Raises
    ------
    InputError
        Text without an equals sign, an axis without words, or one that is given twice.
    UnknownNameError
        There is no such axis.
    """
    found: dict[str, list[str]] = {}
    for text in axes:
        name, equals, values = text.partition("=")
        axis = name.strip().removesuffix("s")
        if equals and axis not in _AXES:
            raise nearest(name.strip(), _AXES, kind="axis of a grid")
        if not equals or not words([values]) or _AXES[axis] in found:
            raise InputError(
                explain(
                    "A --grid is not understood",
                    received=repr(text),
                    rule="It is AXIS=A,B,..., each axis once",
                )
            )
        found[_AXES[axis]] = words([values])
    return found


def factory(target: str) -> Callable[[], nn.Module]:
    """A function that makes the model of a TARGET, also in another process.

    Raises
    ------
    TargetError
        Nothing of that name, or a model in place of a function that makes one.
    """
    from fanin.cli import targets  # noqa: PLC0415 - loads torch, which --help must not

    if target.startswith("hf:"):
        return functools.partial(targets.made, target)
    place, _, name = target.rpartition(":")
    if place.endswith(".py"):
        target = f"{Path(place).resolve()}:{name}"
    found = targets.attribute(target, purpose="TARGET")
    if not callable(found) or (hasattr(found, "named_parameters") and not isinstance(found, type)):
        raise TargetError(
            explain(
                f"TARGET '{name or target}' is no function that makes a model",
                received=type(found).__name__,
                rule="Every run begins with a new model",
                remedy="Name the function or class that builds it",
            )
        )
    return functools.partial(targets.made, target)


def data(source: str) -> Data:
    """The data that ``--data`` names.

    Raises
    ------
    InputError
        Nothing of the kind, or data that no classifier can be trained on.
    TargetError
        The user's function cannot be found or raises.
    """
    from fanin.cli import targets  # noqa: PLC0415
    from fanin.experiments.given import given  # noqa: PLC0415

    if ":" not in source or source.endswith(".npz"):
        return given(source)
    function = targets.attribute(source, purpose="--data")
    if not callable(function):
        return given(function, name=source)
    try:
        found = function()
    except Exception as error:
        raise TargetError(
            explain(f"--data '{source}' raises an error", received=f"{type(error).__name__}: {error}")
        ) from error
    return given(found, name=source)


def ticker() -> Callable[[Progress], None]:
    """Show how many runs are done, and how long the rest will take."""

    def tick(now: Progress) -> None:
        left = (now.total - now.done) * now.seconds / max(now.made, 1)
        rest = f", {_time(left)} left" if now.done < now.total else ""
        show.progress(f"{_bar(now.done / now.total)} {now.done} of {now.total} runs{rest}  {now.said}")

    return tick


def _bar(share: float) -> str:
    full = int(20 * share)
    return "█" * full + "·" * (20 - full)


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def kept(file: Path | None) -> None:
    """Say after an interruption what is left."""
    show.progress("")
    if file is not None and file.exists():
        with file.open(encoding="utf-8") as lines:
            runs = sum(1 for _ in lines) - 1
        show.note(f"interrupted: {file} keeps {runs} runs; the same command with --resume goes on")
    else:
        show.note("interrupted: nothing is kept without --study FILE.jsonl")


def written(outcome: Outcome, form: str, html: Path | None) -> None:
    """Write what a study found: the page, and stdout."""
    import sys  # noqa: PLC0415

    from fanin.reports.outcome_text import outcome_lines  # noqa: PLC0415
    from fanin.reports.terminal import write_lines  # noqa: PLC0415

    show.progress("")
    if html is not None:
        show.note(f"wrote {show.said_size(outcome.save(html))}")
    if form == "json":
        show.data(outcome.to_json().rstrip("\n"))
    else:
        write_lines(lambda width: outcome_lines(outcome.study, width=width), sys.stdout)
