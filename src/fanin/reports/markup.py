"""HTML from data, with every text escaped at the one place where text becomes markup."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fanin.records.table import visible

__all__ = ["Cell", "element", "embedded", "escaped", "path", "section", "table"]

_RANGE = re.compile(r"\d+-\d+")
"""A range of numbers in a folded name."""


def escaped(text: object) -> str:
    """Text as markup: nothing in it is a tag, an entity, the end of an attribute or a hidden sign."""
    return html.escape(visible(str(text)), quote=True)


def element(tag: str, text: object, css: str = "") -> str:
    """One element that holds text."""
    mark = f' class="{escaped(css)}"' if css else ""
    return f"<{tag}{mark}>{escaped(text)}</{tag}>"


def embedded(data: Any) -> str:
    """JSON for the inside of a script element: no ``<`` can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def section(title: str, lead: str, inside: str, below: str = "") -> str:
    """A section of the page: title and texts are escaped, `inside` is markup."""
    under = element("p", below, "below") if below else ""
    return f"<section>{element('h2', title)}{element('p', lead, 'lead')}{inside}{under}</section>"


def path(name: str) -> str:
    """A dotted name that may break after its dots, where a reader would break it, and not within a range."""
    return _RANGE.sub(r"<b>\g<0></b>", escaped(name)).replace(".", ".<wbr>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell: what is shown, the figure it sorts by, and its style."""

    text: str
    value: float | None = None
    css: str = ""


def table(
    header: Sequence[str], rows: Iterable[Sequence[Cell]], *, sorts: bool = True, label: str = ""
) -> str:
    """A table in a box that scrolls; columns that are empty in every row are left out.

    With a `label` the box is a region that the keyboard reaches.
    """
    body = [tuple(row) for row in rows]
    kept = [i for i in range(len(header)) if any(row[i].text for row in body)]
    heads = []
    for i in kept:
        numeric = any(row[i].css.split(" ")[0] == "n" for row in body)
        label = f'<button type="button">{escaped(header[i])}</button>' if sorts else escaped(header[i])
        heads.append(f'<th scope="col"{" class=" + chr(34) + "n" + chr(34) if numeric else ""}>{label}</th>')
    lines = "".join("<tr>" + "".join(_cell(row[i]) for i in kept) + "</tr>\n" for row in body)
    css = ' class="sorts"' if sorts else ""
    tall = " tall" if len(body) > 20 else ""
    # A box that scrolls is reached by the Tab key, and says what it is.
    named = f' role="region" tabindex="0" aria-label="{escaped(label)}"' if label else ""
    return (
        f'<div class="scroll{tall}"{named}><table{css}><thead><tr>{"".join(heads)}</tr></thead>\n'
        f"<tbody>\n{lines}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    css = f' class="{escaped(cell.css)}"' if cell.css else ""
    value = f' data-v="{cell.value!r}"' if cell.value is not None else ""
    text = path(cell.text) if cell.css == "name" else escaped(cell.text)
    return f"<td{css}{value}>{text}</td>"
