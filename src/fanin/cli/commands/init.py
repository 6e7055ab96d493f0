"""``fanin init``: initial weights as a file, with the plan beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fanin.cli import output as show
from fanin.cli.options import form, model_options
from fanin.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from fanin.records.plan import Plan

__all__ = ["init"]


@click.command(short_help="Write a model's initial weights as safetensors.")
@model_options
@form
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path, dir_okay=False),
    help="The weights, such as model.safetensors; the plan goes beside it, as model.plan.json.",
)  # fmt: skip
@click.option(
    "--plan", "saved", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="PLAN.json",
    help="Carry out this plan, from fanin plan -o or fanin tune -o, with its seed.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def init(
    target: str,
    inputs: tuple[str, ...],
    batch: str | None,
    policy: str,
    seed: int,
    rules: tuple[str, ...],
    priors: tuple[str, ...],
    form: str,
    output: Path,
    saved: Path | None,
    force: bool,  # noqa: FBT001 - a command's options are its parameters
) -> None:
    """Initialise the model at TARGET and write its weights and its plan: both files or neither."""
    from fanin.cli import checkpoint, session, targets  # noqa: PLC0415 - loads torch, which --help must not
    from fanin.records.plan import Plan  # noqa: PLC0415
    from fanin.torch import apply_  # noqa: PLC0415
    from fanin.torch.names import named_tensors  # noqa: PLC0415

    if saved is not None and (inputs or batch or rules or priors or policy != "auto" or seed):
        raise click.UsageError(
            "--plan says everything: it takes no input, policy, rule, prior or seed beside it"
        )
    checkpoint.prepare(output, force=force)
    if saved is not None:
        declared = Plan.load(saved)
        with show.talk():
            model = targets.load(target, seed=declared.seed)
            apply_(model, declared)
        _written(model, declared, output, form)
        return
    wanted = session.Wishes(policy=policy, seed=seed, rules=rules, priors=priors)
    # A configuration's model needs no weights of its own before it gets these.
    made = session.planned(target, inputs, batch, wanted, memory=False)
    for entry in made.plan.unrecognised:
        show.note(f"warning: {entry.name} is not recognised: {entry.reason}")
    show.progress("drawing")
    try:
        apply_(made.model, made.plan, device="cpu")
    except InputError:
        if not any(one.tensor.is_meta for one in named_tensors(made.model)):
            raise
        # A buffer that nobody computes again: the model's own code has to run after all.
        made = session.planned(target, inputs, batch, wanted)
        apply_(made.model, made.plan)
    _written(made.model, made.plan, output, form)


def _written(model: nn.Module, plan: Plan, output: Path, form: str) -> None:
    from fanin.cli import checkpoint  # noqa: PLC0415

    weights, beside = checkpoint.save(model, plan, output)
    show.progress("")
    show.note(plan.summary())
    if form == "json":
        show.data(json.dumps({"weights": str(weights), "plan": str(beside)}))
    else:
        show.data(f"{weights}\n{beside}")
