"""An audit as one HTML file, in the dress of the report."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from fanin.records.audit import Audit, Comparison, folded_name, grouped
from fanin.records.finding import Severity
from fanin.reports.audit_text import HEADER, audit_row
from fanin.reports.markup import Cell, element, section, table

__all__ = ["audit_page"]

_WORDS = {Severity.FAILURE: "FAILURE", Severity.WARNING: "WARNING", Severity.INFO: "REMARK"}


def audit_page(audit: Audit) -> str:
    """Write an audit as one self-contained HTML document; it has no charts and needs no extra.

    Examples
    --------
    >>> empty = Audit(model="Net", framework="torch", against="policy he", level=1e-6, comparisons=())
    >>> audit_page(empty).startswith("<!doctype html>")
    True
    """
    worst = audit.faulty[0].severity if audit.faulty else None
    word, tone = (_WORDS[worst], str(worst)) if worst else ("AS DECLARED", "healthy")
    banner = (
        '<p class="eyebrow"><b>fanin</b> &nbsp;audit of weights</p>'
        f"{element('h1', audit.model or 'Model')}\n"
        f'<div class="verdict is-{tone}" role="status">{element("span", word, "word")}'
        f"{element('span', audit.verdict, 'said')}</div>"
    )
    body = "\n".join(part for part in (banner, _findings(audit), _tensors(audit), _basis(audit)) if part)
    # The page's frame belongs to the report, whose charts are loaded only where there are any.
    document: str = importlib.import_module("fanin.reports.html").document(
        f"{word.capitalize()}: {audit.model or 'model'} · fanin", body, {}
    )
    return document


def _findings(audit: Audit) -> str:
    groups = grouped(audit.faulty)
    if not groups:
        return ""
    rows = [
        (
            Cell(text=folded_name(group), css="name"),
            Cell(text=str(group[0].severity), css=f"is-{group[0].severity}"),
            Cell(text=group[0].finding),
        )
        for group in groups
    ]
    lead = "Tensors that are not as declared; repeated blocks share a row, with the figures of the first."
    return section(
        "What differs",
        lead,
        table(("tensor", "severity", "finding"), rows, sorts=False, label="what differs"),
    )


def _tensors(audit: Audit) -> str:
    rows = [_row(group) for group in grouped(audit.comparisons)]
    lead = "Every tensor: what is declared for it, and what it is."
    return section("Tensors", lead, table(HEADER, rows, label="every tensor")) if rows else ""


def _row(group: Sequence[Comparison]) -> tuple[Cell, ...]:
    texts = audit_row(group)
    first = group[0]
    values = (None, None, None, first.declared_std, first.std, first.ratio, None)
    styles = ("name", "", "", "n", "n", "n", f"is-{first.severity}" if first.severity else "")
    return tuple(
        Cell(text=text, value=value, css=style)
        for text, value, style in zip(texts, values, styles, strict=True)
    )


def _basis(audit: Audit) -> str:
    said = [
        f"Compared with {audit.against}.",
        f"A model whose tensors all have the declared laws is found fault with once in {1 / audit.level:g}.",
        f"Read in {audit.framework}.",
        *audit.notes,
    ]
    return section("Basis", "", "".join(element("p", text) for text in said))
