"""The part of a tensor that one process holds, and the numbers that a plan puts there.

An element's number follows from the seed, the tensor's name and its place in the whole tensor, so a part is
drawn without the rest of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from fanin.plans.numbers import numbers
from fanin.records.draw import Structured
from fanin.records.pieces import pieces
from fanin.records.plan import Entry
from fanin.sampling.engine import fill_range
from fanin.sampling.layout import in_order
from fanin.torch.commit import staged_entry
from fanin.torch.store import stored

__all__ = ["Box", "Run", "part_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A part that is a slice along each dimension (a DTensor's)."""

    index: tuple[slice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A part that is a run of elements, in the order in which they lie in memory (a flat parameter's).

    Parameters
    ----------
    begin, end
        Its first element, and the one behind its last.
    strides
        Of the whole tensor.
    """

    begin: int
    end: int
    strides: tuple[int, ...]


def part_of(entry: Entry, where: Box | Run, seed: int) -> torch.Tensor:
    """The numbers of a part of a plan's line, in a new CPU tensor.

    Matrices and packed tensors that were cut across their order are drawn whole, one tensor at a time.

    Parameters
    ----------
    entry
        A line that draws.
    where
        The part.
    seed
        The plan's.

    Examples
    --------
    >>> from fanin.records.draw import Normal
    >>> from fanin.records.plan import Status
    >>> entry = Entry(
    ...     name="w",
    ...     shape=(4, 3),
    ...     dtype="float32",
    ...     status=Status.CLAIMED,
    ...     draw=Normal(std=1.0),
    ...     scheme="normal",
    ...     rule="mine",
    ...     reason="to show",
    ... )
    >>> whole = staged_entry(entry, torch.float32, 0)
    >>> torch.equal(part_of(entry, Box(index=(slice(1, 3), slice(0, 2))), 0), whole[1:3, :2])
    True
    >>> torch.equal(part_of(entry, Run(begin=2, end=7, strides=(3, 1)), 0), whole.view(-1)[2:7])
    True
    """
    dtype: torch.dtype = getattr(torch, entry.dtype)
    entire = any(isinstance(piece.draw, Structured) for piece in pieces(entry)) or not entry.shape
    if isinstance(where, Run):
        return _run(entry, where, dtype, seed, entire=entire)
    if entire:
        return staged_entry(entry, dtype, seed)[where.index].clone()
    return torch.from_numpy(numbers(entry, seed, where.index)).view(dtype)


def _run(entry: Entry, where: Run, dtype: torch.dtype, seed: int, *, entire: bool) -> torch.Tensor:
    made = pieces(entry)
    plain = where.strides == torch.empty(entry.shape, device="meta").stride()
    ordered = made[0].axes is None or in_order(made[0].axes, entry.shape)
    if entire or len(made) > 1 or entry.zeroed is not None or not plain or not ordered:
        values = staged_entry(entry, dtype, seed)
        size = math.prod(entry.shape)
        laid = torch.empty_strided(entry.shape, where.strides, dtype=dtype).copy_(values)
        return laid.as_strided((size,), (1,))[where.begin : where.end].clone()
    values = torch.empty(where.end - where.begin, dtype=dtype)
    fill_range(
        stored(values), made[0].draw, seed=seed, name=made[0].name, begin=where.begin, dtype=entry.dtype
    )
    return values
