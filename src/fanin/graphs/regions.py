"""Which pointwise steps belong together: everything between one tensor and where it is next used.

A region has one tensor at its root. It ends where something that is not pointwise reads it, or
where it meets a tensor with another root (a sum of two streams, a gate). Steps that read a parameter
or a tensor of constants are ends of their own, unless the region also has a way around them (PReLU
written by hand): then they belong inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import prod
from typing import TypeAlias

from fanin.graphs.sources import Source, Span
from fanin.graphs.steps import Form, Part, Read, Region, Step

__all__ = ["Key", "Regions", "elements_of", "find_regions", "key_of", "part_of"]

Key: TypeAlias = tuple[int, tuple[object, ...]]
"""A tensor: a step, and which part of its output."""

_PLAIN = {Form.POINTWISE, Form.REDUCTION}
_REACH = 12
"""How many ends a region may grow back over when its ways meet again."""


def part_of(place: Source | None, step: int) -> tuple[object, ...]:
    """A key for the part of a step's output that a tensor is; empty for the whole of it."""
    if place is None:
        return ()
    sizes = _reach(place.dims, place.shape, place.start)
    if not sizes:
        return () if place.name == str(step) else (place.name,)
    return (place.name, place.start, sizes)


@lru_cache(1 << 12)
def _reach(
    dims: tuple[tuple[Span, ...], ...], shape: tuple[int, ...], start: tuple[int, ...]
) -> tuple[int, ...]:
    """Places along each dimension that a source runs through; empty for the whole of it."""
    sizes = [1] * len(shape)
    for spans in dims:
        for span in spans:
            sizes[span.dim] *= span.size
    whole = all(s == n and first == 0 for s, n, first in zip(sizes, shape, start, strict=True))
    return () if whole else tuple(sizes)


def key_of(read: Read) -> Key:
    """The tensor that is read."""
    step = -1 if read.step is None else read.step
    return step, part_of(read.place, step)


def elements_of(read: Read) -> int:
    """How many different elements a read has: those of an expanded tensor count once."""
    if read.place is None:
        return prod(read.shape)
    return prod(span.size for spans in read.place.dims for span in spans)


class Regions:
    """Roots of all pointwise steps, and the regions that follow from them."""

    def __init__(self, steps: Sequence[Step], buffers: frozenset[str]) -> None:
        self._steps = {step.id: step for step in steps}
        self._buffers = buffers
        self.cuts: set[int] = set()
        self.pools: frozenset[int] = frozenset()
        self.root: dict[int, Key] = {}
        # By place in memory: the steps, whose reads these are, live as long as this.
        self._keys = {id(read): key_of(read) for step in steps for read in step.reads}

    def trace(self, steps: Iterable[Step], ends: frozenset[int]) -> None:
        """Find the root of every pointwise step; steps in `ends` start a new region."""
        self.root.clear()
        self.cuts = set(ends)
        for step in steps:
            if step.form not in _PLAIN:
                continue
            root = self._root(step)
            if root is not None:
                self.root[step.id] = root
                if self.foreign(step, root):
                    self.cuts.add(step.id)

    def ends(self, steps: Iterable[Step], outputs: Iterable[Read]) -> frozenset[int]:
        """Steps whose result is read by something outside their region."""
        found: set[int] = set()
        for step in steps:
            own = self.root.get(step.id)
            for read in step.reads:
                if read.step is None or read.step not in self.root:
                    continue
                inside = own is not None and step.id not in self.cuts and own == self.resolve(read)
                if not inside:
                    found.add(read.step)
        found.update(read.step for read in outputs if read.step is not None and read.step in self.root)
        return frozenset(found)

    def find_pools(self, steps: Iterable[Step], ends: frozenset[int]) -> frozenset[int]:
        """Reductions that nothing in their region reads: what comes before them is a region of its own."""
        inside: set[int] = set()
        for step in steps:
            if step.id in self.root and step.id not in self.cuts:
                inside.update(r.step for r in step.reads if r.step is not None)
        return frozenset(id for id in ends - inside if self._steps[id].form == Form.REDUCTION)

    def resolve(self, read: Read) -> Key:
        """The root that a read leads to: that of the step, or the tensor itself."""
        key = self._key(read)
        if key[0] in self.root and key[0] not in self.cuts and not key[1]:
            return self.root[key[0]]
        return key

    def region(self, end: int) -> Region:
        """The region that ends at a step."""
        root = self.root[end]
        members: set[int] = set()
        stack = [end]
        place: Source | None = None
        parameters: dict[str, None] = {}
        while stack:
            id = stack.pop()
            if id in members:
                continue
            members.add(id)
            for read in self._steps[id].reads:
                parameters.update(dict.fromkeys(source.name for source in read.sources))
                if read.step is None:
                    continue
                if self._key(read) == root:
                    place = read.place
                elif read.step in self.root and read.step > root[0]:
                    stack.append(read.step)
        ordered = tuple(sorted(members))
        return Region(
            root=root[0],
            place=place,
            members=ordered,
            reduces=any(self._steps[id].form == Form.REDUCTION for id in ordered),
            parameters=tuple(parameters),
        )

    def _key(self, read: Read) -> Key:
        return self._keys.get(id(read)) or key_of(read)

    def _root(self, step: Step) -> Key | None:
        reads = [r for r in step.reads if r.step is not None]
        signals = [r for r in reads if r.signal]
        keys = list(dict.fromkeys(self.resolve(r) for r in signals or reads))
        if not keys or step.id in self.pools:
            return None
        if len(keys) > 1:
            common = self._meeting(keys)
            if common is None:
                return None
            keys = [common]
        # A table of all pairs is no function of one element.
        if len(signals) > 1 and prod(step.shape) > max(prod(r.shape) for r in signals):
            return None
        return keys[0]

    def _meeting(self, keys: list[Key]) -> Key | None:
        """The nearest tensor that all keys are pointwise functions of."""
        chains = [self._chain(key) for key in keys]
        shared = [key for key in chains[0] if all(key in chain for chain in chains[1:])]
        return shared[0] if shared else None

    def _chain(self, key: Key) -> list[Key]:
        chain = [key]
        while len(chain) < _REACH and not chain[-1][1] and chain[-1][0] in self.root:
            chain.append(self.root[chain[-1][0]])
        return chain

    def foreign(self, step: Step, root: Key) -> bool:
        """Whether the step reads a parameter, or constants or masks that differ by element."""
        for read in step.reads:
            if read.sources:
                if read.part != Part.SLOPE:
                    return True
            elif read.step is None:
                if prod(read.shape) > 1 or read.random:
                    return True
            elif not read.signal and self.resolve(read) != root:
                return True
        return False


def find_regions(
    steps: Sequence[Step],
    outputs: Sequence[Read],
    buffers: frozenset[str],
    splits: Callable[[Regions, frozenset[int]], frozenset[int]] = lambda _regions, _ends: frozenset(),
) -> Regions:
    """Trace roots again and again: first to see pools, then where results leave regions, then cut there.

    `splits` finds further steps to cut at, from the regions and their ends.
    """
    regions = Regions(steps, buffers)
    regions.trace(steps, frozenset())
    regions.pools = regions.find_pools(steps, regions.ends(steps, outputs))
    regions.trace(steps, frozenset())
    ends = regions.ends(steps, outputs)
    regions.trace(steps, ends)
    further = splits(regions, ends)
    if further:
        regions.trace(steps, ends | further)
    return regions
