"""An explanation as lines of text, for terminals and pipes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from fanin.records.explanation import Explanation, Number, Table
from fanin.reports.lines import Line, Piece, to_ascii, wrapped

__all__ = ["explanation_lines", "explanation_text"]

_WIDTH = 100

_FORMULAS = str.maketrans(
    {
        "·": "*", "Σ": "sum ", "Π": "product ", "∫": "integral ", "φ": "pdf", "Φ": "cdf", "π": "pi",
        "μ": "mu", "³": "^3", "⁴": "^4", "ᵀ": "^T", "ℓ": "l",
    }
)  # fmt: skip
"""Of formulas in ASCII; in other reports a raised dot is a mere dash."""


def explanation_lines(told: Explanation, *, width: int = _WIDTH) -> tuple[Line, ...]:
    """Lay out an explanation in lines of at most `width` columns; only tables may be wider."""
    return tuple(_all(told, width))


def explanation_text(told: Explanation, *, width: int = _WIDTH, stream: TextIO | None = None) -> str:
    """An explanation as text; for a `stream` whose encoding is small, with ASCII in place of symbols."""
    text = "\n".join(
        "".join(piece.text for piece in line).rstrip() for line in explanation_lines(told, width=width)
    )
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return to_ascii(text.translate(_FORMULAS))
    return text


def _all(told: Explanation, width: int) -> Iterator[Line]:
    yield (Piece(told.title, "bold"), Piece(f"  ({told.kind})", "dim"))
    yield from _prose(told.law, width, "  ", "fix")
    yield from _prose(told.summary, width, "  ")
    if told.numbers:
        yield ()
        yield from _numbers(told.numbers, "  ", width)
    for place, step in enumerate(told.steps, 1):
        yield ()
        yield (Piece(f"{place}. {step.title}", "bold"),)
        yield from _prose(step.text, width, "   ")
        yield from _numbers(step.numbers, "     ", width)
    for table in told.tables:
        yield ()
        yield (Piece(table.title, "bold"),)
        yield from _table(table, width)
        yield from _prose(table.note, width, "  ", "dim")
    for title, texts in (("Notes", told.notes), ("References", told.references)):
        if texts:
            yield ()
            yield (Piece(title, "bold"),)
            for text in texts:
                yield from ((Piece(line),) for line in wrapped(text, width, first="  - ", rest="    "))


def _prose(text: str, width: int, margin: str, style: str = "") -> Iterator[Line]:
    if text:
        yield from ((Piece(line, style),) for line in wrapped(text, width, first=margin, rest=margin))


def _numbers(numbers: Sequence[Number], margin: str, width: int) -> Iterator[Line]:
    names = max((len(one.name) for one in numbers), default=0)
    values = max((len(str(one)) for one in numbers), default=0)
    for one in numbers:
        head = f"{margin}{one.name.ljust(names)}  {str(one).ljust(values)}"
        tail = "  ".join(part for part in (f"= {one.formula}" if one.formula else "", one.note) if part)
        if len(head) + 2 + len(tail) > width and one.formula and one.note:
            yield (Piece(head), Piece(f"  = {one.formula}", "dim"))
            yield (Piece(" " * (len(head) + 4)), Piece(one.note, "dim"))
        else:
            yield (Piece(head), Piece(f"  {tail}" if tail else "", "dim"))


def _table(table: Table, width: int) -> Iterator[Line]:
    """The table, turned on its side if that makes it fit."""
    grid = [list(table.header), *(list(row) for row in table.rows)]
    marked = {(row + 1, column) for row, column in table.marked}
    if _needs(grid, marked) > width:
        sideways = [list(column) for column in zip(*grid, strict=True)]
        turned = {(column, row) for row, column in marked}
        if _needs(sideways, turned) < _needs(grid, marked):
            grid, marked = sideways, turned
    sizes = _sizes(grid, marked)
    for r, row in enumerate(grid):
        pieces = [Piece("  ")]
        for c, cell in enumerate(row):
            mark = (r, c) in marked
            text = f"{cell} *" if mark else cell
            style = "warning" if mark else "dim" if r == 0 else ""
            pieces.append(Piece(text.ljust(sizes[c]) + "  ", style))
        yield tuple(pieces)


def _sizes(grid: Sequence[Sequence[str]], marked: set[tuple[int, int]]) -> list[int]:
    return [
        max(len(row[c]) + 2 * ((r, c) in marked) for r, row in enumerate(grid)) for c in range(len(grid[0]))
    ]


def _needs(grid: Sequence[Sequence[str]], marked: set[tuple[int, int]]) -> int:
    return sum(_sizes(grid, marked)) + 2 * len(grid[0])
