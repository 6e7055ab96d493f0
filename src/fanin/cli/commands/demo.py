"""``fanin demo``: the whole way in two minutes, on real data."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["demo"]


@click.command(short_help="A deep ReLU network on real digits: sick, cured, trained side by side.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("fanin-demo.html"),
    show_default=True,
    help="The page to write; it replaces an older one.",
)
@click.option(
    "--data",
    "name",
    type=click.Choice(["digits", "mnist"]),
    default="digits",
    show_default=True,
    help="Real images, from installed packages.",
)
@click.option("--layers", type=click.IntRange(2, 200), default=30, show_default=True, help="Weight layers.")
@click.option(
    "--width", type=click.IntRange(8, 2048), default=128, show_default=True, help="Units of a hidden layer."
)
@click.option(
    "--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Training runs of each kind."
)
@click.option("--epochs", type=click.IntRange(1, 1000), default=20, show_default=True, help="Of each run.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0.0, min_open=True),
    default=0.002,
    show_default=True,
    help="Of all runs.",
)
def demo(
    html: Path, name: str, layers: int, width: int, seeds: int, epochs: int, learning_rate: float
) -> None:
    """Repeat He et al. 2015 in small: a deep ReLU network that does not learn, and why.

    The check finds the fault before training, fanin cures it, and both networks train side by side.
    All numbers come from this run; nothing is downloaded.
    """
    from fanin.cli import tour  # noqa: PLC0415 - loads torch, which --help must not
    from fanin.experiments.deep_relu import Settings  # noqa: PLC0415
    from fanin.experiments.train import Recipe  # noqa: PLC0415

    recipe = Recipe(epochs=epochs, learning_rate=learning_rate)
    tour.walk(Settings(layers=layers, width=width, seeds=seeds, recipe=recipe), name, html)
