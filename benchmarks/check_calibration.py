"""How often a check is wrong: healthy networks that it warns about, sick ones that it misses.

    PYTHONPATH=src python benchmarks/check_calibration.py [--jobs 2] [--page] [--healthy 30] [--sick 12]

Every network is made from its seed (0, 1, 2 ...), in six sets: "healthy" and "sick" by `check_healthy.py`,
`check_more_healthy.py`, `check_sick.py` and `check_more_sick.py`; "public" and "brought" by
`check_unseen_healthy.py` and `check_brought.py`, "unseen" and "posted" by `check_unseen_sick.py` and
`check_posted.py`, written by people who had not read the rules. Results are appended to a file, a line a
network, so a run that was stopped goes on where it was. The tables go to stdout, or with `--page` between the
marks of docs/benchmarks/check.md. A sick network counts as found when the finding of its fault is there,
once, as a warning or worse (as a remark where the fault is one), with a word of its cause, and no other
warning beside.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import re
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from check_blocks import Case, Fault
from check_brought import BROUGHT
from check_healthy import HEALTHY
from check_more_healthy import MORE_HEALTHY
from check_more_sick import MORE_SICK
from check_posted import POSTED
from check_sick import SICK
from check_unseen_healthy import UNSEEN_HEALTHY
from check_unseen_sick import UNSEEN_SICK

import fanin.torch
from fanin.records.finding import Finding, Severity

__all__ = ["main"]

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "check.md"
SOUND: dict[str, dict[str, Callable[[int], Case]]] = {
    "healthy": HEALTHY | MORE_HEALTHY,
    "public": UNSEEN_HEALTHY,
    "brought": BROUGHT,
}
FAULTY: dict[str, dict[str, Fault]] = {"sick": SICK | MORE_SICK, "unseen": UNSEEN_SICK, "posted": POSTED}
SEEDS = {"healthy": 30, "public": 4, "brought": 2, "sick": 12, "unseen": 4, "posted": 4}


def findings(case: Case) -> tuple[Finding, ...]:
    """What fanin says of a case."""
    report = fanin.torch.check(case.model, *case.inputs, target=case.target, **case.options)
    return report.findings


def judge(fault: Fault | None, found: tuple[Finding, ...]) -> tuple[bool, str]:
    """Whether the answer is right, and what was said instead if it is not."""
    grave = [f for f in found if f.severity != Severity.INFO]
    said = ", ".join(f"{f.code} {f.severity}: {f.cause[:60]}" for f in found)
    if fault is None:
        return not grave, said
    right = [
        f for f in found if f.code in fault.codes and (fault.remark or f in grave) and fault.cause in f.cause
    ]
    others = [f for f in grave if f not in right]
    # Two remarks of one fault, such as its scale and its loss, do not contradict each other.
    once = len(right) == 1 or (fault.remark and len([f for f in right if f in grave]) <= 1 <= len(right))
    return once and not others, said


def upper(wrong: int, total: int) -> float:
    """Upper end of the 95 % interval of a share, by Wilson."""
    z = 1.96
    p = wrong / total
    middle = p + z * z / (2 * total)
    return (middle + z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))) / (1 + z * z / total)


def one(task: tuple[str, str, int]) -> dict[str, Any]:
    """Make and check one network."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    group, name, seed = task
    fault = FAULTY[group][name] if group in FAULTY else None
    make = SOUND[group][name] if fault is None else fault.make
    start = time.process_time()
    try:
        right, said = judge(fault, findings(make(seed)))
    except Exception as error:  # noqa: BLE001 - a check that fails is wrong, and the others go on
        right, said = False, f"{type(error).__name__}: {str(error)[:200]}"
    took = round(time.process_time() - start, 2)
    return {"set": group, "name": name, "seed": seed, "right": right, "said": said, "seconds": took}


def run(told: argparse.Namespace) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Check every network that has no result yet, in so many processes."""
    path = Path(told.results)
    path.parent.mkdir(parents=True, exist_ok=True)
    done = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )
    known = {(r["set"], r["name"], r["seed"]) for r in done}
    todo = [
        (group, name, seed)
        for group, kinds in (SOUND | FAULTY).items()
        for name in kinds
        for seed in range(told.first, told.first + getattr(told, group))
        if (not told.only or name in told.only) and (group, name, seed) not in known
    ]
    with path.open("a", encoding="utf-8") as out:
        for place, row in enumerate(_answers(todo, told.jobs), start=1):
            out.write(json.dumps(row) + "\n")
            out.flush()
            done.append(row)
            if place % 100 == 0:
                print(f"{place} of {len(todo)}", file=sys.stderr, flush=True)
    table = defaultdict(list)
    for row in done:
        table[row["set"], row["name"]].append(row)
    return table


def _answers(todo: list[tuple[str, str, int]], jobs: int) -> Iterator[dict[str, Any]]:
    if jobs < 2:
        yield from map(one, todo)
        return
    # Processes of their own: torch's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=400) as pool:
        yield from pool.imap_unordered(one, todo, chunksize=4)


def tables(table: dict[tuple[str, str], list[dict[str, Any]]]) -> dict[str, str]:
    """For each set its table, with the kinds in the order of their files."""
    texts: dict[str, str] = {}
    for group in SEEDS:
        kinds: Iterable[str] = SOUND[group] if group in SOUND else FAULTY[group]
        rows = {name: table[group, name] for name in kinds if (group, name) in table}
        if not rows:
            continue
        of, head = ("healthy", "warned about") if group in SOUND else ("sick", "not found once and alone")
        lines = [f"| {of} network | what | seeds | {head} | seeds concerned |", "|---|---|---|---|---|"]
        for name, found in rows.items():
            wrong = sorted(r["seed"] for r in found if not r["right"])
            made = SOUND[group][name] if group in SOUND else FAULTY[group][name].make
            what = (made.__doc__ or "").rstrip(".")
            code = "" if group in SOUND else f" ({' or '.join(FAULTY[group][name].codes)})"
            shown = ", ".join(map(str, wrong[:10])) or "none"
            lines.append(f"| {name}{code} | {what} | {len(found)} | {len(wrong)} | {shown} |")
        every = [r for found in rows.values() for r in found]
        bad = sum(not r["right"] for r in every)
        share = f"{100 * bad / len(every):.2f} %, at most {100 * upper(bad, len(every)):.2f} %"
        lines.append(f"| **all** | | {len(every)} | {bad} ({share}) | |")
        texts[group] = "\n".join(lines)
        print(f"{group}: {sum(r['seconds'] for r in every):.0f} s of one core", file=sys.stderr)
        for r in every:
            if not r["right"]:
                print(f"  {r['name']} {r['seed']}: {r['said']}", file=sys.stderr)
    return texts


def written(page: str, texts: dict[str, str]) -> str:
    """The page with its tables anew, each between its marks."""
    for group, text in texts.items():
        marks = re.compile(rf"(<!-- {group} -->\n).*?(<!-- end of {group} -->)", re.DOTALL)
        if not marks.search(page):
            raise SystemExit(f"{PAGE} has no marks for the set {group}")
        page = marks.sub(lambda found, text=text: f"{found[1]}\n{text}\n\n{found[2]}", page)
    return page


def main() -> None:
    """Run, and print or write a table a set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for group, count in SEEDS.items():
        parser.add_argument(f"--{group}", type=int, default=count, help=f"Seeds of each {group} kind.")
    parser.add_argument("--first", type=int, default=0, help="The first seed.")
    parser.add_argument("--results", default="benchmarks/results/check_calibration.jsonl")
    parser.add_argument("--only", nargs="*", help="Names of networks.")
    parser.add_argument("--jobs", type=int, default=1, help="Processes.")
    parser.add_argument("--page", action="store_true", help="Write the tables into the page.")
    told = parser.parse_args()
    texts = tables(run(told))
    if told.page:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), texts), encoding="utf-8")
    else:
        print("\n\n".join(texts.values()))


if __name__ == "__main__":
    main()
