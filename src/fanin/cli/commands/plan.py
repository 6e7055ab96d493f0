"""``fanin plan``: what every tensor would get, and why."""

from __future__ import annotations

from pathlib import Path

import click

from fanin.cli import output as show
from fanin.cli.options import form, model_options

__all__ = ["plan"]


@click.command(short_help="Show what every tensor of a model would get, and why.")
@model_options
@form
@click.option("--why", metavar="TENSOR", help="Everything behind one tensor's line.")
@click.option("--unfold", is_flag=True, help="A line for every tensor, also in repeated blocks.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Save the plan as JSON too.")
def plan(
    target: str,
    inputs: tuple[str, ...],
    batch: str | None,
    policy: str,
    seed: int,
    rules: tuple[str, ...],
    priors: tuple[str, ...],
    form: str,
    why: str | None,
    unfold: bool,  # noqa: FBT001 - a command's options are its parameters
    output: Path | None,
) -> None:
    """Show what every tensor of the model at TARGET would get, and why. Nothing is changed."""
    from fanin.cli import session  # noqa: PLC0415 - loads torch, which --help must not

    wanted = session.Wishes(policy=policy, seed=seed, rules=rules, priors=priors)
    made = session.planned(target, inputs, batch, wanted, memory=False).plan
    if output is not None:
        saved = made.save(output)
        show.note(f"wrote {show.said_size(saved)}")
    if why:
        show.data(made.why(why))
    elif form == "json":
        show.data(made.to_json().rstrip("\n"))
    else:
        show.data(made.table(fold=not unfold, width=show.table_width()))
