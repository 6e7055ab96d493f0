"""The import contracts of pyproject.toml hold, and would notice a breach."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# An editable install answers for `fanin` before any path does; the copy below must be the one that is read.
LINT = (
    "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'Redirect' not in type(f).__name__]; "
    "sys.path.insert(0, 'src'); "
    "from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
)


def lint(place: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the copy of the package in `place`."""
    return subprocess.run(
        [sys.executable, "-c", LINT],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=300,
    )


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A copy of the package and its contracts that a test may spoil."""
    shutil.copytree(root / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("room", "line", "told"),
    [
        ("laws", "from fanin.sampling import SPEC", "fanin.laws is not allowed to import fanin.sampling"),
        ("plans", "import fanin.checks", "fanin.plans is not allowed to import fanin.checks"),
        ("schemes", "def late() -> None:\n    import torch", "fanin.schemes is not allowed to import torch"),
        ("plans", "import rich", "fanin.plans is not allowed to import rich"),
    ],
)
def test_a_breach_would_be_seen(copy: Path, room: str, line: str, told: str) -> None:
    (copy / "src" / "fanin" / room / "planted.py").write_text(line + "\n", encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert told in done.stdout


def test_a_room_without_a_place_would_be_seen(copy: Path) -> None:
    (copy / "src" / "fanin" / "attic.py").write_text("", encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "attic" in done.stdout
