"""Fill tensors, fanin beside what a user would pick instead: nanoseconds an element, and how much faster.

Each figure is the least of interleaved runs, so that whatever else the machine does slows all alike and
counts least. Buffers are touched before. On one thread the processor's time counts, on more the wall clock.

    python benchmarks/sampling.py [--elements 67108864] [--runs 5] [--write docs/benchmarks/sampling.md]

Needs torch. Rows of JAX (pip install jax) and of Intel's MKL (pip install mkl, by ctypes) appear where they
are installed, and the table says so where not.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fanin import _kernel
from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.backends import VARIABLE
from fanin.sampling.cast import format_of
from fanin.sampling.engine import fill
from fanin.sampling.many import fill_many

UNIFORM = Uniform(low=-0.02, high=0.02)
NORMAL = Normal(std=0.02)
TRUNCATED = TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0)
SMALL, TENSORS = 256, 10_000
# mkl_vsl_defines.h: generators count in steps of 2**20; the inverse CDF is method 2 of the Gaussian.
MKL_SFMT, MKL_ARS5, MKL_ICDF = 13 << 20, 15 << 20, 2

BOUNDS = [
    "What bounds fanin, counted in its inner loops (AVX-512, two vector instructions a cycle, 16 elements",
    "a vector): Philox4x32-10 takes 28.5 vector instructions for 16 words, a uniform 3 more, a normal 32",
    "more. Under such a load the processor runs at 3.3 GHz, so that is 0.30 and 0.57 ns an element, and 0.30",
    "and 0.60 were measured with the output in the caches: nothing is left to schedule better, and what is",
    "more with 64 Mi elements is the memory. MKL's ARS5 takes its bits from the processor's AES instructions",
    "in about 0.1 ns, so no kernel of Philox with ten rounds reaches it on one core while the memory keeps",
    "up. Of the normal's 32 instructions 6 keep compilers from fusing: the price of equal bits everywhere.",
    "",
    "Of Philox's 20 multiplications a block 3 are saved, and what is constant in its first three rounds is",
    "computed once for a fill. Tried without gain: the upper halves of products through memory instead of by",
    "shifts (a store and a load of 64 bytes cost as much as the shift); 52-bit multiplications (the upper",
    "half without a shift, but the lower half needs a multiplication of its own); fewer blocks side by side",
    "(two or three groups of eight are 5 to 20 % slower than four). Next: some blocks by the scalar",
    "multiplier, whose port is idle; it could add a seventh of the words at most.",
]

Work = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison: what both do, on how many threads, and what is asked of the ratio."""

    label: str
    threads: int
    theirs: str
    ns_theirs: float
    ns_ours: float
    least: float
    aim: float

    @property
    def ratio(self) -> float:
        """How many times faster fanin is."""
        return self.ns_theirs / self.ns_ours

    @property
    def verdict(self) -> str:
        """What the ratio reaches."""
        return "aim" if self.ratio >= self.aim else "yes" if self.ratio >= self.least else "**no**"


def least(runs: int, elements: int, threads: int, *work: Work) -> list[float]:
    """Least nanoseconds an element of each piece of work, taking turns; processor time on one thread."""
    clock = time.process_time if threads == 1 else time.perf_counter
    best = [float("inf")] * len(work)
    for _ in range(runs):
        for place, run in enumerate(work):
            start = clock()
            run()
            best[place] = min(best[place], (clock() - start) / elements * 1e9)
    return best


@contextlib.contextmanager
def forced(path: str) -> Iterator[None]:
    """Force a path of the kernel."""
    os.environ[VARIABLE] = path
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def on_path(path: str, run: Work) -> Work:
    """The same work on one path."""

    def work() -> None:
        with forced(path):
            run()

    return work


def mkl_streams() -> tuple[Any, dict[str, ctypes.c_void_p]] | None:
    """MKL and a stream of each of its two fastest generators, if the package is installed."""
    names = ("libmkl_rt.so.3", "libmkl_rt.so.2", "libmkl_rt.so")
    for path in [Path(sys.prefix) / "lib" / name for name in names]:
        if not path.exists():
            continue
        mkl = ctypes.CDLL(str(path))
        mkl.MKL_Set_Num_Threads(1)
        streams = {}
        for name, code in (("ARS5", MKL_ARS5), ("SFMT19937", MKL_SFMT)):
            streams[name] = ctypes.c_void_p()
            if mkl.vslNewStream(ctypes.byref(streams[name]), code, 7):
                return None
        return mkl, streams
    return None


class Bench:
    """Buffers and rows of one run."""

    def __init__(self, elements: int, runs: int) -> None:
        self.elements, self.runs = elements, runs
        self.cores = len(os.sched_getaffinity(0))
        self.rows: list[Row] = []
        self.missing: list[str] = []
        self.out = np.ones(elements, np.float32)
        self.tensor = torch.ones(elements)

    def ours(self, draw: Draw, threads: int, dtype: str = "float32", out: Any = None) -> Work:
        """Fanin's side of a comparison."""
        target = self.out if out is None else out
        return lambda: fill(target, draw, seed=0, name="w", dtype=dtype, threads=threads)

    def add(
        self, label: str, threads: int, theirs: str, pair: tuple[float, float], least: float, aim: float
    ) -> None:
        """Keep a row and print it."""
        row = Row(
            label=label,
            threads=threads,
            theirs=theirs,
            ns_theirs=pair[0],
            ns_ours=pair[1],
            least=least,
            aim=aim,
        )
        self.rows.append(row)
        print(
            f"{label:<35} {threads} thr  {theirs:<34} {row.ns_theirs:8.3f} {row.ns_ours:8.3f}"
            f" {row.ratio:7.2f}x  (least {least:g}, aim {aim:g}) {row.verdict}",
            flush=True,
        )

    def compare(
        self, label: str, threads: int, theirs: str, run: Work, ours: Work, least_: float, aim: float
    ) -> None:
        """Time both sides."""
        torch.set_num_threads(threads)
        run()
        ours()
        pair = least(self.runs, self.elements, threads, run, ours)
        self.add(label, threads, theirs, (pair[0], pair[1]), least_, aim)

    def torch_rows(self) -> None:
        """PyTorch's in-place fills, which use one thread whatever their number."""
        t, both = self.tensor, self.cores
        normal: Work = lambda: t.normal_(0.0, 0.02)  # noqa: E731
        uniform: Work = lambda: t.uniform_(-0.02, 0.02)  # noqa: E731
        self.compare("normal", both, "torch normal_", normal, self.ours(NORMAL, both), 6, 10)
        self.compare("normal", 1, "torch normal_", normal, self.ours(NORMAL, 1), 3, 5)
        # As Keras, Flax and GPT-2 store a matrix: (in, out) in memory, (out, in) in the stream.
        side = int(self.elements**0.5)
        turned = self.ours(NORMAL, 1, out=self.out[: side * side].reshape(side, side).T)
        stored = t[: side * side].view(side, side)
        pair = least(self.runs, side * side, 1, lambda: stored.normal_(0.0, 0.02), turned)
        self.add("normal, stored (in, out)", 1, "torch normal_", (pair[0], pair[1]), 3, 5)
        if "avx2" in _kernel.paths():
            avx2 = on_path("avx2", self.ours(NORMAL, 1))
            self.compare("normal, AVX2 forced", 1, "torch normal_", normal, avx2, 2, 3)
        self.compare("uniform", both, "torch uniform_", uniform, self.ours(UNIFORM, both), 10, 16)
        cut: Work = lambda: torch.nn.init.trunc_normal_(t, 0.0, 1.0, -2.0, 2.0)  # noqa: E731
        ours = self.ours(TRUNCATED, both)
        self.compare("truncated at 2 sigma", both, "torch trunc_normal_", cut, ours, 100, 150)
        small = torch.ones(self.elements, dtype=torch.bfloat16)
        patterns = np.ones(self.elements, format_of("bfloat16").storage)
        half: Work = lambda: small.normal_(0.0, 0.02)  # noqa: E731
        ours = self.ours(NORMAL, both, "bfloat16", patterns)
        self.compare("normal, bfloat16", both, "torch bfloat16 normal_", half, ours, 6, 12)
        # The ratio asked for is a share of the write limit: at most 2.5 times its time.
        self.compare("uniform", both, "torch zero_", t.zero_, self.ours(UNIFORM, both), 1 / 2.5, 1 / 1.5)

    def numpy_rows(self) -> None:
        """NumPy's ziggurat over Philox."""
        generator = np.random.Generator(np.random.Philox(0))
        values = np.ones(self.elements, np.float32)
        run: Work = lambda: generator.standard_normal(out=values, dtype=np.float32)  # noqa: E731
        self.compare(
            "normal", self.cores, "NumPy Generator(Philox)", run, self.ours(NORMAL, self.cores), 20, 25
        )

    def jax_rows(self) -> None:
        """Jitted draws of JAX, with its default and its fastest generator on CPU."""
        try:
            import jax  # noqa: PLC0415
        except ImportError:
            self.missing.append("jax")
            return
        for name, bounds in ((None, (30.0, 40.0)), ("philox4x32", (6.0, 9.0))):
            label = name or "default"
            try:
                key = jax.random.key(0) if name is None else jax.random.key(0, impl=name)
            except (ValueError, TypeError):
                self.missing.append(f"the generator {name} of this jax")
                continue
            draw = jax.jit(lambda key: jax.random.normal(key, (self.elements,), np.float32))
            ours = self.ours(NORMAL, self.cores)
            run: Work = lambda draw=draw, key=key: draw(key).block_until_ready()  # type: ignore[misc]  # noqa: E731
            self.compare("normal", self.cores, f"jax.random.normal, jit, {label}", run, ours, *bounds)

    def mkl_rows(self) -> None:
        """The fastest of MKL's generators for each law, one core."""
        found = mkl_streams()
        if found is None:
            self.missing.append("mkl")
            return
        mkl, streams = found
        target = np.ones(self.elements, np.float32)
        pointer, count = target.ctypes.data_as(ctypes.c_void_p), ctypes.c_int(self.elements)
        first, second = ctypes.c_float(0.0), ctypes.c_float(0.02)
        laws = (
            ("normal", NORMAL, mkl.vsRngGaussian, MKL_ICDF, 1.3, 2.0),
            ("uniform", UNIFORM, mkl.vsRngUniform, 0, 0.7, 1.0),
        )
        for label, draw, function, method, bottom, aim in laws:
            runs = [
                lambda s=s, f=function, m=method: f(m, s, count, pointer, first, second)
                for s in streams.values()
            ]
            figures = least(self.runs, self.elements, 1, *runs, self.ours(draw, 1))
            fastest = min(range(len(runs)), key=lambda k: figures[k])
            theirs = f"MKL {function.__name__}, {list(streams)[fastest]}"
            self.add(label, 1, theirs, (figures[fastest], figures[-1]), bottom, aim)

    def small_rows(self) -> None:
        """Many small tensors, each with a name of its own."""
        arrays = [np.ones(SMALL, np.float32) for _ in range(TENSORS)]
        tensors = [torch.ones(SMALL) for _ in range(TENSORS)]
        names = [f"layers.{k}.weight" for k in range(TENSORS)]
        torch.set_num_threads(1)

        def theirs() -> None:
            for tensor in tensors:
                tensor.normal_(0.0, 0.02)

        def ours() -> None:
            for array, name in zip(arrays, names, strict=True):
                fill(array, NORMAL, seed=0, name=name)

        def together(threads: int) -> Work:
            return lambda: fill_many(arrays, NORMAL, seed=0, names=names, threads=threads)

        label, loop = f"{TENSORS} tensors of {SMALL}", "torch normal_, one by one"
        count, runs = SMALL * TENSORS, 3 * self.runs
        figures = least(runs, count, 1, theirs, ours, together(1))
        self.add(f"{label}, fill each", 1, loop, (figures[0], figures[1]), 1, 1)
        self.add(f"{label}, fill_many", 1, loop, (figures[0], figures[2]), 1, 3)
        figures = least(runs, count, self.cores, theirs, together(self.cores))
        self.add(f"{label}, fill_many", self.cores, loop, (figures[0], figures[1]), 1, 3)

    def memory(self) -> float | None:
        """Peak mebibytes beyond the output, where Linux can say."""
        status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
        try:
            clear.write_text("5")
        except OSError:
            return None

        def kibibytes(field: str) -> int:
            line = next(text for text in status.read_text().splitlines() if text.startswith(field))
            return int(line.split()[1])

        before = kibibytes("VmRSS")
        fill(self.out, NORMAL, seed=0, name="w", threads=self.cores)
        side = int(self.elements**0.5)
        fill(self.out[: side * side].reshape(side, side).T, NORMAL, seed=0, name="w", threads=self.cores)
        return (kibibytes("VmHWM") - before) / 1024


def machine() -> str:
    """What the figures were taken on."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model}, {cores} processors, kernel path {_kernel.paths()[0]}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, torch {torch.__version__}, load at the start {load:.1f}"
    )


def page(bench: Bench, facts: str, peak: float | None) -> str:
    """The table as a page of the documentation."""
    lines = [
        "---\norphan: true\n---",
        "# Sampling speed",
        "",
        "Written by `python benchmarks/sampling.py --write docs/benchmarks/sampling.md`; do not edit.",
        "",
        f"Machine: {facts}.",
        "",
        (
            f"{bench.elements} elements, float32 where nothing else is said, buffers touched before, least "
            f"of {bench.runs} interleaved runs: processor time on one thread, wall clock on more. A ratio "
            "above 1 says that fanin is faster. Other programs on the machine make wall-clock ratios "
            "smaller, since most peers use one thread only."
        ),
        "",
        "| work | threads | beside | its ns | fanin's ns | ratio | at least | aim | reached |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.label} | {r.threads} | {r.theirs} | {r.ns_theirs:.3f} | {r.ns_ours:.3f} | {r.ratio:.2f} "
        f"| {r.least:.2g} | {r.aim:.2g} | {r.verdict} |"
        for r in bench.rows
    ]
    lines += ["", *BOUNDS, ""]
    if peak is not None:
        lines.append(f"Peak memory beyond the output, plain and turned: {peak:.1f} MiB (at most 8).")
    if bench.missing:
        lines.append(f"Not installed, so not compared: {', '.join(bench.missing)}.")
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Print one line for each comparison, and write the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--elements", type=int, default=1 << 26)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    facts = machine()
    print(facts)
    bench = Bench(options.elements, options.runs)
    peak = bench.memory()
    bench.small_rows()
    bench.torch_rows()
    bench.numpy_rows()
    bench.mkl_rows()
    bench.jax_rows()
    print(f"peak memory beyond the output: {peak} MiB")
    for name in bench.missing:
        print(f"not installed, so not compared: {name}")
    if options.write is not None:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(page(bench, facts, peak))


if __name__ == "__main__":
    main()
