"""Where a region that reduces is more than one thing: an activation before a norm, or behind it.

A norm that is written out reads what an activation made like any other pointwise step. What every way
through the region passes before the first reduction, or after the last one, is where it comes apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fanin.graphs.regions import Regions
from fanin.graphs.steps import Form, Region, Run, Step

__all__ = ["find_splits", "is_affine"]

_AFFINE = 1e-9
"""A table that leaves its own chord by less than this, relative to its range, is a straight line."""
_WHOLE = frozenset({"norm", "softmax"})


def is_affine(values: Sequence[float]) -> bool:
    """Whether a table is a straight line."""
    table = np.asarray(values, dtype=np.float64)
    chord = np.linspace(table[0], table[-1], len(table))
    return bool((np.abs(table - chord) <= _AFFINE * max(np.abs(table).max(), 1e-300)).all())


def find_splits(regions: Regions, ends: frozenset[int], run: Run) -> frozenset[int]:
    """Steps at which regions that reduce come apart.

    Parameters
    ----------
    regions
        As traced with these ends.
    ends
        Steps whose result is read outside of their region.
    run
        The run, for trials.
    """
    steps = {step.id: step for step in run.steps}
    found: set[int] = set()
    for end in sorted(ends):
        if end not in regions.root or end in regions.pools:
            continue
        region = regions.region(end)
        if region.reduces and len(region.members) > 1:
            found.update(_splits(region, steps, run))
    return frozenset(found)


def _splits(region: Region, steps: Mapping[int, Step], run: Run) -> list[int]:
    passed = _passed(region, steps)
    through = sorted(passed[region.end] - {region.end})
    sums = [id for id in region.members if steps[id].form == Form.REDUCTION]
    before = [id for id in through if id < sums[0]]
    after = [id for id in through if id > sums[-1]]
    if not before and not after:
        return []
    verdict = run.trial(region)
    found: list[int] = []
    start, last = region.root, max(before, default=None)
    if verdict == "softmax" and before:
        # Constants on the way to it belong to the scores, as where a softmax is one operation.
        scaled = [id for id in before if not _bends(_part(region, passed, None, id), run)]
        if scaled and run.trial(_part(region, passed, scaled[-1], region.end)) == verdict:
            found.append(scaled[-1])
            start = scaled[-1]
    # (A softmax without its maximum is an exponential over the sum of it, and one thing.)
    if last is not None and verdict != "softmax":
        rest = _part(region, passed, last, region.end)
        inner = run.trial(rest)
        if inner in _WHOLE and (verdict not in _WHOLE or _bends(_part(region, passed, None, last), run)):
            found.append(last)
            start, verdict = last, inner
    if verdict in _WHOLE:
        for id in after:
            if run.trial(_part(region, passed, None if start == region.root else start, id)) == verdict:
                if _bends(_part(region, passed, id, region.end), run):
                    found.append(id)
                break
    return found


def _passed(region: Region, steps: Mapping[int, Step]) -> dict[int, frozenset[int]]:
    """For each member: the members that every way from the root to it passes, itself included."""
    passed: dict[int, frozenset[int]] = {}
    for id in region.members:
        ways = []
        for read in steps[id].reads:
            if read.step in passed:
                ways.append(passed[read.step])
            elif read.step == region.root:
                ways.append(frozenset[int]())
        passed[id] = frozenset.intersection(*ways) | {id} if ways else frozenset({id})
    return passed


def _part(region: Region, passed: Mapping[int, frozenset[int]], start: int | None, end: int) -> Region:
    """The members after `start` that lead to `end`."""
    members = [
        id for id in region.members if id <= end and (start is None or (start in passed[id] and id != start))
    ]
    return Region(
        root=region.root if start is None else start,
        place=region.place if start is None else None,
        members=tuple(members),
        reduces=True,
        parameters=region.parameters,
    )


def _bends(region: Region, run: Run) -> bool:
    values = run.table(region)
    return values is not None and not is_affine(values)
