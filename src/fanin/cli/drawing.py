"""A model's graph as a file: drawn by Graphviz where it is installed, else as text."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from fanin.cli.output import note
from fanin.errors import InputError, OutputError, explain
from fanin.records.codec import write_text
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.reports import graph_dot, graph_text

__all__ = ["FORMS", "check", "draw"]

_PICTURES = ("svg", "png", "pdf")
FORMS = (*_PICTURES, "dot", "txt")
_PATIENCE = 120.0
"""Seconds that Graphviz may take."""


def check(path: Path) -> None:
    """See that a drawing can have this name, before any work is done.

    Raises
    ------
    InputError
        An ending that stands for no form.
    """
    if path.suffix.removeprefix(".").lower() not in FORMS:
        endings = ", ".join(f".{form}" for form in FORMS)
        raise InputError(
            explain("A drawing of that kind is not known", received=path.name, rule=f"It ends in {endings}")
        )


def draw(graph: Graph, plan: Plan, path: Path, *, fold: bool = True) -> Path:
    """Draw a model's graph with its plan, under a temporary name that is changed at the end.

    Returns
    -------
    Path
        The file that was written: a text beside it, as the note on stderr says, if there is no Graphviz
        or it fails.

    Raises
    ------
    OutputError
        The place cannot be written.
    """
    form = path.suffix.removeprefix(".").lower()
    if form == "txt":
        return write_text(path, graph_text.text(graph, plan, fold=fold) + "\n")
    source = graph_dot.dot(graph, plan, fold=fold)
    if form == "dot":
        return write_text(path, source)
    program = shutil.which("dot")
    why = "Graphviz is not installed" if program is None else _render(program, source, form, path)
    if not why:
        return path
    note(f"{why}: the graph is written as text instead; .dot has its source")
    return write_text(path.with_suffix(".txt"), graph_text.text(graph, plan, fold=fold) + "\n")


def _render(program: str, source: str, form: str, path: Path) -> str:
    """Run Graphviz; why it failed, or "" if it did not."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            made = Path(folder) / f"graph.{form}"
            try:
                done = subprocess.run(  # noqa: S603 - Graphviz, on a program that names are quoted in
                    [program, f"-T{form}", "-o", str(made)],
                    input=source.encode(),
                    capture_output=True,
                    check=False,
                    timeout=_PATIENCE,
                )
            except subprocess.TimeoutExpired:
                return f"Graphviz did not finish in {_PATIENCE:g} seconds"
            if done.returncode or not made.exists():
                return f"Graphviz failed ({done.stderr.decode(errors='replace').strip()[:200]})"
            made.replace(path)
    except OSError as error:
        raise OutputError(explain("The output cannot be written", received=f"{path} ({error})")) from error
    return ""
