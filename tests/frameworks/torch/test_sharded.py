"""Sharded models get the numbers of the whole one: DDP, both kinds of FSDP, tensor parallelism."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fanin.records.axes import Axes, Role
from fanin.records.draw import Normal, Orthogonal
from fanin.records.plan import Block, Entry, Status
from fanin.torch.commit import staged_entry
from fanin.torch.shards import Box, Run, part_of

RANKS = Path(__file__).parent / "sharded_ranks.py"
WAYS = ["ddp", "fsdp original", "fsdp flat", "fsdp2", "fsdp2 on meta", "tensor parallel"]


@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_same_numbers_as_the_whole_model(processes: int, tmp_path: Path) -> None:
    store = tmp_path / "store"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, str(RANKS), str(rank), str(processes), str(store)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for rank in range(processes)
    ]  # fmt: skip
    try:
        ended = [process.communicate(timeout=240) for process in running]
    finally:
        for process in running:
            process.kill()
    for process, (out, err) in zip(running, ended, strict=True):
        assert process.returncode == 0, err[-3000:]
        assert out.split("\n")[: len(WAYS)] == WAYS


def entry(**fields: object) -> Entry:
    known = {
        "name": "w", "shape": (6, 5, 3), "dtype": "float32", "status": Status.CLAIMED,
        "draw": Normal(std=0.5), "scheme": "normal", "rule": "mine", "reason": "to show",
    }  # fmt: skip
    return Entry(**{**known, **fields})  # type: ignore[arg-type]


CONV = Axes(roles=(Role.IN, Role.OUT, Role.RECEPTIVE))
ENTRIES = {
    "plain": entry(),
    "another layout": entry(axes=CONV),
    "half": entry(dtype="bfloat16"),
    "complex": entry(dtype="complex64"),
    "a zero row": entry(zeroed=2),
    "packed": entry(
        blocks=(
            Block(name="q", start=0, size=4, draw=Normal(std=0.1)),
            Block(name="k", start=4, size=2, draw=Normal(std=2.0)),
        ),
        axes=Axes(roles=(Role.OUT, Role.IN, Role.RECEPTIVE)),
    ),
    "a matrix": entry(shape=(6, 15), draw=Orthogonal(std=0.3), axes=Axes(roles=(Role.OUT, Role.IN))),
    "a scalar": entry(shape=()),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_parts_are_cuts_of_the_whole(name: str) -> None:
    one = ENTRIES[name]
    whole = staged_entry(one, getattr(torch, one.dtype), 7)
    if one.shape:
        for low, high in ((0, 6), (1, 5), (2, 3), (4, 4), (0, 0), (5, 6)):
            for inner in (slice(0, 5), slice(2, 4)):
                index = (slice(low, high), inner, *(slice(0, n) for n in one.shape[2:]))
                assert torch.equal(part_of(one, Box(index=index), 7), whole[index])
    else:
        assert torch.equal(part_of(one, Box(index=()), 7), whole)
    strides = tuple(whole.contiguous().stride())
    for begin, end in ((0, whole.numel()), (0, 1), (3, min(37, whole.numel())), (1, 1)):
        run = Run(begin=begin, end=max(begin, end), strides=strides)
        assert torch.equal(part_of(one, run, 7), whole.reshape(-1)[begin : max(begin, end)])


def test_a_run_follows_memory_not_dimensions() -> None:
    one = entry(shape=(4, 6))
    whole = staged_entry(one, torch.float32, 7)
    part = part_of(one, Run(begin=1, end=9, strides=(1, 4)), 7)
    assert torch.equal(part, whole.T.reshape(-1)[1:9])
    assert not torch.equal(part, whole.reshape(-1)[1:9])
