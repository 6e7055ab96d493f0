"""The demo's six steps: what is printed between them, and the page at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from fanin.cli import output as show
from fanin.errors import OutputError, explain
from fanin.experiments import data as samples
from fanin.experiments import deep_relu
from fanin.experiments.data import Data
from fanin.experiments.deep_relu import Settings
from fanin.records import codec
from fanin.records.study import Arm, Study
from fanin.reports.figures import count, plural
from fanin.reports.report import Report
from fanin.reports.study import closing, page, table
from fanin.reports.terminal import brief

__all__ = ["walk"]

_DEFAULT, _FANIN = "PyTorch's default", "fanin"


def walk(settings: Settings, name: str, html: Path) -> Study:
    """Run the demo, tell it on stdout, and write its page."""
    if html.suffix.lower() != ".html" or not html.absolute().parent.is_dir():
        raise OutputError(
            explain(
                "The demo's page cannot be written",
                received=html,
                rule="It is an .html file in a folder that exists",
            )
        )
    # Matrices this small are faster on one thread than shared out, and the sums come out the same everywhere.
    torch.set_num_threads(1)
    data = samples.load(name)
    _step(1, "A network that should learn")
    model = deep_relu.network(settings, data, seed=0)
    weights = count(sum(p.numel() for p in model.parameters()))
    _tell(f"{type(model).__name__}: {settings.layers} weight layers of {settings.width} units, ReLU between,")
    _tell(f"no normalisation; {weights} weights.")
    _tell(f"Data: {data}.")

    _step(2, f"{_DEFAULT}, checked before any training")
    before = _examined(model, data)

    _step(3, "What fanin would give it")
    width = show.table_width()
    cured, plan = deep_relu.initialised(settings, data, seed=0)
    show.data(_indented(plan.table(width=None if width is None else max(40, width - 3))))

    _step(4, "After fanin.torch.init_(model, batch), checked again")
    after = _examined(cured, data)

    recipe = settings.recipe
    rate = f"{recipe.learning_rate:g}"
    _step(5, f"Both trained, {plural(settings.seeds, 'seed')} each")
    _tell(f"SGD, learning rate {rate}, momentum {recipe.momentum:g}, batches of {recipe.batch},")
    _tell(f"{plural(recipe.epochs, 'epoch')}; the same batches in the same order for both.")
    start = time.perf_counter()
    ends = (
        (_DEFAULT, before, lambda seed: deep_relu.network(settings, data, seed=seed)),
        (_FANIN, after, lambda seed: deep_relu.initialised(settings, data, seed=seed)[0]),
    )
    arms = tuple(
        Arm(
            name=kind,
            diagnosis=report.diagnosis,
            curves=deep_relu.run(settings, data, build, after_epoch=_ticker(kind, settings)),
        )
        for kind, report, build in ends
    )
    seconds = time.perf_counter() - start
    show.progress("")
    study = Study(
        title=f"A ReLU network of {settings.layers} layers on real digits",
        data=str(data),
        chance=data.chance,
        settings=_settings(settings, name),
        arms=arms,
        seconds=seconds,
    )
    show.data("\n" + _indented(table(study)))
    _tell(f"{2 * settings.seeds} runs in {seconds:.0f} s.")

    _step(6, "The whole story as a page")
    there = html.exists()
    saved = codec.write_text(html, page(study))
    _tell(f"{saved.absolute()}")
    show.note(f"{'replaced' if there else 'wrote'} {show.said_size(saved)}")
    show.data("\n" + closing(study))
    return study


def _settings(settings: Settings, name: str) -> tuple[tuple[str, str], ...]:
    recipe = settings.recipe
    command = (
        f"fanin demo --data {name} --layers {settings.layers} --width {settings.width} "
        f"--seeds {settings.seeds} --epochs {recipe.epochs} --learning-rate {recipe.learning_rate:g}"
    )
    return (
        ("optimiser", f"SGD, learning rate {recipe.learning_rate:g}, momentum {recipe.momentum:g}"),
        ("batches", f"{recipe.batch} samples, the same order for both"),
        ("epochs", str(recipe.epochs)),
        ("seeds", ", ".join(map(str, range(settings.seeds)))),
        ("threads", str(torch.get_num_threads())),
        ("command", command),
    )


def _examined(model: deep_relu.DeepReLU, data: Data) -> Report:
    report = deep_relu.examine(model, data)
    brief(report.diagnosis, sys.stdout, margin="   ")
    return report


def _ticker(kind: str, settings: Settings) -> Callable[[int, int], None]:
    return lambda seed, epoch: show.progress(
        f"   {kind}: seed {seed + 1} of {settings.seeds}, epoch {epoch} of {settings.recipe.epochs}"
    )


def _step(number: int, title: str) -> None:
    show.data(f"{'' if number == 1 else chr(10)}{number}  {title}")


def _tell(text: str) -> None:
    show.data(f"   {text}")


def _indented(text: str) -> str:
    return "\n".join(f"   {line}".rstrip() for line in text.splitlines())
