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
@click.option(
    "--graph", "drawing", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Draw the model with its plan: .svg, .png or .pdf by Graphviz (text without it), .dot, .txt.",
)  # fmt: skip
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
    drawing: Path | None,
    output: Path | None,
) -> None:
    """Show what every tensor of the model at TARGET would get, and why. Nothing is changed."""
    from fanin.cli import drawing as pictures  # noqa: PLC0415
    from fanin.cli import session  # noqa: PLC0415 - loads torch, which --help must not

    if drawing is not None:
        pictures.check(drawing)
    wanted = session.Wishes(policy=policy, seed=seed, rules=rules, priors=priors)
    planned = session.planned(target, inputs, batch, wanted, memory=False)
    made = planned.plan
    if drawing is not None:
        show.note(f"drew {show.said_size(pictures.draw(planned.graph, made, drawing, fold=not unfold))}")
    if output is not None:
        saved = made.save(output)
        show.note(f"wrote {show.said_size(saved)}")
    if why:
        show.data(made.why(why))
    elif form == "json":
        show.data(made.to_json().rstrip("\n"))
    else:
        show.data(made.table(fold=not unfold, width=show.table_width()))
