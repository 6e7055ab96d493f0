"""Pages that compare: what other libraries have beside what fanin has, and their faults beside the cures.

Peers' cells come from `docs/peers/table.toml`, fanin's from the registry, and every cell of fanin's names the
tests that show it; `tests/contracts/test_peers.py` holds that each of them exists and that no scheme is
forgotten. Faults and cures are the docstrings of `tests/conformance/test_faults_*.py`.
"""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explained import index, write

from fanin.reports.explain_markdown import plain
from fanin.schemes import registry

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["LAW", "Fault", "faults", "linked", "setup", "table"]

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "peers" / "table.toml"
LAW = "tests/conformance/test_samples.py::test_samples_have_the_law"
"""Each scheme's test, in every layout; its cases begin with the scheme's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault of a peer, what is right here, and the test that shows it."""

    peer: str
    fault: str
    cure: str
    test: str


def table() -> dict[str, Any]:
    """The comparison as it lies in the file."""
    with TABLE.open("rb") as file:
        return tomllib.load(file)


def linked(row: dict[str, Any]) -> list[str]:
    """Tests that show fanin's cell of a row; those of schemes have the scheme's name as a parameter."""
    return [*(f"{LAW}[{name}]" for name in row.get("schemes", ())), *row.get("tests", ())]


def faults() -> list[Fault]:
    """Faults in the order of the test files, whose docstrings they are."""
    found = []
    for path in sorted((ROOT / "tests" / "conformance").glob("test_faults_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        peer = next(
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "PEER"
        )
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                fault, _, cure = (ast.get_docstring(node) or "").partition("\n\n")
                test = f"{path.relative_to(ROOT)}::{node.name}"
                found.append(Fault(peer=peer, fault=fault, cure=cure, test=test))
    return found


def build(app: Sphinx) -> None:
    """Write all pages."""
    root = Path(app.srcdir) / "explained" / "peers"
    told = table()
    shown = Footnotes()
    write(root / "initializers.md", initializers(told, shown))
    shown = Footnotes()
    write(root / "features.md", features(told, shown))
    write(root / "nobody.md", nobody(told, Footnotes()))
    write(root / "faults.md", faults_page())
    pages = {
        "initializers": "every initializer of eight libraries and more, and fanin's",
        "features": "what else they can do, and what fanin can",
        "nobody": "what none of them has",
        "faults": "what is wrong elsewhere, each with the test that shows it right here",
    }
    words = (
        "What other libraries offer was read in their sources or found by running them. Each cell of "
        "fanin's has "
        "the tests that show it; they run with every change."
    )
    lines = [f"- [{name}]({name}.md): {text}" for name, text in pages.items()]
    read = [f"- {plain(told['systems'][key])}: {plain(text)}" for key, text in told["sources"].items()]
    page = index("All that they have", words, [*lines, "", "What was read:", "", *read], list(pages))
    write(root / "index.md", page)


class Footnotes:
    """Tests by number, in the order in which cells name them."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def marks(self, tests: list[str]) -> str:
        """Links from a cell to its tests."""
        self.order += [test for test in tests if test not in self.order]
        numbers = sorted(self.order.index(test) + 1 for test in tests)
        return " ".join(f"[[{n}]](#tests)" for n in numbers)

    def section(self) -> str:
        """The list that the links lead to."""
        return "\n".join(["## Tests", "", *(f"{n}. `{test}`" for n, test in enumerate(self.order, 1))])


def grid(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(row: dict[str, Any], ours: str, shown: Footnotes) -> str:
    """What fanin has, or why it has nothing."""
    if "absent" in row:
        return f"no: {plain(row['absent'])}"
    return f"{ours} {shown.marks(linked(row))}"


def initializers(told: dict[str, Any], shown: Footnotes) -> str:
    """Table of initializers."""
    rows = []
    for row in told["initializers"]:
        names = [f"[{plain(name)}](../schemes/{name}.md)" for name in row.get("schemes", ())]
        for name in row.get("schemes", ()):
            registry.entry(name)  # says which name is none
        peers = [plain(row[key]) for key in told["systems"]]
        rows.append([plain(row["what"]), cell(row, ", ".join(names), shown), *peers])
    header = ["initializer", "fanin", *told["systems"].values()]
    words = (
        f"{len(registry.names())} schemes, each in NumPy, PyTorch, JAX and Keras. A scheme's first test "
        "holds its mean, "
        "variance, bounds and family in five layouts, at a false alarm rate of 1e-9. What a peer's function "
        "of a name really draws, for your shape: `fanin explain NAME --shape 256x784`."
    )
    return "\n\n".join(["# Initializers", words, grid(header, rows), shown.section()]) + "\n"


def features(told: dict[str, Any], shown: Footnotes) -> str:
    """Table of features."""
    rows = [
        [
            plain(row["what"]),
            cell(row, plain(row.get("ours", "")), shown),
            *(plain(row[key]) for key in told["systems"]),
        ]
        for row in told["features"]
    ]
    header = ["feature", "fanin", *told["systems"].values()]
    return "\n\n".join(["# Features", grid(header, rows), shown.section()]) + "\n"


def nobody(told: dict[str, Any], shown: Footnotes) -> str:
    """What no library among these has."""
    rows = [[plain(row["what"]), cell(row, plain(row.get("ours", "")), shown)] for row in told["nobody"]]
    return "\n\n".join(["# What none of them has", grid(["what", "fanin"], rows), shown.section()]) + "\n"


def faults_page() -> str:
    """Faults by library, each with its cure and its test."""
    found = faults()
    words = (
        f"{len(found)} faults that were read in sources, found by running, or reported by users, in the "
        "releases that the "
        "[overview](index.md) names. Later releases may have mended some; the tests are about fanin."
    )
    parts = ["# Faults elsewhere", words]
    for peer in dict.fromkeys(one.peer for one in found):
        rows = [[plain(f.fault), plain(f.cure), f"`{f.test}`"] for f in found if f.peer == peer]
        parts += [f"## {plain(peer)}", grid(["there", "here", "test"], rows)]
    return "\n\n".join(parts) + "\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for sources."""
    app.connect("builder-inited", build)
    return {"parallel_read_safe": True}
