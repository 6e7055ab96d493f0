"""``fanin audit``: are the weights what a plan or a convention declares."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fanin.cli import output as show
from fanin.cli.options import form

__all__ = ["audit"]

_LEVELS = ("info", "warning", "failure")


@click.command(short_help="Compare a model's weights with a plan or a convention, tensor by tensor.")
@click.argument("target")
@click.option(
    "--against",
    default="auto",
    show_default=True,
    metavar="POLICY|PLAN.json",
    help="What is declared: a saved plan, or a policy such as auto, he, gpt2, llama, timm-vit, hf-0.02.",
)
@click.option(
    "--input",
    "-i",
    "inputs",
    multiple=True,
    metavar="[NAME=]SIZES[:DTYPE]",
    help="An input to make up, as for fanin plan; not needed with a saved plan.",
)
@click.option("--batch", "-b", metavar="FILE.py:FUNCTION", help="A function that returns the batch.")
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**64 - 1),
    help="Of the model's own draws, and of the policy's.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE.safetensors",
    help="Compare these weights in place of those that the model's own code draws.",
)
@click.option("--why", metavar="TENSOR", help="Every test of one tensor.")
@click.option("--unfold", is_flag=True, help="A line for every tensor, also in repeated blocks.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the audit as one HTML page."
)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Save it as JSON too.")
@click.option(
    "--fail-on",
    type=click.Choice(_LEVELS),
    default="warning",
    show_default=True,
    help="Exit with 1 when a tensor differs with this severity or worse.",
)
@form
def audit(
    target: str,
    against: str,
    inputs: tuple[str, ...],
    batch: str | None,
    seed: int,
    weights: Path | None,
    why: str | None,
    unfold: bool,  # noqa: FBT001 - a command's options are its parameters
    html: Path | None,
    output: Path | None,
    fail_on: str,
    form: str,
) -> int:
    """Compare the weights of the model at TARGET with what is declared for them.

    Each tensor's std, mean, distribution and bounds are tested, constants are compared exactly, and what
    was never initialised, left at a framework's default or copied between layers is named.
    """
    from fanin.cli import checkpoint, session, targets  # noqa: PLC0415 - loads torch, which --help must not
    from fanin.records.plan import Plan  # noqa: PLC0415
    from fanin.reports.audit_text import audit_lines  # noqa: PLC0415
    from fanin.reports.terminal import write_lines  # noqa: PLC0415
    from fanin.torch import audit as audit_model  # noqa: PLC0415

    saved = Plan.load(against) if against.endswith(".json") else None
    if saved is not None:
        show.progress(f"building {target}")
        with show.talk():
            model, given = targets.load(target, seed=seed), ()
    else:
        model, data = session.prepared(target, inputs, batch, seed=seed)
        given = data.inputs
    if weights is not None:
        checkpoint.load(model, weights)
    show.progress("comparing")
    with show.talk():
        found = audit_model(model, *given, against=saved or against, seed=seed)
    show.progress("")
    if html is not None:
        from fanin.records import codec  # noqa: PLC0415
        from fanin.reports.audit_html import audit_page  # noqa: PLC0415

        show.note(f"wrote {show.said_size(codec.write_text(html, audit_page(found)))}")
    if output is not None:
        show.note(f"wrote {show.said_size(found.save(output))}")
    if why:
        show.data(found.why(why))
    elif form == "json":
        show.data(found.to_json().rstrip("\n"))
    elif unfold:
        show.data(found.table(fold=False, width=show.table_width()))
    else:
        write_lines(lambda width: audit_lines(found, width=width), sys.stdout)
    worst = max((_LEVELS.index(str(line.severity)) for line in found.faulty), default=-1)
    return int(worst >= _LEVELS.index(fail_on))
