"""``fanin list``: the schemes."""

from __future__ import annotations

import json
from typing import Any

import click

from fanin.cli import output as show
from fanin.cli.options import form
from fanin.errors import nearest
from fanin.records.table import render
from fanin.schemes import registry
from fanin.schemes.base import Entry, FanScaled, Fixed, Scheme

__all__ = ["list_"]


@click.command("list", short_help="List the schemes and their laws.")
@click.option("--family", metavar="NAME", help="Only those of a family, such as he, glorot or orthogonal.")
@click.option(
    "--activation", metavar="NAME", help="Only those that look at the activation, with their law for it."
)
@click.option(
    "--search", metavar="TEXT", help="Only those with this text in name, summary, law or references."
)
@form
def list_(family: str | None, activation: str | None, search: str | None, form: str) -> None:
    """List the schemes: name, law, and the standard deviation of a weight.

    `fanin explain NAME` says where a law comes from.
    """
    rows = [
        row
        for entry in _of_family(family)
        if (row := _row(entry, activation)) is not None and _holds(row, search)
    ]
    if not rows:
        show.note("no scheme fits; leave out a filter, or see all with: fanin list")
    if form == "json":
        show.data(json.dumps(rows, indent=1, ensure_ascii=False))
    elif rows:
        lines = [(str(r["name"]), str(r["law"]), str(r["std"]), ", ".join(r["aliases"])) for r in rows]
        show.data(render(("scheme", "law", "std", "also called"), lines, width=show.table_width()))


def _family(entry: Entry) -> str:
    return entry.factory.__module__.rpartition(".")[2]


def _of_family(family: str | None) -> list[Entry]:
    entries = list(registry.entries().values())
    families = sorted({_family(entry) for entry in entries})
    if family is not None and family not in families:
        raise nearest(family, families, kind="family")
    return [entry for entry in entries if family in (None, _family(entry))]


def _row(entry: Entry, activation: str | None) -> dict[str, Any] | None:
    """What is told of a scheme; None if it is asked about an activation that it does not look at."""
    given = dict(entry.examples[0])
    if activation is not None:
        if "activation" not in entry.signature.parameters:
            return None
        given["activation"] = activation
    example = entry.factory(**given)
    arguments = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return {
        "name": entry.name,
        "family": _family(entry),
        "example": f"{entry.name}({arguments})",
        "law": example.law,
        "std": _std(example),
        "aliases": list(entry.aliases),
        "summary": entry.summary,
        "references": list(example.references),
    }


def _holds(row: dict[str, Any], search: str | None) -> bool:
    text = " ".join(str(value) for value in row.values()).casefold()
    return search is None or search.casefold() in text


def _std(scheme: Scheme) -> str:
    """The standard deviation of a weight as a formula of its fans."""
    if isinstance(scheme, FanScaled):
        return f"sqrt({scheme.variance:.6g} / {scheme.mode})"
    if isinstance(scheme, Fixed):
        return f"{scheme.spec.std:.6g}"
    return str(getattr(scheme, "formula", f"that of {scheme.law}"))
