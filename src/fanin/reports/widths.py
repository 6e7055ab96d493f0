"""Sizes at several widths: the table of exponents, in text and in HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fanin.records.finding import Diagnosis
from fanin.records.trace import WidthScaling, WidthTrend
from fanin.reports.figures import plural, science, short
from fanin.reports.lines import Line, Piece, table, wrapped
from fanin.reports.markup import Cell, section
from fanin.reports.markup import table as markup_table

__all__ = ["width_lines", "width_section"]

_ROWS = 48
"""The most rows of a table: beyond, those that depend most on the width."""

_QUANTITIES = {"activation": "output", "update": "change"}


def width_lines(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    """Lay the exponents out as lines; nothing without several widths."""
    seen = diagnosis.trace.scaling
    if seen is None:
        return
    head = f"Widths  {_lead(seen)}"
    for place, text in enumerate(wrapped(head, width, rest="  ")):
        yield (Piece("Widths", "bold"), Piece(text[6:], "dim")) if place == 0 else (Piece(text, "dim"),)
    shown = _shown(seen)
    header = ("layer", "of its", *map(str, seen.widths), "exponent")
    rows = [
        (_name(t), _QUANTITIES[t.quantity], *(short(size) for size in t.sizes), _exponent(t)) for t in shown
    ]
    inner = range(3, len(header) - 2)
    if rows:
        yield from table(header, rows, width, drop=tuple(inner))
    for note in (*_more(seen, shown), *seen.notes):
        for text in wrapped(note, width, first="  ", rest="    "):
            yield (Piece(text, "dim"),)


def width_section(diagnosis: Diagnosis) -> str:
    """The exponents as a section of the page; "" without several widths."""
    seen = diagnosis.trace.scaling
    if seen is None:
        return ""
    shown = _shown(seen)
    header = ("layer", "of its", *(f"at {width}" for width in seen.widths), "exponent", "± ")
    rows = [
        (
            Cell(text=_name(t), css="name"),
            Cell(text=_QUANTITIES[t.quantity]),
            *(Cell(text=science(size, 3), value=size, css="n") for size in t.sizes),
            Cell(text=f"{t.exponent:.2f}", value=t.exponent, css="n"),
            Cell(text=f"{t.error:.2f}", value=t.error, css="n"),
        )
        for t in shown
    ]
    lead = f"{_lead(seen)[0].upper()}{_lead(seen)[1:]}."
    below = "; ".join((*_more(seen, shown), *seen.notes))
    return section("Several widths", lead, markup_table(header, rows, label="sizes by width"), below)


def _lead(seen: WidthScaling) -> str:
    return (
        "root mean square of each layer's output, and of what the steps change of it, at each width, and "
        f"the exponent of the width that it goes with; {plural(seen.draws, 'draw')} of each, "
        f"{plural(seen.steps, 'step')} of {seen.optimizer}"
    )


def _shown(seen: WidthScaling) -> Sequence[WidthTrend]:
    if len(seen.trends) <= _ROWS:
        return seen.trends
    return sorted(seen.trends, key=lambda t: -abs(t.exponent))[:_ROWS]


def _more(seen: WidthScaling, shown: Sequence[WidthTrend]) -> Iterator[str]:
    left = len(seen.trends) - len(shown)
    if left:
        yield f"{plural(left, 'more row')}, which depend less on the width; the JSON report holds all"


def _name(trend: WidthTrend) -> str:
    return f"{trend.name} (output)" if trend.head and trend.name else trend.name or "the output"


def _exponent(trend: WidthTrend) -> str:
    return f"{trend.exponent:.2f} ± {trend.error:.2f}"
