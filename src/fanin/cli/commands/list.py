"""``fanin list``: the schemes."""

from __future__ import annotations

import json

import click

from fanin.cli import output as show
from fanin.cli.options import form
from fanin.records.table import render
from fanin.schemes import registry
from fanin.schemes.base import Entry, FanScaled, Fixed, Scheme

__all__ = ["list_"]


@click.command("list", short_help="List the schemes and their laws.")
@form
def list_(form: str) -> None:
    """List the schemes: name, law, and the standard deviation of a weight."""
    entries = registry.entries().values()
    if form == "json":
        show.data(json.dumps([_row(entry) for entry in entries], indent=1, ensure_ascii=False))
        return
    examples = [(entry, entry.factory(**entry.examples[0])) for entry in entries]
    lines = [(entry.name, one.law, _std(one), ", ".join(entry.aliases)) for entry, one in examples]
    show.data(render(("scheme", "law", "std", "also called"), lines, width=show.table_width()))


def _row(entry: Entry) -> dict[str, object]:
    example = entry.factory(**entry.examples[0])
    arguments = ", ".join(f"{name}={value!r}" for name, value in entry.examples[0].items())
    return {
        "name": entry.name,
        "example": f"{entry.name}({arguments})",
        "law": example.law,
        "std": _std(example),
        "aliases": list(entry.aliases),
        "summary": entry.summary,
        "references": list(example.references),
    }


def _std(scheme: Scheme) -> str:
    """The standard deviation of a weight as a formula of its fans."""
    if isinstance(scheme, FanScaled):
        return f"sqrt({scheme.variance:.6g} / {scheme.mode})"
    if isinstance(scheme, Fixed):
        return f"{scheme.spec.std:.6g}"
    return str(getattr(scheme, "formula", f"that of {scheme.law}"))
