"""A page for every rule of a check, written from the registry."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from explained import index, page, write

from fanin.checks import registry
from fanin.cli.subjects import of_rule
from fanin.reports.explain_markdown import plain

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]

FOLDER = "checks/rules"
"""Written anew by every build, and not kept in git."""

GROUPS = {
    "1": "Signal and gradient",
    "2": "Weights",
    "3": "Loss and learning",
    "4": "The batch",
    "5": "Deep tier",
}


def build(app: Sphinx) -> None:
    """Write all pages."""
    root = Path(app.srcdir) / FOLDER
    lines: list[str] = []
    for group, rules in groupby(registry.rules(), key=lambda rule: rule.code[3]):
        lines += ["", f"## {GROUPS[group]}", ""]
        for rule in rules:
            page(of_rule(rule), root / f"{rule.code}.md")
            lines.append(f"- [{rule.code} {plain(rule.name)}]({rule.code}.md): {plain(rule.definition)}")
    words = (
        "What each rule measures, where its line is and why, and what to do. "
        "`fanin explain FAN102` says the same."
    )
    write(root / "index.md", index("Rules", words, lines, [rule.code for rule in registry.rules()]))


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before sphinx looks for sources."""
    app.connect("builder-inited", build)
    return {"parallel_read_safe": True}
