"""A picture of a model as plain text: one line a box, with the numbers of those that it reads."""

from __future__ import annotations

from fanin.records.graph import Graph
from fanin.records.plan import Plan, Status
from fanin.records.table import render
from fanin.reports.graph_picture import Label, picture

__all__ = ["text"]


def text(graph: Graph, plan: Plan, *, fold: bool = True, width: int | None = None) -> str:
    """Write a model's graph as a table.

    Parameters
    ----------
    graph, plan
        Of the same model.
    fold
        Whether blocks that repeat are written once, indented, with their number.
    width
        Columns; None for as many as it takes.

    Returns
    -------
    str
        One line a box in execution order; `reads` has the numbers of the boxes before it, the stream's
        in brackets where a residual branch joins.

    Examples
    --------
    >>> import fanin.torch, torch
    >>> from fanin.torch.read import read
    >>> model, batch = torch.nn.Linear(4, 2), torch.zeros(1, 4)
    >>> print(text(read(model, batch), fanin.torch.plan(model, batch)))
    box  what           reads  output  parameters
    1    input                 1×4
    2    linear (head)  1      1×2     weight 2×4 N(0, 0.25²); bias 2 0
    Linear: 2 tensors (2 claimed); policy auto, seed 0, stream 1
    """
    drawn = picture(graph, plan, fold=fold)
    number = {box.id: str(i) for i, box in enumerate(drawn.boxes, 1)}
    group_of = {id: group for group in drawn.groups for id in group.boxes}
    reads: dict[int, list[str]] = {box.id: [] for box in drawn.boxes}
    for arrow in drawn.arrows:
        found = number[arrow.start]
        reads[arrow.end].append(f"({found})" if arrow.skips else found)
    lines: list[tuple[str, ...]] = []
    current = None
    for box in drawn.boxes:
        group = group_of.get(box.id)
        if group is not None and group is not current:
            lines.append((f"{group.title}:", "", "", "", "", ""))
        current = group
        indent = "  " if group is not None else ""
        depth = len(group.title.partition(" ×")[0].split(".")) if group is not None else 0
        where = ".".join(box.where.split(".")[depth:])
        what = "+ joins a branch" if box.join else f"{box.title} (head)" if box.head else box.title
        parameters = "; ".join(_label(label) for label in box.labels)
        cells = (what, ", ".join(reads[box.id]), where, box.shape, parameters)
        lines.append((f"{indent}{number[box.id]}", *cells))
    header = ("box", "what", "reads", "where", "output", "parameters")
    return f"{_laid_out(header, lines, width)}\n{drawn.title}"


def _laid_out(header: tuple[str, ...], lines: list[tuple[str, ...]], width: int | None) -> str:
    """The table, with the titles of blocks on lines of their own, which no column is as wide as."""
    titles = {i: line[0] for i, line in enumerate(lines) if line[0].endswith(":")}
    plain = [("", *line[1:]) if i in titles else line for i, line in enumerate(lines)]
    rows = render(header, plain, width=width).splitlines()
    return "\n".join(titles.get(i - 1, row) for i, row in enumerate(rows))


def _label(label: Label) -> str:
    flag = " (unrecognised)" if label.status == Status.UNRECOGNISED else ""
    return f"{label.name} {label.shape} {label.draw}{flag}"
