"""A study as one HTML file, in the dress of the report: what is shown, the charts, the tables, the basis."""

from __future__ import annotations

import math
from typing import Any

from fanin.records.study import Arm, Factor, Study, Tuned
from fanin.reports import outcome_charts as charts
from fanin.reports.chart_frame import as_data
from fanin.reports.figures import plural, short
from fanin.reports.html import chart, document
from fanin.reports.markup import Cell, element, section, table
from fanin.reports.outcome_text import ARMS, arm_row, factor_row
from fanin.reports.ranking import ranked, scored, unit, verdict

__all__ = ["outcome_page"]


def outcome_page(study: Study) -> str:
    """Write a study as one self-contained HTML document.

    Parameters
    ----------
    study
        A comparison, or what tuning found.

    Raises
    ------
    InputError
        Plotly is not installed.
    """
    drawn: dict[str, Any] = {
        f"factor{place}": charts.factor_chart(one) for place, one in enumerate(study.tuned)
    }
    drawn |= {"learning": charts.learning_chart(study), "gap": charts.gap_chart(study)}
    figures = {name: as_data(figure) for name, figure in drawn.items() if figure is not None}
    parts = [
        _top(study),
        *(_tuned(one, f"factor{place}") for place, one in enumerate(study.tuned)),
        _arms(study, gap="gap" in figures) if study.arms else "",
        _learning() if "learning" in figures else "",
        _rates(study),
        _start(study),
        _basis(study),
    ]
    return document(f"{study.title} · fanin", "\n".join(part for part in parts if part), figures)


def _top(study: Study) -> str:
    shown = any(one.shown for one in study.contrasts) or any(one.chosen != 1.0 for one in study.tuned)
    tone, word = ("healthy", "SHOWN") if shown else ("info", "NOT SHOWN")
    if study.tuned:
        tone, word = ("healthy", "TUNED") if shown else ("info", "AS IT IS")
    mark = " %" if study.score == "accuracy" else ""
    tiles = "".join(
        f'<div class="tile">{element("div", scored(study, arm.mean) + mark, "figure")}'
        f"{element('div', arm.name, 'what')}</div>"
        for arm in ranked(study)[:6]
    )
    return (
        '<p class="eyebrow"><b>fanin</b> &nbsp;the same model and data, begun in different ways</p>'
        f"{element('h1', study.title)}"
        f'<div class="verdict is-{tone}" role="status">{element("span", word, "word")}'
        f"{element('span', verdict(study), 'said')}</div>"
        f'<div class="tiles">{tiles}</div>'
    )


def _arms(study: Study, *, gap: bool) -> str:
    rows = [_arm_cells(study, arm) for arm in ranked(study)]
    seeds = plural(len(study.arms[0].curves), "seed")
    lead = f"{unit(study).capitalize()}, mean of {seeds}, the best first. Arms are compared seed by seed."
    target = "" if study.target is None else f" Steps: until the validation loss is {short(study.target, 3)}."
    below = (
        "Intervals and p-values: paired t-test, p by Holm for the number of pairs; shown means p below 0.05. "
        f"First loss: by law / measured on the first batch.{target} {study.data}."
    )
    figure = chart("gap", "difference of each arm to the best") + '<div class="gap"></div>' if gap else ""
    return section("Scores", lead, figure + table(ARMS, rows, label="scores of all arms"), below)


def _arm_cells(study: Study, arm: Arm) -> tuple[Cell, ...]:
    texts = arm_row(study, arm)
    numbers = {1: arm.mean}
    right = {1, 2, 3, 4, 5, 7, 8, 9}
    return tuple(
        Cell(text=text, value=numbers.get(place), css="name" if place == 0 else "n" if place in right else "")
        for place, text in enumerate(texts)
    )


def _tuned(one: Tuned, figure: str) -> str:
    weights = "all weights that are summed over" if one.group == "all" else f"the {one.group}"
    folds = plural(len(one.factors[0].losses), "fold")
    lead = (
        f"Validation loss at the end, mean of {folds}, over the factor on the std of {weights} "
        f"({plural(one.tensors, 'tensor')})."
    )
    below = (
        "Bars are standard errors; the band is one around the best mean. Of the factors in it the one "
        "nearest to 1 is chosen, so that the plan stays as it is unless the data speak against it."
    )
    header = ("factor", "loss", "standard error", "steps", "what became of it")
    rows = [_factor_cells(one, factor) for factor in one.factors]
    drawing = chart(figure, "cross-validated loss over the factor") + '<div class="gap"></div>'
    return section(f"Factor on {weights}", lead, drawing + table(header, rows, label="factors"), below)


def _factor_cells(one: Tuned, factor: Factor) -> tuple[Cell, ...]:
    values = (factor.factor, factor.mean, factor.error, float(factor.steps), None)
    return tuple(
        Cell(
            text=text,
            value=value if value is not None and math.isfinite(value) else None,
            css="n" if place < 4 else "",
        )
        for place, (text, value) in enumerate(zip(factor_row(one, factor), values, strict=True))
    )


def _learning() -> str:
    lead = "Validation loss while training. Lines are means, bands the lowest and the highest of the seeds."
    return section("Training", lead, chart("learning", "validation loss by step"))


def _rates(study: Study) -> str:
    if not any(arm.rates for arm in study.arms):
        return ""
    rows = [
        (
            Cell(text=arm.name, css="name"),
            Cell(text=short(rate.learning_rate, 3), value=rate.learning_rate, css="n"),
            Cell(
                text=short(rate.loss, 4) if math.isfinite(rate.loss) else "diverged",
                value=_number(rate.loss),
                css="n",
            ),
            Cell(text="taken" if arm.curves[0].learning_rate == rate.learning_rate else ""),
        )
        for arm in ranked(study)
        for rate in arm.rates
    ]
    lead = "Each arm has the rate with the smallest mean validation loss; the test data had no say."
    header = ("arm", "learning rate", "validation loss", "taken")
    return section("Learning rates", lead, table(header, rows, label="learning rates"))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _start(study: Study) -> str:
    rows = [
        (Cell(text=arm.name, css="name"), Cell(text=f.code), Cell(text=f.name),
         Cell(text=str(f.severity), css=f"is-{f.severity}"), Cell(text=f.summary, css="wide"))
        for arm in study.arms if arm.start is not None for f in arm.start.findings
    ]  # fmt: skip
    rows += [
        (Cell(text=arm.name, css="name"), Cell(text=""), Cell(text="not checked"), Cell(text=""),
         Cell(text=arm.start.obstacle, css="wide"))
        for arm in study.arms if arm.start is not None and arm.start.obstacle
    ]  # fmt: skip
    if not rows:
        return ""
    lead = "What a check of the first seed's weights found before any training. Arms not listed are healthy."
    return section(
        "At step zero", lead, table(("arm", "code", "finding", "severity", "figures"), rows, label="findings")
    )


def _basis(study: Study) -> str:
    facts = [("data", study.data), *study.settings, ("time", f"{study.seconds:.0f} s")]
    facts += [("note", note) for note in study.notes]
    rows = "".join(f"{element('dt', name)}{element('dd', value)}" for name, value in facts)
    return section("Basis", "What ran, and what to know of it.", f'<dl class="facts">{rows}</dl>')
