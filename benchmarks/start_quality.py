"""Whether fanin's weights train as well as the authors' own: the same data, several rates, several seeds.

    PYTHONPATH=src python benchmarks/start_quality.py [--only KIND ...] [--seeds 3] [--steps 120]

Every kind of `check_unseen_healthy.py` and of `start_quality_kinds.py` is trained from its authors' weights
and from `fanin.torch.init_`'s, on the same batches in the same order with the same dropout. Each side has the
learning rate, of the kind's own and a few around it, at which it ends lowest, so that a scale that only
wants another rate is not called worse. The measure is the training loss over the last tenth of the
steps; sides are compared seed by seed. With `--exchange` the tensors whose rule or name fits a pattern keep
their authors' numbers (`PATTERN=0.5`: get fanin's times a half), which shows what a difference comes from.

Results are appended to a file, a line a run, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from check_unseen_healthy import FILES
from check_unseen_healthy_data import Case, train
from scipy.stats import t as student
from start_quality_kinds import MORE

import fanin.torch

__all__ = ["main"]

OWN, FANIN = "own", "fanin"
FACTORS = (0.3, 1.0, 3.0)
"""Learning rates, in units of the kind's own."""
STEP = 10.0**0.5
"""From the best rate to a further one beyond the edge."""
BATCHES = 100_000
"""Numbers of batches from one seed to the next."""
FLOOR = 0.01
"""Share of the loss without inputs that is added to both ends: below it nothing is left to learn."""
WORSE = math.log(1.1)
"""Ends nearer to each other than a tenth count as equal."""
CHANCE = 0.05
"""How often a mean of paired differences may pass for one side's without being it (Student, one side)."""


def kinds() -> dict[str, Callable[[int], Case]]:
    """All kinds by name."""
    found: dict[str, Callable[[int], Case]] = {}
    for file in FILES:
        found |= importlib.import_module(f"check_unseen_healthy_{file}").KINDS
    return found | MORE


def made(kind: str, side: str, seed: int) -> Case:
    """A kind from one beginning; `side` is "own", "fanin", or "fanin~PATTERN" with exchanged tensors."""
    torch.manual_seed(seed)
    case = kinds()[kind](seed)
    if side == OWN:
        return case
    inputs, _ = case.draw(BATCHES * (seed + 1) - 1)
    before = {name: tensor.detach().clone() for name, tensor in case.model.state_dict().items()}
    plan = fanin.torch.init_(case.model, *inputs, seed=seed)
    patterns = side.split("~")[1:]
    now = case.model.state_dict()
    changed = {
        entry.name: before[entry.name] if not times else now[entry.name] * float(times)
        for entry in plan.entries
        for pattern, _, times in (whole.partition("=") for whole in patterns)
        if entry.name in before and any(fnmatch.fnmatchcase(x, pattern) for x in (entry.rule, entry.name))
    }
    case.model.load_state_dict(changed, strict=False)
    return case


def run(kind: str, side: str, factor: float, seed: int, steps: int) -> dict[str, Any]:
    """Train once: the mean loss of the last tenth of the steps, and that of all."""
    start = time.process_time()
    case = made(kind, side, seed)
    case = replace(case, lr=case.lr * factor)
    torch.manual_seed(seed)  # dropout is the same on both sides
    try:
        losses = train(case, steps=steps, first=BATCHES * (seed + 1))
    except ValueError:  # a distribution whose parameters are no numbers any more
        losses = [math.inf]
    last = losses[-max(1, len(losses) // 10) :]
    good = all(math.isfinite(loss) for loss in losses)
    return {
        "kind": kind,
        "side": side,
        "factor": factor,
        "seed": seed,
        "steps": steps,
        "first": losses[0],
        "end": statistics.fmean(last) if good else math.inf,
        "area": statistics.fmean(losses) if good else math.inf,
        "chance": case.chance,
        "seconds": round(time.process_time() - start, 1),
    }


class Book:
    """Runs that were made, kept in a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            self._add(json.loads(line))

    def _add(self, row: dict[str, Any]) -> None:
        self.rows[row["kind"], row["side"], row["factor"], row["seed"], row["steps"]] = row

    def get(self, *key: Any) -> dict[str, Any]:
        """A run, made now if it is not known."""
        if key not in self.rows:
            row = run(*key)
            with self.path.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
            self._add(row)
        return self.rows[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both sides of a kind at their best rates, a run a seed."""

    kind: str
    own: tuple[dict[str, Any], ...]
    other: tuple[dict[str, Any], ...]
    same: tuple[float, ...]
    """Both ends of the first seed at the kind's own rate."""

    @property
    def logs(self) -> list[float]:
        """Logarithms of the ratios of the ends, a seed each; differences where a loss may be negative."""
        pairs = [(o["end"], f["end"]) for o, f in zip(self.own, self.other, strict=True)]
        floor = FLOOR * abs(self.own[0]["chance"])
        if not all(map(math.isfinite, (o for o, _ in pairs))):
            return [0.0 if f == o else -math.inf for o, f in pairs]
        if all(o > 0.0 and f > 0.0 for o, f in pairs):
            return [math.log((f + floor) / (o + floor)) for o, f in pairs]
        return [(f - o) / abs(row["first"] - o) for (o, f), row in zip(pairs, self.own, strict=True)]

    @property
    def area(self) -> float:
        """The ratio of the mean losses over all steps."""
        own, other = (statistics.fmean(row["area"] for row in side) for side in (self.own, self.other))
        return other / own

    @property
    def error(self) -> float:
        """Standard error of the mean of `logs`."""
        logs = self.logs
        if len(logs) < 2 or not all(map(math.isfinite, logs)):
            return 0.0
        return statistics.stdev(logs) / math.sqrt(len(logs))

    @property
    def verdict(self) -> str:
        """Better or worse by a tenth and beyond the noise, equal, or not shown."""
        mean = statistics.fmean(self.logs)
        if abs(mean) < WORSE:
            return "equal"
        if abs(mean) < student.isf(CHANCE, max(1, len(self.own) - 1)) * self.error:
            return "not shown"
        return "worse" if mean > 0 else "better"


def pair(book: Book, kind: str, side: str, told: argparse.Namespace) -> Pair:
    """Both sides, each at its best rate."""
    own, other = (_best(book, kind, one, told) for one in (OWN, side))
    same = tuple(book.get(kind, one, 1.0, 0, told.steps)["end"] for one in (OWN, side))
    return Pair(kind=kind, own=own, other=other, same=same)


def _best(book: Book, kind: str, side: str, told: argparse.Namespace) -> tuple[dict[str, Any], ...]:
    """The runs at the best of the rates at which the first seed ends lowest.

    Further rates are tried as long as the best is the largest or the smallest.
    """
    ends = {factor: book.get(kind, side, factor, 0, told.steps)["end"] for factor in FACTORS}
    while True:
        ranked = sorted(ends, key=lambda factor: (ends[factor], abs(math.log(factor))))
        best = ranked[0]
        further = best * STEP if best == max(ends) else best / STEP if best == min(ends) else best
        if best == further or len(ends) >= told.rates:
            break
        further = float(f"{further:.2g}")
        ends[further] = book.get(kind, side, further, 0, told.steps)["end"]
    runs = [
        tuple(book.get(kind, side, factor, seed, told.steps) for seed in range(told.seeds))
        for factor in ranked[: told.finalists]
    ]
    return min(runs, key=lambda rows: statistics.fmean(row["end"] for row in rows))


HEADER = (
    "| network | their own ends at | rate | fanin's ends at | rate | ratio | area | same rate | verdict |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---|"
)


def line(found: Pair) -> str:
    """A row of the table."""
    cells = []
    for side in (found.own, found.other):
        ends = [row["end"] for row in side]
        cells.append(f"{statistics.fmean(ends):.3g}")
        cells.append(f"× {side[0]['factor']:g}")
    logs, spread = found.logs, found.error
    ratio = f"{math.exp(statistics.fmean(logs)):.2f} (× or ÷ {math.exp(spread):.2f})"
    cells += [ratio, f"{found.area:.2f}", f"{found.same[1] / found.same[0]:.2f}", found.verdict]
    return f"| {found.kind} | {' | '.join(cells)} |"


def table(pairs: Iterable[Pair]) -> str:
    """The table, the worst first."""
    rows = sorted(pairs, key=lambda found: -statistics.fmean(found.logs))
    return "\n".join([HEADER, *map(line, rows)])


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="Names of kinds.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--rates", type=int, default=5, help="The most rates that are tried.")
    parser.add_argument("--finalists", type=int, default=2, help="Rates that are tried with all seeds.")
    parser.add_argument("--exchange", nargs="*", default=[], help="Patterns, joined by ~, each a side more.")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/start_quality.jsonl"))
    told = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    book, found = Book(told.results), []
    for kind in told.only or kinds():
        for side in [f"{FANIN}~{pattern}" for pattern in told.exchange] or [FANIN]:
            one = pair(book, kind, side, told)
            print(line(one), side if side != FANIN else "", flush=True)
            found.append(one)
    if not told.exchange:
        print(table(found))


if __name__ == "__main__":
    main()
