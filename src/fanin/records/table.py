"""Plain text tables, with repeated blocks folded into one line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["NUMBER", "Row", "fold_names", "folded", "render", "visible"]

NUMBER = re.compile(r"(?<![^._/])\d+(?![^./])")
"""A number that counts blocks: a component of a path (``layers.3``), or the end of one (``Block_3``)."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of what is no sign: controls, formats, and what is not assigned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a table: the dotted path it is about, and its other cells."""

    key: str
    cells: tuple[str, ...]


def folded(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """Merge rows that differ only in the numbers of their paths.

    ``layers.0.weight`` to ``layers.31.weight`` with equal cells become one line
    ``layers.0-31.weight ×32``, at the place of the first.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for row in rows:
        groups.setdefault((NUMBER.sub("#", row.key), row.cells), []).append(row.key)
    return [(_title(keys), *cells) for (_, cells), keys in groups.items()]


def fold_names(names: Iterable[str]) -> list[str]:
    """Merge dotted paths that differ only in their numbers, keeping the order of the first."""
    return [line[0] for line in folded(Row(key=name, cells=()) for name in names)]


def _title(keys: Sequence[str]) -> str:
    if len(keys) == 1:
        return keys[0]
    columns = list(zip(*(map(int, NUMBER.findall(key)) for key in keys), strict=True))
    ranges = iter([_range(sorted(set(column))) for column in columns])
    return f"{NUMBER.sub(lambda _: next(ranges), keys[0])} ×{len(keys)}"


def _range(numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def render(header: Sequence[str], lines: Iterable[Sequence[str]], *, width: int | None = None) -> str:
    """Lay out a table with two spaces between columns; the last column is cut to fit `width`.

    Columns that are empty in every line are left out.
    """
    body = [tuple(line) for line in lines]
    kept = [i for i in range(len(header)) if any(line[i] for line in body)] or [0]
    rows = [tuple(visible(line[i]) for i in kept) for line in (tuple(header), *body)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(kept))]
    if width is not None and sum(widths) + 2 * len(widths) - 2 > width:
        widths[-1] = max(12, width - sum(widths[:-1]) - 2 * (len(widths) - 1))
    return "\n".join(
        "  ".join(_fit(cell, w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _fit(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 1] + "…"


def visible(text: str) -> str:
    """Replace what would steer a terminal or turn the direction of writing: a name is only shown."""
    return "".join("\ufffd" if unicodedata.category(c) in _UNSEEN and c not in "\n\t" else c for c in text)
