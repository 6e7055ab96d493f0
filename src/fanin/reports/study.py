"""A comparison of ways to begin: a table for the terminal, one page for the browser."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from fanin.errors import InputError, explain
from fanin.records.finding import Diagnosis
from fanin.records.study import Arm, Study
from fanin.records.table import render
from fanin.reports import charts
from fanin.reports.html import chart, document, signal_section
from fanin.reports.markup import Cell, element, escaped, section
from fanin.reports.markup import table as markup_table
from fanin.reports.sections import findings, plan, verdict_line

__all__ = ["closing", "page", "table"]

_ROWS = 6
"""Epochs that a table shows, evenly chosen: the first and the last are among them."""


def table(study: Study) -> str:
    """Test accuracy after some epochs: the mean over seeds, and the lowest and highest."""
    header = ("epoch", *(arm.name for arm in study.arms))
    lines = [(str(epoch), *(_accuracy(arm, epoch) for arm in study.arms)) for epoch in _epochs(study)]
    seeds = len(study.arms[0].curves)
    spread = ", mean of the seeds (lowest–highest)" if seeds > 1 else ""
    guess = f"always guessing one class: {100 * study.chance:.1f}"
    return f"test accuracy in %{spread}\n{render(header, lines)}\n{guess}"


def closing(study: Study) -> str:
    """One sentence on how it ended, from the figures alone."""
    first, last = study.arms[0], study.arms[-1]
    a, b = (_mean(arm, len(arm.curves[0].accuracy)) for arm in (first, last))
    chance = f"guessing is {100 * study.chance:.1f} %"
    return f"{first.name} ends at {100 * a:.1f} % accuracy, {last.name} at {100 * b:.1f} % ({chance})."


def _epochs(study: Study) -> list[int]:
    total = len(study.arms[0].curves[0].accuracy)
    if total <= _ROWS:
        return list(range(1, total + 1))
    return sorted({1 + round(i * (total - 1) / (_ROWS - 1)) for i in range(_ROWS)})


def _at(arm: Arm, epoch: int) -> list[float]:
    return [curve.accuracy[epoch - 1] for curve in arm.curves]


def _mean(arm: Arm, epoch: int) -> float:
    return statistics.fmean(_at(arm, epoch))


def _accuracy(arm: Arm, epoch: int) -> str:
    values = [100 * value for value in _at(arm, epoch)]
    between = f" ({min(values):.1f}–{max(values):.1f})" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{between}"


def page(study: Study) -> str:
    """Write the story as one HTML document: before, after, and how both learned."""
    drawn: dict[str, Any] = {"curves": charts.curves(study)}
    parts = [_top(study), _curves(study)]
    within = [value for arm in study.arms for value in charts.reach(_checked(arm))]
    for place, arm in enumerate(study.arms):
        name = f"signal{place}"
        drawn[name] = charts.signal(_checked(arm), within=within)
        parts.append(_arm(arm, name if drawn[name] is not None else ""))
    parts += [plan(_checked(study.arms[-1])), _basis(study)]
    figures = {name: charts.as_data(figure) for name, figure in drawn.items() if figure is not None}
    return document(f"{study.title} · fanin", "\n".join(parts), figures)


def _top(study: Study) -> str:
    last = [(arm, len(arm.curves[0].accuracy)) for arm in study.arms]
    tiles = "".join(
        f'<div class="tile">{element("div", f"{100 * _mean(arm, epoch):.1f} %", "figure")}'
        f"{element('div', f'accuracy with {arm.name}', 'what')}</div>"
        for arm, epoch in last
    )
    guess = (
        f'<div class="tile">{element("div", f"{100 * study.chance:.1f} %", "figure")}'
        f"{element('div', 'accuracy of always guessing one class', 'what')}</div>"
    )
    return (
        '<p class="eyebrow"><b>fanin</b> &nbsp;the same network, begun in different ways</p>'
        f"{element('h1', study.title)}{element('p', closing(study), 'said')}"
        f'<div class="tiles">{tiles}{guess}</div>'
    )


def _curves(study: Study) -> str:
    seeds = len(study.arms[0].curves)
    lead = "Test accuracy after each epoch. Lines are means, bands the lowest and highest of the seeds."
    rows = [
        [Cell(text=str(epoch), value=float(epoch), css="n"), *(_cell(arm, epoch) for arm in study.arms)]
        for epoch in _epochs(study)
    ]
    header = ("epoch", *(f"{arm.name}, %" for arm in study.arms))
    below = f"{study.data}. {seeds * len(study.arms)} runs in {study.seconds:.0f} s."
    inside = (
        chart("curves", "test accuracy by epoch")
        + '<div class="gap"></div>'
        + markup_table(header, rows, label="test accuracy by epoch")
    )
    return section("Training", lead, inside, below)


def _cell(arm: Arm, epoch: int) -> Cell:
    return Cell(text=_accuracy(arm, epoch), value=_mean(arm, epoch), css="n")


def _arm(arm: Arm, figure: str) -> str:
    diagnosis = _checked(arm)
    told = f"<section><h2>At step zero: {escaped(arm.name)}</h2>{verdict_line(diagnosis)}"
    signal = signal_section(diagnosis, figure) if figure else ""
    return f"{told}{_inner(findings(diagnosis))}{_inner(signal)}</section>"


def _checked(arm: Arm) -> Diagnosis:
    """The check of an arm, which this page is made of."""
    if arm.diagnosis is None:
        raise InputError(
            explain(
                "The page shows each way to begin as it was checked",
                received=f"'{arm.name}' without a diagnosis",
                remedy="Use fanin.reports.outcome.Outcome for a study that keeps none",
            )
        )
    return arm.diagnosis


def _inner(markup: str) -> str:
    """A section within a section: its heading is one level down."""
    return markup.replace("<h2>", '<h3 class="inner">').replace("</h2>", "</h3>")


def _basis(study: Study) -> str:
    facts = [*study.settings, *_environment([_checked(arm) for arm in study.arms])]
    rows = "".join(f"{element('dt', name)}{element('dd', value)}" for name, value in facts)
    lead = "What ran, and how to run it again."
    return section("Basis", lead, f'<dl class="facts">{rows}</dl>')


def _environment(diagnoses: Sequence[Diagnosis]) -> list[tuple[str, str]]:
    return list(diagnoses[-1].environment)
