"""What README, docs and docstrings show is run: Python blocks, `fanin` commands, docstring examples.

In Markdown, ```python blocks of one page share their names and run from top to bottom, ```pycon blocks
are sessions whose output is compared, and in ```console / ```bash blocks the lines that call `fanin` are
run and the targets of `make` must exist. A block that cannot run says why in a comment before it:
``<!-- not run: reason -->``. A command that ends with another code than 0 says so: ``# exits 1``.
"""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from elsewhere import python

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
MODULES = sorted(p for p in (ROOT / "src" / "fanin").rglob("*.py") if p.name != "__main__.py")
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))

ELSEWHERE = {"keras/__init__.py": "jax", "keras/check.py": "torch", "keras/whole.py": "jax"}
"""Modules whose examples read Keras models, which the backend of these tests cannot, and one that can."""

FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n+)?^```(?P<language>\w+)[^\n]*\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
EXIT = re.compile(r"#\s*exits (\d+)\s*$")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    line: int
    language: str
    body: str
    reason: str | None


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text, in order."""
    return [
        Block(
            line=text.count("\n", 0, found.start("body")),
            language=found["language"],
            body=found["body"],
            reason=found["reason"],
        )
        for found in FENCE.finditer(text)
    ]


def entry_point() -> str:
    """A program that does what the installed `fanin` script does."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        module, _, function = tomllib.load(file)["project"]["scripts"]["fanin"].partition(":")
    return f"import sys; sys.argv[0] = 'fanin'; from {module} import {function} as run; sys.exit(run())"


def make_targets() -> set[str]:
    """Targets that the Makefile offers."""
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def run_shell(body: str, place: Path) -> None:
    """Run the `fanin` lines of a shell block in `place`, and look up its `make` targets."""
    for raw in body.splitlines():
        line = raw.removeprefix("$ ").strip()
        if line.startswith("make "):
            targets = [word for word in shlex.split(line, comments=True)[1:] if "=" not in word]
            unknown = set(targets) - make_targets()
            if unknown:
                raise AssertionError(f"`{line}`: the Makefile has no target {sorted(unknown)}")
        if line.startswith("fanin "):
            expected = int(found[1]) if (found := EXIT.search(line)) else 0
            done = subprocess.run(
                [sys.executable, "-c", entry_point(), *shlex.split(line, comments=True)[1:]],
                cwd=place,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )
            if done.returncode != expected:
                raise AssertionError(
                    f"`{line}` exited {done.returncode}, not {expected}\n{done.stdout}{done.stderr}"
                )


def run_doctest(test: doctest.DocTest) -> None:
    """Run one session and raise what differs."""
    told: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append)
    if told:
        raise AssertionError("".join(told))


def run_elsewhere(name: str, backend: str) -> None:
    """Run a module's examples in a process of their own, on another backend of Keras."""
    program = (
        "import doctest, importlib, sys; "
        f"found = doctest.testmod(importlib.import_module({name!r}), optionflags={FLAGS}); "
        "print(found); sys.exit(found.failed or not found.attempted)"
    )
    python("-c", program, KERAS_BACKEND=backend)


def run_page(text: str, name: str, place: Path) -> int:
    """Run every block of a page in `place`; return how many ran."""
    names: dict[str, object] = {"__name__": "__main__"}
    ran = 0
    for block in blocks(text):
        if block.reason:
            continue
        if block.language == "python":
            # Blank lines in front, so that a traceback names the line of the page.
            exec(compile("\n" * block.line + block.body, name, "exec"), names)  # noqa: S102
        elif block.language == "pycon":
            session = doctest.DocTestParser().get_doctest(block.body, names, name, name, block.line)
            run_doctest(session)
            names |= session.globs
        elif block.language in {"console", "bash", "shell", "sh"}:
            run_shell(block.body, place)
        else:
            continue
        ran += 1
    return ran


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in, with the examples in reach as they are in a checkout."""
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_runs(page: Path, place: Path) -> None:
    run_page(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)), place)


def test_the_readme_shows_python_that_runs(place: Path) -> None:
    assert run_page((ROOT / "README.md").read_text(encoding="utf-8"), "README.md", place) >= 2


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src" / "fanin")))
def test_docstring_examples_run(path: Path, place: Path) -> None:
    assert place == Path.cwd()
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    name = ".".join(p for p in parts if p != "__init__")
    backend = ELSEWHERE.get(path.relative_to(ROOT / "src" / "fanin").as_posix())
    if backend is not None:
        run_elsewhere(name, backend)
        return
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        run_doctest(test)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(path: Path, place: Path) -> None:
    python(str(path), cwd=place)


@pytest.mark.parametrize(
    "page",
    [
        "```python\nraise ValueError('wrong')\n```\n",
        "```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n",
        "```pycon\n>>> 1 + 1\n3\n```\n",
        "```console\n$ fanin no-such-command\n```\n",
        "```bash\nmake no-such-target\n```\n",
        "```bash\nfanin --version  # exits 7\n```\n",
    ],
)
def test_a_page_that_is_wrong_would_be_seen(page: str, place: Path) -> None:
    with pytest.raises((AssertionError, ValueError)):
        run_page(page, "page.md", place)


def test_a_wrong_docstring_example_would_be_seen() -> None:
    with pytest.raises(AssertionError, match="Expected"):
        run_doctest(doctest.DocTestParser().get_doctest(">>> 2 * 2\n5\n", {}, "planted", "planted", 0))


def test_blocks_share_names_and_reasons_are_read(place: Path) -> None:
    page = (
        "```python\nx = 2\n```\n\n```pycon\n>>> x + 1\n3\n```\n\n"
        "<!-- not run: downloads a model -->\n```python\n1 / 0\n```\n"
    )
    assert run_page(page, "page.md", place) == 2
