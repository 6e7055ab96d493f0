"""What runs the checks must not hide that one failed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def step(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run `scripts/step` without a terminal."""
    return subprocess.run(
        [root / "scripts" / "step", "do it", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_step_is_one_line_with_its_time(root: Path) -> None:
    done = step(root, "sh", "-c", "echo loud; echo louder >&2")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].split()[:2] == ["do", "it"]
    assert lines[0].endswith(" s")
    assert done.stderr == ""


def test_a_step_that_fails_says_so_and_shows_its_log(root: Path) -> None:
    done = step(root, "sh", "-c", "echo the reason; exit 3")
    assert done.returncode == 3
    assert "FAILED" in done.stdout
    assert "| the reason" in done.stdout


@pytest.fixture
def makefile(root: Path, tmp_path: Path) -> Path:
    """A folder with `scripts/checks` and targets that pass and fail."""
    shutil.copytree(root / "scripts", tmp_path / "scripts")
    (tmp_path / "Makefile").write_text(
        "good:\n\t@echo well\nbad:\n\t@false\nlast:\n\t@echo reached\n", encoding="utf-8"
    )
    return tmp_path


def checks(place: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    """Run `scripts/checks` outside of any make."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["scripts/checks", *targets],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={key: value for key, value in clean.items() if key != "MFLAGS"},
    )


def test_all_checks_pass_in_one_clear_line(makefile: Path) -> None:
    done = checks(makefile, "good", "last")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "all checks passed"


def test_a_failed_check_is_named_and_the_rest_still_runs(makefile: Path) -> None:
    done = checks(makefile, "good", "bad", "last")
    assert done.returncode == 1
    assert "reached" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("checks failed: bad ")
    assert "all checks passed" not in done.stdout
