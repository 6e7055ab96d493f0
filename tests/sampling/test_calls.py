"""Threads that call at once, forks, and Ctrl-C: nothing is left half-locked, and what is there is right."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fanin import _kernel
from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling import backends
from fanin.sampling.backends import VARIABLE
from fanin.sampling.cast import format_of
from fanin.sampling.engine import fill, fill_range
from fanin.sampling.streams import stream_key

NORMAL = Normal(std=1.0)


def whole(name: str, size: int, threads: int) -> np.ndarray:
    out = np.zeros(size, np.float32)
    fill(out, NORMAL, seed=0, name=name, threads=threads)
    return out


def test_many_threads_call_at_once() -> None:
    names = [f"layer.{k % 8}" for k in range(48)]
    sizes = [(1 << 18) + 3 * (k % 8) for k in range(48)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(whole, names, sizes, [1 + k % 3 for k in range(48)]))
    for name, size, values in zip(names[:8], sizes[:8], together[:8], strict=True):
        assert (values == whole(name, size, 1)).all()
    for k in range(48):
        assert together[k].tobytes() == together[k % 8].tobytes()


def test_the_interpreter_runs_on_while_the_kernel_fills() -> None:
    out = np.ones(1 << 25, np.float32)
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    fill(out, NORMAL, seed=0, name="w", threads=1)
    end = time.perf_counter()
    done.set()
    thread.join()
    assert sum(start < moment < end for moment in ticks) >= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
# JAX, where another test has loaded it, warns of its own threads, which the child does not use.
@pytest.mark.filterwarnings("ignore:.*os.fork.*:RuntimeWarning")
def test_a_fork_in_the_middle_of_a_fill() -> None:
    expected = whole("w", 1 << 20, 1)
    out = np.ones(1 << 25, np.float32)
    filler = threading.Thread(target=lambda: fill(out, NORMAL, seed=0, name="w", threads=2))
    filler.start()
    time.sleep(0.002)
    child = os.fork()
    if child == 0:
        # Threads of the parent are not here; a lock one of them held would stay locked for good.
        good = (whole("w", 1 << 20, 2) == expected).all()
        os._exit(0 if good else 1)
    filler.join()
    deadline = time.monotonic() + 60
    while (status := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.01)
    assert status[1] == 0
    assert (out[: 1 << 20] == expected).all()


INTERRUPTED = """
import sys, threading, time, os, signal
import numpy as np
from fanin import _kernel
from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.engine import fill
out = np.zeros(1 << 28, np.float32)
def kill():
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=kill).start()
start = time.perf_counter()
try:
    fill(out, Normal(std=1.0), seed=0, name="w", threads=int(sys.argv[1]))
except KeyboardInterrupt:
    took = time.perf_counter() - start
else:
    sys.exit("the fill was not interrupted")
filled = int((out != 0).sum())
assert 0 < filled < out.size, filled
again, fresh = np.zeros(1 << 20, np.float32), np.zeros(1 << 20, np.float32)
fill(again, Normal(std=1.0), seed=0, name="w", threads=2)
kept = out[: 1 << 20] != 0
assert (out[: 1 << 20][kept] == again[kept]).all()
print(took)
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_control_c_ends_a_long_fill(threads: int) -> None:
    # Two gigabytes on the reference's pace would be minutes: the kernel's own polling ends it.
    result = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(threads)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 5.0


def test_the_short_way_and_the_long_way_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for name in ("w", "layers.0.weight", "é" * 70, "a" * 1000, "\N{SNOWMAN}\N{PILE OF POO}"):
        for seed in (0, 1, (1 << 64) - 1, int(rng.integers(1 << 62))):
            for dtype in ("float32", "float64", "bfloat16"):
                storage = "uint16" if dtype == "bfloat16" else dtype
                short, long = np.zeros(37, storage), np.zeros(37, storage)
                assert backends.draw_whole(short, NORMAL, seed, name, dtype, None)
                fill_range(long, NORMAL, seed=seed, name=name, begin=0, dtype=dtype)
                assert short.tobytes() == long.tobytes()
    assert stream_key(0, "w") != stream_key(1, "w")
    monkeypatch.setenv(VARIABLE, "portable")
    assert not backends.draw_whole(np.zeros(4, np.float32), NORMAL, 0, "w", None, None)


def test_the_short_way_takes_nothing_it_should_check() -> None:
    def taken(out: np.ndarray, seed: object = 0, name: object = "w", dtype: str | None = None) -> bool:
        return backends.draw_whole(out, NORMAL, seed, name, dtype, None)

    good = np.full(4, 7.0, np.float32)
    frozen = good.copy()
    frozen.flags.writeable = False
    raw = np.zeros(17, np.uint8)
    assert not taken(frozen)
    assert not taken(good, seed=-1)
    assert not taken(good, seed=True)
    assert not taken(good, seed=1 << 64)
    assert not taken(good, name="")
    assert not taken(good, name=("a", "b"))
    assert not taken(good, dtype="bfloat16")
    assert not taken(good, dtype="float31")
    assert not taken(np.zeros((4, 4), np.float32)[:, ::2])
    assert not taken(np.zeros(4, ">f4"))
    assert not taken(np.zeros(4, np.int32))
    assert not taken(np.zeros(4, np.uint16))
    assert (good == 7.0).all()
    misaligned = raw[1:].view(np.float32)
    assert taken(misaligned)
    assert taken(good)
    assert (misaligned == good).all()


def test_memory_ends_where_the_array_ends() -> None:
    # Whole batches are drawn beside the array and copied: nothing may be written past its end.
    for size in (1, 3, 127, 128, 129, 250, 4097):
        buffer = np.full(size + 64, 7.0, np.float32)
        fill(buffer[32 : 32 + size], NORMAL, seed=0, name="w")
        assert (buffer[:32] == 7.0).all()
        assert (buffer[32 + size :] == 7.0).all()
        memory = (ctypes.c_float * size)()
        fill(np.frombuffer(memory, np.float32), NORMAL, seed=0, name="w")
        assert bytes(memory) == buffer[32 : 32 + size].tobytes()


LARGE = 9 << 20
"""Bytes from which memory is written past the caches, and some more."""


@pytest.mark.parametrize("path", _kernel.paths())
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "draw",
    [
        NORMAL,
        Normal(mean=1.0, std=1.0),
        Uniform(low=-1.0, high=1.0),
        TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0),
    ],
    ids=str,
)
def test_large_memory_gets_the_same_numbers(
    path: str, dtype: str, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, path)
    storage = np.dtype(format_of(dtype).storage)
    size = LARGE // storage.itemsize
    memory = np.zeros(size + 64, storage)
    small = np.zeros(50_000, storage)
    for offset, begin in ((0, 0), (1, 0), (12, 4), (4, (1 << 34) - (1 << 16))):
        out = memory[offset : offset + size]
        fill_range(out, draw, seed=0, name="w", begin=begin, dtype=dtype, threads=2)
        for first in (0, 1 << 15, size - small.size):
            fill_range(small, draw, seed=0, name="w", begin=begin + first, dtype=dtype)
            assert (out[first : first + small.size] == small).all()
        assert (memory[:offset] == 0).all()
        assert (memory[offset + size :] == 0).all()
        memory[:] = 0
