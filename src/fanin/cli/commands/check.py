"""``fanin check``: is the model sick at step zero, where, why, and what is the fix."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fanin.cli import output as show
from fanin.cli.options import form, model_options

__all__ = ["check"]

_LEVELS = ("info", "warning", "failure")


@click.command(short_help="Say what is wrong with a model at step zero, why, and how to cure it.")
@model_options
@form
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as one HTML page."
)
@click.option(
    "--fail-on", type=click.Choice(_LEVELS), default="warning", show_default=True,
    help="Exit with 1 when there is a finding of this severity or worse.",
)  # fmt: skip
@click.option("--init", "initialise", is_flag=True, help="Check the model as fanin would initialise it.")
def check(
    target: str,
    inputs: tuple[str, ...],
    batch: str | None,
    policy: str,
    seed: int,
    rules: tuple[str, ...],
    priors: tuple[str, ...],
    form: str,
    html: Path | None,
    fail_on: str,
    initialise: bool,  # noqa: FBT001 - a command's options are its parameters
) -> int:
    """Run the model at TARGET once, forward and backward, and say what is wrong with its weights.

    The weights are those that the model's own code draws. --policy and --set say how fanin would
    initialise it, which --init then carries out before the check.
    """
    from fanin.cli import session  # noqa: PLC0415 - loads torch, which --help must not
    from fanin.reports.terminal import show as print_report  # noqa: PLC0415
    from fanin.torch import apply_  # noqa: PLC0415
    from fanin.torch import check as check_model  # noqa: PLC0415

    if (rules or priors or policy != "auto") and not initialise:
        raise click.UsageError(
            "--policy, --set and --class-prior say how to initialise: use them with --init"
        )
    if initialise:
        wanted = session.Wishes(policy=policy, seed=seed, rules=rules, priors=priors)
        made = session.planned(target, inputs, batch, wanted)
        apply_(made.model, made.plan)
        model, data = made.model, made.batch
    else:
        model, data = session.prepared(target, inputs, batch, seed=seed)
    show.progress("measuring one pass, forward and backward")
    report = check_model(model, *data.inputs, target=data.target)
    show.progress("")
    if html is not None:
        saved = report.save(html)
        show.note(f"wrote {show.said_size(saved)}")
    if form == "json":
        show.data(report.to_json().rstrip("\n"))
    else:
        print_report(report.diagnosis, sys.stdout)
    worst = max((_LEVELS.index(str(f.severity)) for f in report.findings), default=-1)
    return int(worst >= _LEVELS.index(fail_on))
