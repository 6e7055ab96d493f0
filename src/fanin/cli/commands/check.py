"""``fanin check``: is the model sick at step zero, where, why, and what is the fix."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fanin.cli import output as show
from fanin.cli.options import model_options

if TYPE_CHECKING:
    from fanin.cli.session import Planned

__all__ = ["check"]

_LEVELS = ("info", "warning", "failure")


@click.command(short_help="Say what is wrong with a model at step zero, why, and how to cure it.")
@model_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="What to write to stdout.",
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as one HTML page."
)
@click.option(
    "--fail-on", type=click.Choice(_LEVELS), default="warning", show_default=True,
    help="Exit with 1 when there is a finding of this severity or worse.",
)  # fmt: skip
@click.option("--init", "initialise", is_flag=True, help="Check the model as fanin would initialise it.")
@click.option(
    "--tier",
    type=click.Choice(["fast", "standard", "deep"]),
    default="standard",
    show_default=True,
    help="How much it may cost: one pass forward and one back; the loss's pass back besides; or curvature, "
    "Jacobian, tangent kernel and the other mode, too.",
)
@click.option("--lr", type=click.FloatRange(min=0.0, min_open=True), help="Learning rate of the first step.")
@click.option("--fix", is_flag=True, help="Try fanin's plan, and say which findings it cures.")
@click.option(
    "--select", multiple=True, metavar="CODE", help="Report these only: FAN102, or FAN2 for all of them."
)
@click.option("--ignore", multiple=True, metavar="CODE", help="Leave these out.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Findings that this file lists are accepted; new ones count.",
)
@click.option(
    "--predict-only",
    is_flag=True,
    help="Run nothing: print what the laws say of the plan's weights. A configuration is read on the meta "
    "device, whatever its size.",
)
@click.option("--update-baseline", is_flag=True, help="Write what was found to --baseline, and end with 0.")
@click.option(
    "--widths", metavar="W,W,W",
    help="Build TARGET at these widths, take some steps at each, and say what depends on the width: "
    "64,128,256. TARGET is called with the width; of a configuration the hidden size is scaled.",
)  # fmt: skip
@click.option(
    "--optimizer", metavar="NAME",
    help="With --widths: adam, sgd, or FILE.py:FUNCTION, from the model to its optimiser.  [default: adam]",
)  # fmt: skip
@click.option("--steps", type=click.IntRange(min=1), help="With --widths: steps to take.  [default: 3]")
@click.option("--draws", type=click.IntRange(min=1), help="With --widths: models a width.  [default: 3]")
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
    tier: str,
    lr: float | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    baseline: Path | None,
    widths: str | None,
    optimizer: str | None,
    steps: int | None,
    draws: int | None,
    *,
    initialise: bool,
    fix: bool,
    update_baseline: bool,
    predict_only: bool,
) -> int:
    """Run the model at TARGET once, forward and backward, and say what is wrong with its weights.

    The weights are those that the model's own code draws. --policy and --set say how fanin would
    initialise it, which --init then carries out before the check.
    """
    from fanin.checks import baseline as known  # noqa: PLC0415
    from fanin.checks import runner  # noqa: PLC0415
    from fanin.cli import places, session  # noqa: PLC0415 - loads torch, which --help must not
    from fanin.cli import widths as at_widths  # noqa: PLC0415
    from fanin.reports.report import Report  # noqa: PLC0415
    from fanin.reports.sarif import sarif  # noqa: PLC0415
    from fanin.reports.terminal import show as print_report  # noqa: PLC0415
    from fanin.torch import apply_  # noqa: PLC0415
    from fanin.torch import check as check_model  # noqa: PLC0415

    several = (widths, optimizer, steps, draws)
    if widths is None and several != (None,) * 4:
        raise click.UsageError(
            "--optimizer, --steps and --draws are for several models: use them with --widths"
        )
    if widths is not None and (initialise or fix or predict_only or tier != "standard"):
        raise click.UsageError(
            "--widths checks the weights that TARGET draws, in a way of its own: leave --init, --fix, --tier "
            "and --predict-only out"
        )
    if predict_only:
        wanted = session.Wishes(policy=policy, seed=seed, rules=rules, priors=priors)
        return _foretold(session.planned(target, inputs, batch, wanted, memory=False), form)
    if (rules or priors or policy != "auto") and not initialise:
        raise click.UsageError(
            "--policy, --set and --class-prior say how to initialise: use them with --init or --predict-only"
        )
    if update_baseline and baseline is None:
        raise click.UsageError("--update-baseline needs --baseline FILE")
    runner.chosen(_codes(select), _codes(ignore))
    accepted = known.read(baseline) if baseline is not None and not update_baseline else frozenset()
    chosen: dict[str, Any] = {"seed": seed, "lr": lr, "select": _codes(select), "ignore": _codes(ignore)}
    if widths is not None:
        asked = at_widths.Asked(widths=widths, optimizer=optimizer, steps=steps, draws=draws)
        with show.talk():
            report, data = at_widths.check(target, inputs, batch, asked, **chosen)
    else:
        if initialise:
            wanted = session.Wishes(policy=policy, seed=seed, rules=rules, priors=priors)
            made = session.planned(target, inputs, batch, wanted)
            apply_(made.model, made.plan)
            model, data = made.model, made.batch
        else:
            model, data = session.prepared(target, inputs, batch, seed=seed)
        show.progress("measuring one pass, forward and backward")
        with show.talk():
            report = check_model(model, *data.inputs, target=data.target, tier=tier, fix=fix, **chosen)
    show.progress("")
    trace = replace(report.diagnosis.trace, source=data.source)
    told = replace(report.diagnosis, trace=trace, origin=places.origin(target))
    if update_baseline and baseline is not None:
        show.note(f"wrote {show.said_size(known.write(baseline, told))}")
        accepted = known.read(baseline)
    if gone := known.stale(told, accepted):
        show.note(f"{known.stale_said(gone)}; --update-baseline writes it anew")
    report = Report(known.accept(told, accepted) if accepted else told)
    if html is not None:
        saved = report.save(html)
        show.note(f"wrote {show.said_size(saved)}")
    if form == "json":
        show.data(report.to_json().rstrip("\n"))
    elif form == "sarif":
        show.data(sarif(report.diagnosis).rstrip("\n"))
    else:
        print_report(report.diagnosis, sys.stdout)
    worst = max((_LEVELS.index(str(f.severity)) for f in report.findings), default=-1)
    return int(worst >= _LEVELS.index(fail_on))


def _foretold(made: Planned, form: str) -> int:
    """Print the prediction for a plan."""
    from fanin.records import codec  # noqa: PLC0415
    from fanin.torch.predict import predict  # noqa: PLC0415

    if form == "sarif":
        raise click.UsageError("a prediction has no findings: use --format text or json")
    with show.talk():
        found = predict(made.model, *made.batch.inputs, plan=made.plan)
    show.data(codec.to_json(found).rstrip("\n") if form == "json" else str(found))
    return 0


def _codes(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Codes that were given one by one, or with commas."""
    return tuple(code.strip() for text in texts for code in text.split(",") if code.strip())
