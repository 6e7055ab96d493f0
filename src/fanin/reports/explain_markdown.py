"""An explanation as Markdown, for pages and pull requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fanin.records.explanation import Explanation, Number, Table

__all__ = ["explanation_markdown", "plain"]

_MARKUP = "\\`*_{}[]<>#|~$"


def explanation_markdown(told: Explanation, *, level: int = 1, pictures: Sequence[str] = ()) -> str:
    r"""Write an explanation as CommonMark with tables.

    Parameters
    ----------
    told
        What to write.
    level
        Of the first heading.
    pictures
        Addresses of pictures of its charts, in their order; charts beyond them are left out.

    Returns
    -------
    str
        A text that ends with a line feed.

    Examples
    --------
    >>> print(explanation_markdown(Explanation(title="a_b", kind="scheme", law="w = 0")), end="")
    # a\_b
    <BLANKLINE>
    **w = 0**
    """
    return "\n\n".join(_parts(told, level, pictures)) + "\n"


def _parts(told: Explanation, level: int, pictures: Sequence[str]) -> Iterator[str]:
    head = "#" * level
    yield f"{head} {plain(told.title)}"
    yield f"**{plain(told.law)}**"
    if told.summary:
        yield plain(told.summary)
    for chart, picture in zip(told.charts, pictures, strict=False):
        yield f"![{plain(chart.title)}]({picture})"
    if told.numbers:
        yield _numbers(told.numbers)
    for place, step in enumerate(told.steps, 1):
        yield f"{head}# {place}. {plain(step.title)}"
        yield plain(step.text)
        if step.numbers:
            yield _numbers(step.numbers)
    for table in told.tables:
        yield f"{head}# {plain(table.title)}"
        yield _table(table)
        if table.note:
            yield plain(table.note)
    for title, texts in (("Notes", told.notes), ("References", told.references)):
        if texts:
            yield f"{head}# {title}"
            yield "\n".join(f"- {plain(text)}" for text in texts)


def plain(text: str) -> str:
    """Make markup of a plain text harmless; text between backticks stays code."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:
        return _escaped("`".join(parts))
    return "".join(f"`{part}`" if i % 2 else _escaped(part) for i, part in enumerate(parts))


def _escaped(text: str) -> str:
    return "".join(f"\\{mark}" if mark in _MARKUP else mark for mark in text)


def _numbers(numbers: Sequence[Number]) -> str:
    rows = [
        (one.name, str(one), "; ".join(p for p in (f"= {one.formula}" if one.formula else "", one.note) if p))
        for one in numbers
    ]
    return _grid(("", "value", ""), [tuple(plain(cell) for cell in row) for row in rows])


def _table(table: Table) -> str:
    rows = [
        tuple(f"**{plain(cell)}**" if (r, c) in table.marked else plain(cell) for c, cell in enumerate(row))
        for r, row in enumerate(table.rows)
    ]
    return _grid([plain(cell) for cell in table.header], rows)


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
