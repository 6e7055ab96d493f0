"""Fill a large tensor, fanin beside PyTorch: nanoseconds an element, and how many times faster.

Each figure is the median of interleaved runs, so that a busy machine slows both alike.

    python benchmarks/sampling.py [--elements 33554432] [--runs 7] [--threads 1]

Needs torch. PyTorch fills float32, float64 and bfloat16 on one thread whatever their number.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from fanin import _kernel
from fanin.records.axes import Axes, Role
from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.backends import VARIABLE
from fanin.sampling.cast import format_of
from fanin.sampling.engine import fill

UNIFORM = Uniform(low=-1.0, high=1.0)
NORMAL = Normal(std=0.02)
TRUNCATED = TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0)

CASES: list[tuple[str, Draw, str, Callable[[torch.Tensor], object]]] = [
    ("uniform", UNIFORM, "float32", lambda t: t.uniform_(-1.0, 1.0)),
    ("normal", NORMAL, "float32", lambda t: t.normal_(0.0, 0.02)),
    ("normal", NORMAL, "bfloat16", lambda t: t.normal_(0.0, 0.02)),
    ("normal", NORMAL, "float16", lambda t: t.normal_(0.0, 0.02)),
    ("normal", NORMAL, "float64", lambda t: t.normal_(0.0, 0.02)),
    (
        "truncated",
        TRUNCATED,
        "float32",
        lambda t: torch.nn.init.trunc_normal_(t, 0.0, 1.0, -2.0, 2.0),
    ),
]


def medians(runs: int, elements: int, *work: Callable[[], object]) -> list[float]:
    """Median nanoseconds an element of each piece of work, taking turns."""
    times: list[list[float]] = [[] for _ in work]
    for _ in range(runs):
        for spent, run in zip(times, work, strict=True):
            start = time.perf_counter()
            run()
            spent.append((time.perf_counter() - start) / elements * 1e9)
    return [statistics.median(spent) for spent in times]


def forced(path: str, run: Callable[[], None]) -> Callable[[], None]:
    """The same work on one path of the kernel."""

    def work() -> None:
        os.environ[VARIABLE] = path
        run()
        del os.environ[VARIABLE]

    return work


def main() -> None:
    """Print one row for each draw and dtype."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--elements", type=int, default=1 << 25)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    paths = _kernel.paths()
    print(
        f"{options.elements} elements, threads: {options.threads}, median ns/element of {options.runs} runs"
    )
    print(f"{'draw':<10} {'dtype':<9} {'torch':>7}" + "".join(f"{p:>18}" for p in paths))
    for label, draw, dtype, theirs in CASES:
        tensor = torch.ones(options.elements, dtype=getattr(torch, dtype))
        out = np.ones(options.elements, format_of(dtype).storage)

        def run(out: np.ndarray = out, draw: Draw = draw, dtype: str = dtype) -> None:
            fill(out, draw, seed=0, name="w", dtype=dtype, threads=options.threads)

        base, *ours = medians(
            options.runs,
            options.elements,
            lambda tensor=tensor, theirs=theirs: theirs(tensor),  # type: ignore[misc]
            *(forced(path, run) for path in paths),
        )
        cells = "".join(f"{ns:>10.2f} {base / ns:>6.1f}x" for ns in ours)
        print(f"{label:<10} {dtype:<9} {base:>7.2f}{cells}", flush=True)
    side = int(options.elements**0.5)
    square = np.ones((side, side), np.float32)
    axes = Axes(roles=(Role.IN, Role.OUT))
    plain, turned = medians(
        options.runs,
        side * side,
        lambda: fill(square, NORMAL, seed=0, name="w", threads=options.threads),
        lambda: fill(square, NORMAL, seed=0, name="w", axes=axes, threads=options.threads),
    )
    print(f"square matrix stored as (out, in): {plain:.2f}; as (in, out): {turned:.2f}")


if __name__ == "__main__":
    main()
