"""What the contracts look at: the tree as it lies in the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def package(root: Path) -> Path:
    """The Python sources."""
    return root / "src" / "fanin"


@pytest.fixture(scope="session")
def tree(root: Path) -> list[Path]:
    """Every file that belongs to the project: known to git, or new and not ignored."""
    if not (root / ".git").exists():  # an unpacked sdist holds nothing else
        return [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    files = [root / name for name in listed.split("\0") if name]
    return [path for path in files if path.is_file()]
