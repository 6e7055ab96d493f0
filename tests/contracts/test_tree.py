"""Rules for every file: no path of one machine, no number without its origin, one idea a file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TEXT = {
    ".py",
    ".pyi",
    ".cpp",
    ".hpp",
    ".h",
    ".md",
    ".toml",
    ".txt",
    ".cfg",
    ".yml",
    ".yaml",
    ".cmake",
    ".sh",
    ".js",
    ".css",
    "",
}
CODE = {".py", ".cpp", ".hpp", ".h"}
LIMIT = 400
# A file past the limit, with the reason that it has.
LONG = {"src/fanin/sampling/_table.py": "numbers, written by vectors/make_table.py"}

# Folders of a home or a workplace.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+|tmp/\w+)/")
# The std of a normal cut at two sigma, written out instead of computed by laws.moments.
LITERAL = re.compile(r"(?<!\d)0?\.87" + r"96")


def machine_paths(text: str) -> list[str]:
    """Paths that exist on one machine only."""
    return MACHINE_PATH.findall(text)


def literals(text: str, suffix: str) -> list[str]:
    """The number that must be computed, where code uses it; prose and checked examples may show it."""
    if suffix == ".py":
        numbers = [n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)]
        return [repr(n) for n in numbers if isinstance(n, float) and LITERAL.match(repr(n))]
    return LITERAL.findall(text) if suffix in CODE else []


def texts(tree: list[Path], root: Path) -> dict[str, str]:
    """Text files of the project by their path in it."""
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8")
        for path in tree
        if path.suffix in TEXT and path.name != "LICENSE"
    }


def test_the_tree_is_seen(tree: list[Path], root: Path) -> None:
    """The tests below would pass on an empty list."""
    assert {"pyproject.toml", "src/fanin/errors.py", "README.md"} <= set(texts(tree, root))


def test_no_machine_paths(tree: list[Path], root: Path) -> None:
    found = {name: paths for name, text in texts(tree, root).items() if (paths := machine_paths(text))}
    assert found == {}


def test_no_literal_of_the_truncated_normal(tree: list[Path], root: Path) -> None:
    found = [name for name, text in texts(tree, root).items() if literals(text, Path(name).suffix)]
    assert found == []


def test_files_keep_to_one_idea(tree: list[Path], root: Path) -> None:
    long = {
        name: lines
        for path in tree
        if path.suffix in CODE
        and (lines := len(path.read_text(encoding="utf-8").splitlines())) > LIMIT
        and (name := str(path.relative_to(root))) not in LONG
    }
    assert long == {}


@pytest.mark.parametrize("prefix", ["work", "root", "home/someone", "Users/someone", "tmp/dev"])
def test_a_machine_path_would_be_seen(prefix: str) -> None:
    assert machine_paths(f"read '/{prefix}/data.csv'") == [f"/{prefix}/"]


def test_a_web_address_is_no_machine_path() -> None:
    assert machine_paths("https://example.org/work/1 and a/work/b and tests/tmp/x/y") == []


def test_a_literal_would_be_seen() -> None:
    number = "0.87" + "96256610342398"
    assert literals(f"std = {number}", ".py") == [number]
    assert literals(f"float std = {number}f;", ".cpp")
    assert literals(f'"""\n>>> std\n{number}\n"""\nx = 0.8797', ".py") == []
