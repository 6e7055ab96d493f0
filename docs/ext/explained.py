"""Pages that the laws write: one for every scheme, law and topic, and a table of activations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from picture import svg

from fanin.errors import InputError
from fanin.explanations import laws, topics
from fanin.explanations.subject import explain
from fanin.laws.activations import ACTIVATIONS
from fanin.laws.gains import conventional_gain, gain
from fanin.reports.explain_markdown import explanation_markdown, plain
from fanin.schemes import registry

if TYPE_CHECKING:
    from sphinx.application import Sphinx

    from fanin.records.explanation import Explanation

__all__ = ["setup"]

FOLDER = "explained"
"""Written anew by every build, and not kept in git."""


def write(path: Path, text: str) -> None:
    """Write a file only if it changes, so that a second build has little to do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def page(told: Explanation, path: Path) -> None:
    """A page and the pictures of its charts."""
    pictures = []
    for place, chart in enumerate(told.charts):
        name = f"{path.stem}-{place}.svg"
        write(path.parent / name, svg(chart))
        pictures.append(name)
    write(path, explanation_markdown(told, pictures=pictures))


def index(title: str, words: str, lines: list[str], names: list[str]) -> str:
    """A page that lists others and hides them in its tree."""
    return "\n".join(
        [f"# {title}", "", words, "", *lines, "", "```{toctree}", ":hidden:", "", *names, "```", ""]
    )


def activation_table() -> str:
    """Moments and gains of every activation, for a standard normal input."""
    rows = [
        "| activation | E f | E f² | E f'² | forward gain | backward gain | chi | by | PyTorch |",
        "|---|" + "---|" * 8,
    ]
    for name in ACTIVATIONS:
        found = gain(name)
        figures = (
            0.0 if abs(found.mean) < 1e-12 else found.mean, found.second_moment,
            found.derivative_second_moment, found.forward, found.backward, found.chi,
        )  # fmt: skip
        told = [*(f"{x:.6g}" for x in figures), found.source, convention(name)]
        rows.append(f"| {plain(name)} | " + " | ".join(told) + " |")
    return "\n".join(rows)


def convention(name: str) -> str:
    """What PyTorch's table has for an activation; nothing for most."""
    try:
        return f"{conventional_gain(name):.6g}"
    except InputError:
        return ""


def build(app: Sphinx) -> None:
    """Write all pages."""
    root = Path(app.srcdir) / FOLDER
    for name in registry.names():
        page(explain(name), root / "schemes" / f"{name}.md")
    lines = [f"- [{plain(name)}]({name}.md): {plain(e.summary)}" for name, e in registry.entries().items()]
    words = "A page for every scheme: law, figures for a shape, derivation, and what other libraries draw."
    write(root / "schemes" / "index.md", index("Schemes, explained", words, lines, list(registry.names())))
    for name in topics.catalogue():
        page(topics.get(name), root / "topics" / f"{name}.md")
    lines = [f"- [{plain(one.question)}]({one.name}.md)" for one in topics.catalogue().values()]
    words = "Each answer is computed: `fanin explain --topic NAME --depth 50` gives it for your depth."
    write(root / "topics" / "index.md", index("Questions", words, lines, list(topics.catalogue())))
    for name in laws.catalogue():
        page(laws.get(name), root / "laws" / f"{name}.md")
    lines = [f"- [{plain(one.question)}]({one.name}.md)" for one in laws.catalogue().values()]
    words = (
        "Formula, derivation, computed figures, a picture: `fanin explain fans` shows the same in a terminal."
    )
    write(root / "laws" / "index.md", index("Laws, explained", words, lines, list(laws.catalogue())))
    words = (
        "For z ~ N(0, 1). The forward gain keeps the signal, the backward gain the gradient; chi is "
        "the growth of the "
        "gradient a layer when the signal is kept. `fanin explain gelu` has the derivation and the "
        "fixed points. Where PyTorch's convention (the last column) is another number, it does not "
        "keep E f²: "
        "[gains](laws/gains.md)."
    )
    write(root / "activations.md", f"# Activations\n\n{words}\n\n{activation_table()}\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", build)
    return {"parallel_read_safe": True}
