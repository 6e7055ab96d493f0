"""How often a check is wrong: healthy networks that it warns about, sick ones that it misses.

    PYTHONPATH=src python benchmarks/check_calibration.py [--healthy 80] [--sick 20] [--results FILE]

Every network is made from its seed (0, 1, 2 ...) by `check_healthy.py` and `check_sick.py`. Results are
appended to a file, a line a network, so a run that was stopped goes on where it was. The table goes to
stdout. A sick network counts as found when the finding of its fault is there, once, as a warning or worse
(as a remark where the fault is one), with a word of its cause, and no other warning beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from check_blocks import Case, Fault
from check_healthy import HEALTHY
from check_sick import SICK

import fanin.torch
from fanin.records.finding import Finding, Severity

__all__ = ["main"]


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
    return len(right) == 1 and not others, said


def upper(wrong: int, total: int) -> float:
    """Upper end of the 95 % interval of a share, by Wilson."""
    z = 1.96
    p = wrong / total
    middle = p + z * z / (2 * total)
    return (middle + z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))) / (1 + z * z / total)


def run(told: argparse.Namespace) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Check every network that has no result yet."""
    path = Path(told.results)
    path.parent.mkdir(parents=True, exist_ok=True)
    done = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )
    known = {(r["set"], r["name"], r["seed"]) for r in done}
    todo = [("healthy", name, make, None) for name, make in HEALTHY.items()]
    todo += [("sick", name, fault.make, fault) for name, fault in SICK.items()]  # type: ignore[misc]
    with path.open("a", encoding="utf-8") as out:
        for group, name, make, fault in todo:
            if told.only and name not in told.only:
                continue
            count = told.healthy if group == "healthy" else told.sick
            for seed in range(told.first, told.first + count):
                if (group, name, seed) in known:
                    continue
                start = time.process_time()
                right, said = judge(fault, findings(make(seed)))
                took = time.process_time() - start
                row = {
                    "set": group,
                    "name": name,
                    "seed": seed,
                    "right": right,
                    "said": said,
                    "seconds": round(took, 2),
                }
                out.write(json.dumps(row) + "\n")
                out.flush()
                done.append(row)
            print(f"{group} {name}", file=sys.stderr, flush=True)
    table = defaultdict(list)
    for row in done:
        table[row["set"], row["name"]].append(row)
    return table


def main() -> None:
    """Run, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--healthy", type=int, default=80, help="Seeds of each kind of healthy network.")
    parser.add_argument("--sick", type=int, default=20, help="Seeds of each sick network.")
    parser.add_argument("--first", type=int, default=0, help="The first seed.")
    parser.add_argument("--results", default="benchmarks/results/check_calibration.jsonl")
    parser.add_argument("--only", nargs="*", help="Names of networks.")
    told = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    table = run(told)
    for group, head in (("healthy", "warned about"), ("sick", "not found, or with another warning beside")):
        rows = {name: found for (kind, name), found in table.items() if kind == group}
        if not rows:
            continue
        print(f"\n| {group} network | what | seeds | {head} | seeds concerned |\n|---|---|---|---|---|")
        for name, found in rows.items():
            wrong = [r["seed"] for r in found if not r["right"]]
            made = HEALTHY[name] if group == "healthy" else SICK[name].make
            what = (made.__doc__ or "").rstrip(".")
            code = "" if group == "healthy" else f" ({' or '.join(SICK[name].codes)})"
            shown = ", ".join(map(str, wrong[:10])) or "none"
            print(f"| {name}{code} | {what} | {len(found)} | {len(wrong)} | {shown} |")
        every = [r for found in rows.values() for r in found]
        wrong_ = sum(not r["right"] for r in every)
        print(f"| **all** | | {len(every)} | {wrong_} ({100 * wrong_ / len(every):.2f} %, "
              f"at most {100 * upper(wrong_, len(every)):.2f} %) | |")  # fmt: skip
        print(f"\n{sum(r['seconds'] for r in every):.0f} s of one core", file=sys.stderr)
        for r in every:
            if not r["right"]:
                print(f"  {r['name']} {r['seed']}: {r['said']}", file=sys.stderr)


if __name__ == "__main__":
    main()
