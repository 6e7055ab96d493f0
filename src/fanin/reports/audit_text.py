"""An audit as styled lines: the verdict first and last, what is wrong, then every tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fanin.records.audit import Audit, Comparison, folded_name, grouped
from fanin.records.finding import Severity
from fanin.reports.figures import short
from fanin.reports.lines import Line, Piece, table, wrapped

__all__ = ["HEADER", "audit_lines", "audit_row"]

HEADER = ("tensor", "shape", "declared", "std declared", "std is", "ratio", "verdict")
"""Columns of the table of tensors."""

_WORDS = {Severity.FAILURE: "FAILURE", Severity.WARNING: "WARNING", Severity.INFO: "REMARK"}
_ROWS = 60
"""The most rows of a table."""


def audit_lines(audit: Audit, *, width: int = 80) -> list[Line]:
    """Lay out an audit as lines of at most `width` columns."""
    found = list(_verdict(audit, width))
    for group in grouped(audit.faulty):
        found += [(), *_finding(group, width)]
    groups = grouped(audit.comparisons)
    found += [(), (Piece("Tensors", "bold"), Piece("  standard deviation as declared, and as it is", "dim"))]
    found += table(HEADER, [audit_row(group) for group in groups[:_ROWS]], width, drop=(1, 2))
    if len(groups) > _ROWS:
        more = f"... and {len(groups) - _ROWS} more rows; the JSON holds all"
        found.append((Piece(more, "dim"),))
    basis = (
        f"Basis  chance of a false alarm over all {len(audit.comparisons)} tensors: {audit.level:g}; "
        f"{audit.framework}"
    )
    found += [(), *((Piece(text, "dim"),) for text in wrapped(basis, width, rest="  "))]
    for note in audit.notes:
        found += ((Piece(text, "dim"),) for text in wrapped(f"note: {note}", width, first="  ", rest="    "))
    return [*found, (), *_verdict(audit, width)]


def audit_row(group: Sequence[Comparison]) -> tuple[str, ...]:
    """One row of the table: tensors that differ in their numbers and in what was measured."""
    first = group[0]
    shape = "×".join(map(str, first.shape)) if first.shape else "scalar"
    declared = "" if first.declared_std is None else short(first.declared_std, 4)
    faults = ", ".join(first.faults)
    return (
        folded_name(group),
        shape,
        first.declared,
        declared,
        _between([line.std for line in group]),
        _between([line.ratio for line in group if line.ratio is not None]),
        str(first.match) if first.severity is None else f"{first.severity}: {faults}",
    )


def _between(values: Sequence[float]) -> str:
    if not values:
        return ""
    low, high = short(min(values), 3), short(max(values), 3)
    return low if low == high else f"{low}–{high}"


def _verdict(audit: Audit, width: int) -> Iterator[Line]:
    worst = audit.faulty[0].severity if audit.faulty else None
    word, style = (_WORDS[worst], str(worst)) if worst else ("AS DECLARED", "healthy")
    for place, text in enumerate(wrapped(audit.verdict, width, first=word + "  ", rest="  ")):
        yield (Piece(word, style), Piece(text[len(word) :])) if place == 0 else (Piece(text),)


def _finding(group: Sequence[Comparison], width: int) -> Iterator[Line]:
    first = group[0]
    word = str(first.severity)
    title = f"{folded_name(group)}  {', '.join(first.faults)}"
    yield Piece(title, "bold"), Piece("  " + word, word)
    said = f"{first.name}: {first.finding}" if len(group) > 1 else first.finding
    for text in wrapped(said, width, first="  ", rest="  "):
        yield (Piece(text),)
