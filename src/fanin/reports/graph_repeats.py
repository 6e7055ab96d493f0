"""Blocks that are there several times in a row."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fanin.records.table import fold_names

__all__ = ["Repeat", "repeats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """`count` blocks of `period` items, one after the other from `start` on."""

    start: int
    period: int
    count: int
    title: str


def repeats(
    keys: Sequence[Hashable], inputs: Sequence[tuple[int, ...]], modules: Sequence[str]
) -> tuple[Repeat, ...]:
    """Find the repetitions that shorten a sequence the most, and do not overlap.

    Parameters
    ----------
    keys
        What has to be equal for two items to be the same.
    inputs
        For each item, the places of those that it reads: of equal items they are as far away (within
        blocks, or in the block before) or the very same (a mask that all blocks read).
    modules
        Paths of modules; where a repetition may begin at several places, its blocks are modules.

    Returns
    -------
    tuple of Repeat
        In order.
    """
    codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    same = np.array([codes[key] for key in keys], dtype=np.int64)
    width = max((len(each) for each in inputs), default=0)
    reads = np.full((width, len(keys)), -1, dtype=np.int64)
    for place, each in enumerate(inputs):
        reads[: len(each), place] = each
    return tuple(_found(same, reads, modules, 0, len(keys)))


def _found(
    same: NDArray[np.int64], reads: NDArray[np.int64], modules: Sequence[str], low: int, high: int
) -> list[Repeat]:
    best: tuple[int, int, int] | None = None
    saved = 0
    for period in range(1, (high - low) // 2 + 1):
        if period * ((high - low) // period - 1) <= saved:
            continue
        start, length = _longest_run(_equal(same[low:high], reads[:, low:high], period))
        count = length // period + 1
        if period * (count - 1) > saved:
            saved = period * (count - 1)
            best = (low + start, period, length)
    if best is None:
        return []
    start, period, length = best
    count = length // period + 1
    start += _phase(modules, start, period, count, length + period - count * period)
    end = start + count * period
    title = _title(modules, start, period, count)
    found = Repeat(start=start, period=period, count=count, title=title)
    left, right = _found(same, reads, modules, low, start), _found(same, reads, modules, end, high)
    return [*left, found, *right]


def _equal(same: NDArray[np.int64], reads: NDArray[np.int64], period: int) -> NDArray[np.bool_]:
    """Whether each item is the same as the one a period later."""
    equal: NDArray[np.bool_] = same[:-period] == same[period:]
    for row in reads:
        a, b = row[:-period], row[period:]
        equal &= (a == b) | ((a >= 0) & (b - a == period))
    return equal


def _longest_run(equal: NDArray[np.bool_]) -> tuple[int, int]:
    padded = np.concatenate([[False], equal, [False]]).astype(np.int8)
    edges = np.diff(padded)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if not len(starts):
        return 0, 0
    best = int(np.argmax(ends - starts))
    return int(starts[best]), int(ends[best] - starts[best])


def _phase(modules: Sequence[str], start: int, period: int, count: int, slack: int) -> int:
    """How many items later the first block begins: where each block lies deepest in one module."""

    def depth(shift: int) -> int:
        names = _names(modules, start + shift, period, count)
        return min(len(name.split(".")) if name else 0 for name in names) if len(set(names)) == count else 0

    return max(range(slack + 1), key=lambda shift: (depth(shift), -shift))


def _names(modules: Sequence[str], start: int, period: int, count: int) -> list[str]:
    """The module that all items of a block lie in, for each block."""
    return [_common(modules[start + i * period : start + (i + 1) * period]) for i in range(count)]


def _title(modules: Sequence[str], start: int, period: int, count: int) -> str:
    """The modules that the blocks have in common: ``layers.0-31``."""
    folded = fold_names(dict.fromkeys(_names(modules, start, period, count)))
    return folded[0].partition(" ×")[0] if len(folded) == 1 else ""


def _common(paths: Sequence[str]) -> str:
    """The longest dotted path that all begin with."""
    parts = [path.split(".") for path in paths]
    shared: list[str] = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return ".".join(shared)
