"""A picture of a model as a program for Graphviz."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from fanin.records.graph import Graph
from fanin.records.plan import Plan, Status
from fanin.reports.graph_picture import Box, Label, Picture, picture

__all__ = ["dot"]

_INK = {Status.CLAIMED: "#1b1b1b", Status.KEPT: "#767676", Status.UNRECOGNISED: "#b00020"}
_FILL = {"head": "#fde7c7", "holds": "#e3eefc", "plain": "#f4f4f4"}
_STREAM = "#2b6cb0"


def dot(graph: Graph, plan: Plan, *, fold: bool = True) -> str:
    """Write a model's graph in the language of Graphviz.

    Parameters
    ----------
    graph, plan
        Of the same model.
    fold
        Whether blocks that repeat are drawn once, with their number.

    Returns
    -------
    str
        Blue boxes hold parameters, with what each gets; an orange one is a head; the thick line is a
        residual stream, with a circle where a branch joins it.

    Examples
    --------
    >>> import fanin.torch, torch
    >>> from fanin.torch.read import read
    >>> model, batch = torch.nn.Linear(4, 2), torch.zeros(1, 4)
    >>> print(dot(read(model, batch), fanin.torch.plan(model, batch)).splitlines()[0])
    digraph "Linear" {
    """
    return "\n".join(_lines(picture(graph, plan, fold=fold), graph.model)) + "\n"


def _lines(drawn: Picture, model: str) -> Iterator[str]:
    yield f'digraph "{_quoted(model)}" {{'
    yield f'  graph [label="{_quoted(drawn.title)}", labelloc=b, fontname="Helvetica", fontsize=11,'
    yield "    rankdir=TB, nodesep=0.25, ranksep=0.3];"
    yield '  node [shape=plain, fontname="Helvetica", fontsize=11];'
    yield '  edge [arrowsize=0.6, color="#555555"];'
    inside = {id for group in drawn.groups for id in group.boxes}
    boxes = {box.id: box for box in drawn.boxes}
    for number, group in enumerate(drawn.groups):
        yield f"  subgraph cluster_{number} {{"
        yield f'    label="{_quoted(group.title)}"; labeljust=l; labelloc=t; style="rounded,filled";'
        yield '    color="#b8b8b8"; fillcolor="#fbfbf5";'
        prefix = group.title.partition(" ×")[0]
        for id in group.boxes:
            yield f"    {_box(boxes[id], prefix)}"
        yield "  }"
    for box in drawn.boxes:
        if box.id not in inside:
            yield f"  {_box(box, '')}"
    for arrow in drawn.arrows:
        style = f' [color="{_STREAM}", penwidth=2.2]' if arrow.skips else ""
        yield f"  n{arrow.start} -> n{arrow.end}{style};"
    yield '  out [shape=plaintext, label="output"];'
    for id in drawn.outputs:
        yield f"  n{id} -> out;"
    yield "}"


def _box(box: Box, prefix: str) -> str:
    if box.join:
        return (
            f'n{box.id} [shape=circle, label="+", width=0.28, fixedsize=true, color="{_STREAM}", '
            f'penwidth=1.6, tooltip="{_quoted(box.where)}"];'
        )
    fill = _FILL["head" if box.head else "holds" if box.holds else "plain"]
    where = _within(box.where, prefix)
    rows = [_title_row(box, where)]
    rows += [_label_row(label) for label in box.labels]
    table = (
        f'<table border="0" cellborder="0" cellspacing="0" cellpadding="3" bgcolor="{fill}" '
        f'style="rounded">{"".join(rows)}</table>'
    )
    return f"n{box.id} [label=<{table}>];"


def _title_row(box: Box, where: str) -> str:
    tags = f"<b>{escape(box.title)}</b>" + (" <b>(head)</b>" if box.head else "")
    path = f' <font color="#555555">{escape(where)}</font>' if where else ""
    shape = f' <font color="#888888" point-size="9">{escape(box.shape)}</font>' if box.shape else ""
    return f'<tr><td align="left" colspan="3">{tags}{path}{shape}</td></tr>'


def _label_row(label: Label) -> str:
    ink = _INK[label.status]
    draw = label.draw if label.status != Status.UNRECOGNISED else f"{label.draw} (unrecognised)"
    cells = (label.name, label.shape, draw)
    return "".join(
        [
            "<tr>",
            *(
                f'<td align="left"><font color="{ink}" point-size="9">{escape(cell)}</font></td>'
                for cell in cells
            ),
            "</tr>",
        ]
    )


def _within(path: str, prefix: str) -> str:
    """The path of a module below the block's."""
    depth = len(prefix.split(".")) if prefix else 0
    return ".".join(path.split(".")[depth:])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
