"""Plan, initialize and measure small models of many architectures of transformers; offline.

For each model type: one plan on fake tensors (timed), what became of every tensor, and the power at the
end of the path relative to its start, forward and backward, with the model's own initialization and
with fanin's, each with the verdict of `fanin.torch.check`. Models run in workers, so that one that
crashes or hangs is a row of the table; rows are kept in a file, so that a run can be taken up again.

    python benchmarks/transformers_sweep.py [--types gpt2 t5] [--rows FILE] [--minutes 25] [--page FILE]

Needs torch and transformers.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers_models import families
from transformers_page import figure, page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "transformers.md"
PATIENCE = 120
"""Seconds that a worker has for one model."""
BATCH = 40
"""Models that one worker takes before another process takes over, so that memory is given back."""


class Worker:
    """A process that measures models, and a thread that waits for its rows."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("transformers_row.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self._rows: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            self._rows.put(line)
        self._rows.put("")

    def row(self, kind: str, patience: float) -> dict[str, Any] | None:
        """The row of a model type; None if the worker died or took longer than these seconds."""
        if self._process.stdin is None or self._process.poll() is not None:
            return None
        self._process.stdin.write(kind + "\n")
        self._process.stdin.flush()
        try:
            line = self._rows.get(timeout=patience)
        except queue.Empty:
            return None
        row: dict[str, Any] | None = json.loads(line) if line else None
        return row

    def close(self, patience: float = PATIENCE) -> str:
        """End the process; what it died of."""
        code = self._process.poll()
        self._process.kill()
        self._process.wait()
        return f"took more than {patience:g} s" if code is None else f"the process ended with code {code}"


def swept(kinds: Sequence[str], limit: float, patience: float = PATIENCE) -> Iterator[dict[str, Any]]:
    """A row for every model type, as far as the seconds reach."""
    worker, taken = Worker(), 0
    end = time.monotonic() + limit
    for kind in kinds:
        if time.monotonic() > end:
            break
        if taken == BATCH:
            worker.close()
            worker, taken = Worker(), 0
        row = worker.row(kind, patience)
        taken += 1
        if row is None:
            row = {"kind": kind, "failed": worker.close(patience)}
            worker, taken = Worker(), 0
        yield row
    worker.close()


def state() -> str:
    """The commit that is measured; "" where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def told(row: dict[str, Any]) -> str:
    """One line of progress."""
    if "failed" in row or "not built" in row:
        return f"{row['kind']:32s} {row.get('failed') or row['not built']}"
    ends = [
        f"{figure(row[when].get('forward'))}/{figure(row[when].get('backward'))} "
        f"{' '.join(f[0] for f in row[when]['findings']) or 'healthy'}"
        for when in ("before", "after")
    ]
    odd = f" UNRECOGNISED {row['unrecognised'][:3]}" if row["unrecognised"] else ""
    return (
        f"{row['kind']:32s} {row['size'] / 1e6:6.2f}M {row['plan']:5.2f}s "
        f"{ends[0]:34s} -> {ends[1]}  unread {len(row['unread'])} {row['engine'][:90]}{odd}"
    )


def main() -> None:
    """Run the sweep and write its page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--types", nargs="*", help="model types; all that the table knows without it")
    parser.add_argument("--rows", type=Path, help="file of finished rows, to be taken up again")
    parser.add_argument("--page", type=Path, default=None, help=f"page to write, such as {PAGE.name}")
    parser.add_argument("--minutes", type=float, default=25.0, help="start no further model after these")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds for one model")
    parser.add_argument("--anew", action="store_true", help="measure the types again that are in the file")
    chosen = parser.parse_args()
    known: dict[str, dict[str, Any]] = {}
    if chosen.rows and chosen.rows.exists():
        known = {row["kind"]: row for row in map(json.loads, chosen.rows.read_text().splitlines())}
    kinds = chosen.types or families()
    start = time.perf_counter()
    todo = [kind for kind in kinds if chosen.anew or kind not in known]
    commit = state()
    for row in swept(todo, 60.0 * chosen.minutes, chosen.patience):
        row["state"] = commit
        known[row["kind"]] = row
        print(told(row), file=sys.stderr, flush=True)
        if chosen.rows:
            with chosen.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
    spent = time.perf_counter() - start
    rows = [known[kind] for kind in families() if kind in known]
    print(f"{len(rows)} rows, {spent:.0f} s", file=sys.stderr)
    if chosen.page:
        chosen.page.write_text(page(rows, len(families())))


if __name__ == "__main__":
    main()
