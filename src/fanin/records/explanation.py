"""What fanin says about a law, an activation, a policy, a check, or a question.

Every figure is a `Number` with the formula that gave it, so a reader can redo it and a test can.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fanin.errors import InputError, explain
from fanin.records.table import render

__all__ = ["Chart", "Curve", "Explanation", "Number", "Step", "Table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One figure: its name, its value, the formula behind it, and a remark."""

    name: str
    value: float
    formula: str = ""
    note: str = ""

    def __str__(self) -> str:
        return f"{self.value:.6g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a derivation: its claim, why it holds, and the figures that it gives."""

    title: str
    text: str
    numbers: tuple[Number, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows side by side; `marked` lists the cells (row, column) that differ from the first row."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: tuple[tuple[int, int], ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.header) for row in self.rows):
            raise InputError(
                explain(
                    "A table's rows are not as long as its header",
                    received=f"{self.title!r}, {len(self.header)} columns",
                )
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A named line through points."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Curves over a common axis; `log` for a logarithmic ordinate."""

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A subject explained, as data.

    Parameters
    ----------
    title, kind
        What is explained, and whether that is a scheme, an activation, a law, a policy, a check or a topic.
    law
        The law as a formula, or the answer in a sentence.
    summary
        What it is for.
    numbers
        Figures of this very case, such as the fans of the shape that was asked for.
    steps
        The derivation.
    tables, charts
        Comparisons, and data of pictures.
    notes
        What else to know, warnings first.
    references
        Paper and equation.
    """

    title: str
    kind: str
    law: str
    summary: str = ""
    numbers: tuple[Number, ...] = ()
    steps: tuple[Step, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()
    references: tuple[str, ...] = ()

    def number(self, name: str) -> float:
        """Look up a figure of this case or of a step by its name.

        Raises
        ------
        InputError
            There is none of that name.
        """
        for one in (*self.numbers, *(n for step in self.steps for n in step.numbers)):
            if one.name == name:
                return one.value
        raise InputError(explain("An explanation has no such number", received=f"{name!r} in {self.title!r}"))

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.title}: {self.law}"
        yield from (line for line in (self.summary,) if line)
        if self.numbers:
            yield from ("", _figures(self.numbers, "  "))
        for place, step in enumerate(self.steps, 1):
            yield from ("", f"{place}. {step.title}", f"   {step.text}")
            if step.numbers:
                yield _figures(step.numbers, "     ")
        for table in self.tables:
            rows = [
                tuple(f"{cell} *" if (r, c) in table.marked else cell for c, cell in enumerate(row))
                for r, row in enumerate(table.rows)
            ]
            yield from ("", table.title, render(table.header, rows))
            yield from (line for line in (table.note,) if line)
        for title, texts in (("Notes", self.notes), ("References", self.references)):
            if texts:
                yield from ("", title, *(f"  {text}" for text in texts))


def _figures(numbers: tuple[Number, ...], margin: str) -> str:
    rows = [(one.name, str(one), f"= {one.formula}" if one.formula else "", one.note) for one in numbers]
    sizes = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        margin + "  ".join((*(row[i].ljust(sizes[i]) for i in range(3)), row[3])).rstrip() for row in rows
    )
