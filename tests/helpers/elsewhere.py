"""Programs in processes of their own, which see the same packages as the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["python"]


def python(*arguments: str, timeout: float = 300, cwd: Path | None = None, **environment: str) -> str:
    """What Python writes to stdout; raises with all that it says if it fails."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **environment},
    )
    if done.returncode:
        raise AssertionError(f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout
