"""Styled lines and tables of text, before anything decides what a style looks like."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fanin.records.table import visible

__all__ = ["Line", "Piece", "table", "to_ascii", "wrapped"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Text with the name of its style ("" for none)."""

    text: str
    style: str = ""


Line: TypeAlias = tuple[Piece, ...]

_ASCII = str.maketrans(
    {
        **dict(zip("▁▂▃▄▅▆▇█", "_.,-=+*#", strict=True)),
        "→": ">", "×": "x", "✗": "X", "✓": "+", "·": "-", "…": "~", "–": "-", "−": "-", "±": "+-", "²": "^2",
        "√": "sqrt", "σ": "sd", "≥": ">=", "≤": "<=", "≈": "~", "\u202f": " ", "⟨": "<", "⟩": ">",
    }
)  # fmt: skip

_SECOND = "\x00"
"""Stands for the second column of a wide sign while lines are broken; `visible` leaves none in a text."""

_NAME = 26
"""Columns that a name keeps when the table is too wide."""


def to_ascii(text: str) -> str:
    """Replace every character that a plain terminal may not have; what has no likeness becomes ``?``."""
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def wrapped(text: str, width: int, *, first: str = "", rest: str = "") -> list[str]:
    """Break a text into lines of at most `width` columns, each behind its margin."""
    # A wide sign (most of Chinese, Japanese and Korean) takes two columns: the second one is counted too.
    spread = "".join(c + _SECOND if _wide(c) else c for c in visible(text))
    found = textwrap.wrap(
        spread, max(width, 40), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
    return [line.replace(_SECOND, "") for line in found] or [first]


def _wide(sign: str) -> bool:
    return unicodedata.east_asian_width(sign) in "WF"


def _columns(text: str) -> int:
    return len(text) + sum(map(_wide, text))


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, drop: Sequence[int] = ()
) -> Iterator[Line]:
    """Columns two spaces apart; `drop` lists the columns to give up, in that order, until all fits."""
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    sizes = {i: max(len(header[i]), *(_columns(row[i]) for row in rows)) for i in kept}
    droppable = [i for i in drop if i in kept]
    while (excess := sum(sizes[i] + 2 for i in kept) - 2 - width) > 0:
        if sizes[kept[0]] - excess >= _NAME or not droppable:
            sizes[kept[0]] = max(min(_NAME, sizes[kept[0]]), sizes[kept[0]] - excess)
            break
        kept.remove(droppable.pop(0))
    yield (Piece("  ".join(header[i].ljust(sizes[i]) for i in kept).rstrip(), "dim"),)
    for row in rows:
        yield (Piece("  ".join(_fit(row[i], sizes[i]) for i in kept).rstrip()),)


def _fit(text: str, size: int) -> str:
    """Cut at the left: paths begin alike and differ at their ends."""
    text = visible(" ".join(text.split("\n")))
    if (columns := _columns(text)) <= size:
        return text + " " * (size - columns)
    while _columns(text) >= size:
        text = text[1:]
    return f"…{text}".ljust(size + len(text) - _columns(text))
