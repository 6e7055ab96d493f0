"""Draw orthogonal matrices, fanin beside PyTorch in one process: medians of runs that take turns.

Each number of threads is a process of its own.
Prints a table, and writes it as a page of the documentation.

    python benchmarks/orthogonal.py [--runs 5] [--threads 1 2] [--page docs/benchmarks/orthogonal.md]

Needs torch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fanin.records.axes import Axes, Role
from fanin.records.draw import Orthogonal
from fanin.sampling.engine import fill

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "orthogonal.md"
SHAPES = [(1024, 1024), (2048, 2048), (4096, 4096), (1024, 4096), (4096, 1024), (512, 64, 64)]
DRAW = Orthogonal(gain=1.0, std=1.0)
HEADS = Axes(roles=(Role.BATCH, Role.OUT, Role.IN))


HEAD = """---
orphan: true
---

# Orthogonal matrices

Written by `benchmarks/orthogonal.py`; run it to write this page anew.

Medians of {runs} runs in which PyTorch {torch} (`torch.nn.init.orthogonal_`) and fanin take turns in
one process; NumPy {numpy}; {machine}, {processors} processors, load average {load:.1f} at the end of the run.
(Above the number of processors the machine was busy with other things; libraries whose threads wait
for each other lose most by it.) PyTorch has no 16-bit version.
"""
TAIL = """PyTorch factorizes a Gaussian matrix (for side n, 4/3 n³ operations) and then forms Q (4/3 n³ more).
fanin draws the reflections, so it only forms Q: 4/3 n³ operations, nearly all in matrix products of
its kernel's own, whose speed is in the table; two 512-bit fused multiply-adds a cycle bound it.
The order of every sum is fixed, so results are the same bits for any number of threads.
"""


def medians(runs: int, *work: Callable[[], object]) -> list[float]:
    """Median milliseconds of each piece of work, taking turns."""
    times: list[list[float]] = [[] for _ in work]
    for _ in range(runs):
        for spent, run in zip(times, work, strict=True):
            start = time.perf_counter()
            run()
            spent.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(spent) for spent in times]


def off(weight: np.ndarray) -> float:
    """Largest element of ``|W W' - I|`` (of the shorter side), in float64."""
    wide = weight.astype(np.float64)
    if wide.shape[-2] > wide.shape[-1]:
        wide = wide.swapaxes(-1, -2)
    return float(np.abs(wide @ wide.swapaxes(-1, -2) - np.eye(wide.shape[-2])).max())


def operations(shape: tuple[int, ...]) -> float:
    """Floating-point operations of forming Q from its reflections: ``sum over k of 4 (s - k) (l - k)``."""
    count = shape[0] if len(shape) == 3 else 1
    short, long = sorted(shape[-2:])
    return count * sum(4.0 * (short - k) * (long - k) for k in range(short))


def torch_fills(tensor: torch.Tensor) -> None:
    """One matrix, or one for each index of the first of three dimensions."""
    for matrix in tensor if tensor.ndim == 3 else [tensor]:
        torch.nn.init.orthogonal_(matrix)


def measure(shape: tuple[int, ...], runs: int, threads: int) -> dict[str, object]:
    """One row of the table."""
    tensor = torch.ones(shape)
    out = np.ones(shape, np.float32)
    double = np.ones(shape, np.float64)
    half = np.ones(shape, np.uint16)
    axes = HEADS if len(shape) == 3 else None

    def ours(target: np.ndarray, dtype: str) -> Callable[[], None]:
        return lambda: fill(target, DRAW, seed=0, name="w", axes=axes, dtype=dtype, threads=threads)

    theirs, single, bf16, wide = medians(
        runs,
        lambda: torch_fills(tensor),
        ours(out, "float32"),
        ours(half, "bfloat16"),
        ours(double, "float64"),
    )
    return {
        "shape": " × ".join(map(str, shape)),
        "torch": theirs,
        "float32": single,
        "rate": operations(shape) / single * 1e-6,
        "bfloat16": bf16,
        "float64": wide,
        "off": off(out),
        "torch_off": off(tensor.numpy()),
        "from_float64": float(np.abs(out - double).max()),
    }


def child(threads: int, runs: int) -> list[dict[str, object]]:
    """The rows of a number of threads, from a process of its own."""
    count = {name: str(threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, __file__, "--child", "--runs", str(runs), "--threads", str(threads)]
    done = subprocess.run(command, env={**os.environ, **count}, stdout=subprocess.PIPE, check=True)
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def table(rows: list[dict[str, object]]) -> list[str]:
    """Rows as Markdown."""
    head = (
        "| matrix | torch float32, ms | fanin float32, ms | faster | GFLOP/s | bfloat16, ms | float64, ms "
        "| torch, max of WWᵀ − I | fanin | fanin, off its float64 |"
    )
    lines = [head, "|---|" + "---:|" * 9]
    for row in rows:
        ratio = float(str(row["torch"])) / float(str(row["float32"]))
        lines.append(
            "| {shape} | {torch:.1f} | {float32:.1f} | **{ratio:.1f}×** | {rate:.0f} "
            "| {bfloat16:.1f} | {float64:.1f} | {torch_off:.1e} | {off:.1e} | {from_float64:.1e} |".format(
                ratio=ratio, **row
            )
        )
    return lines


def page(tables: dict[int, list[dict[str, object]]], runs: int) -> str:
    """The whole page."""
    lines = HEAD.format(
        runs=runs,
        torch=torch.__version__,
        numpy=np.__version__,
        machine=platform.machine(),
        processors=os.cpu_count(),
        load=os.getloadavg()[0],
    ).splitlines()
    for threads, rows in tables.items():
        lines += ["", f"## {threads} thread{'s' if threads > 1 else ''}", "", *table(rows)]
    lines += ["", TAIL]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        torch.set_num_threads(options.threads[0])
        print(json.dumps([measure(shape, options.runs, options.threads[0]) for shape in SHAPES]))
        return
    text = page({threads: child(threads, options.runs) for threads in options.threads}, options.runs)
    print(text)
    options.page.parent.mkdir(parents=True, exist_ok=True)
    options.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
