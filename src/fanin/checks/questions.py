"""The questions put to one logical tensor: does it look like a sample of the draw declared for it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.laws import moments
from fanin.laws.rounding import NARROW, rounded, underflow
from fanin.laws.tails import distance_tail, mean_tail, spread_tail
from fanin.records.audit import Test
from fanin.records.axes import as_axes
from fanin.records.draw import (
    Constant,
    DeltaOrthogonal,
    Draw,
    Formula,
    Identity,
    Normal,
    Orthogonal,
    OrthogonalConvolution,
    Structured,
    TruncatedNormal,
    Uniform,
)
from fanin.records.pieces import Piece
from fanin.sampling.cast import decode, encode
from fanin.sampling.engine import fill_range, generate

__all__ = ["Figures", "figures", "questions", "same_bits"]

_CHUNK = 1 << 20
_SAMPLE = 1 << 16
"""Numbers whose distribution is looked at: enough to tell a uniform law from a normal one at any rate."""
_PLACES = 512
"""Places at which two distribution functions are compared."""
_FEW = 16
"""Below so many numbers a distribution says nothing at the rates that are asked for."""
_FIRST = 64
"""Numbers that are compared before a whole tensor is drawn again."""
_LARGEST_MATRIX = 1 << 20
"""Elements of a structured draw that are worth making again."""
_ROWS = 64
_EXACT = {"float64": 1e-9, "float32": 1e-5}
"""Relative error that rounding leaves in what is exact but for it; other formats have the step of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Moments and ends of a tensor's numbers.

    `about` is the mean square about the declared mean; `finite` says that no number is NaN or infinite,
    and the others are then not meaningful.
    """

    count: int
    finite: bool
    mean: float
    std: float
    about: float
    low: float
    high: float


def figures(values: NDArray[Any], centre: float = 0.0) -> Figures:
    """Mean, std, mean square about `centre`, and ends, in float64.

    Examples
    --------
    >>> found = figures(np.array([1.0, 3.0]), centre=1.0)
    >>> found.mean, found.std, found.about
    (2.0, 1.0, 2.0)
    """
    flat = values.reshape(-1)
    if flat.size == 0:
        return Figures(count=0, finite=True, mean=0.0, std=0.0, about=0.0, low=0.0, high=0.0)
    total = square = 0.0
    low, high = math.inf, -math.inf
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK]
            low, high = min(low, float(part.min())), max(high, float(part.max()))
            moved = part.astype(np.float64)
            if centre:
                moved -= centre
            total += float(moved.sum())
            square += float(moved @ moved)
    finite = math.isfinite(low) and math.isfinite(high) and math.isfinite(square)
    offset, about = total / flat.size, square / flat.size
    variance = max(about - offset * offset, 0.0) if finite else math.nan
    if finite and low == high:
        variance = 0.0
    return Figures(
        count=flat.size,
        finite=finite,
        mean=centre + offset,
        std=math.sqrt(variance) if finite else math.nan,
        about=about,
        low=low,
        high=high,
    )


def questions(values: NDArray[Any], piece: Piece, dtype: str, block: str) -> tuple[Test, ...]:
    """Every test of one logical tensor whose numbers are finite.

    Parameters
    ----------
    values
        Its numbers as stored, in float32 or float64.
    piece
        What is declared for it.
    dtype
        Format that the numbers were rounded to.
    block
        Name that the tests bear.
    """
    draw = piece.draw
    seen = figures(values, draw.mean)
    match draw:
        case Constant():
            return (_value(values, np.array(draw.value), dtype, block),)
        case Identity():
            return (_again(values, piece, dtype, block),)
        case Formula() if not draw.random:
            return (_again(values, piece, dtype, block),)
        case Orthogonal() | DeltaOrthogonal() | OrthogonalConvolution():
            found = [_length(seen, draw.std, dtype, block)]
            if isinstance(draw, Orthogonal):
                found += _orthonormal(values, piece, draw, dtype, block)
            return tuple(found)
        case Uniform() | Normal() | TruncatedNormal():
            return _sampled(values, draw, seen, dtype, block)
        case _:
            return (_spread(seen, draw, draw.std, block),)


def same_bits(values: NDArray[Any], piece: Piece, dtype: str, seed: int) -> bool:
    """Whether the numbers are those that this seed draws; a few are compared before all are drawn."""
    if values.size == 0:
        return True
    axes = as_axes(piece.axes, piece.shape)
    logical = values if axes is None else values.transpose(axes.logical_order)
    if isinstance(piece.draw, Structured):
        if values.size > _LARGEST_MATRIX:
            return False
    elif not isinstance(piece.draw, Constant):
        first = np.fromiter(itertools.islice(logical.flat, _FIRST), np.float64)
        bits = (
            encode(np.zeros(first.size, np.float32), dtype)
            if dtype in NARROW
            else np.zeros(first.size, dtype)
        )
        fill_range(bits, piece.draw, seed=seed, name=piece.name, begin=0, dtype=dtype)
        if not np.array_equal(decode(bits, dtype), first):
            return False
    drawn = generate(piece.draw, piece.shape, seed=seed, name=piece.name, axes=piece.axes, dtype=dtype)
    return bool(np.array_equal(decode(drawn, dtype) if dtype in NARROW else drawn, values))


def _tolerance(dtype: str) -> float:
    return _EXACT[dtype] if dtype in _EXACT else 2.0 ** -NARROW[dtype].mantissa


def _value(values: NDArray[Any], declared: NDArray[Any], dtype: str, block: str) -> Test:
    """Whether every number is the declared one, as the format rounds it."""
    near = decode(encode(declared.astype(np.float32), dtype), dtype) if dtype in NARROW else declared
    off = np.abs(values - near)
    place = int(off.argmax()) if off.size else 0
    size = max(float(np.abs(near).max()), 1.0) if near.size else 1.0
    within = not off.size or float(off.max()) <= _EXACT.get(dtype, 0.0) * size
    wanted = np.broadcast_to(near, values.shape).reshape(-1)
    return Test(
        name="value",
        block=block,
        measured=float(values.reshape(-1)[place]) if off.size else 0.0,
        declared=float(wanted[place]) if off.size else 0.0,
        chance=float(within),
    )


def _again(values: NDArray[Any], piece: Piece, dtype: str, block: str) -> Test:
    """Compare with what is not random, drawn again."""
    drawn = generate(piece.draw, piece.shape, seed=0, name=piece.name, axes=piece.axes, dtype=dtype)
    return _value(values, decode(drawn, dtype), dtype, block)


def _spread(seen: Figures, draw: Draw, std: float, block: str) -> Test:
    ratio = seen.about / std**2 if std else math.inf
    chance = spread_tail(ratio, seen.count, moments.kurtosis(draw))
    return Test(name="std", block=block, measured=math.sqrt(seen.about), declared=std, chance=chance)


def _length(seen: Figures, std: float, dtype: str, block: str) -> Test:
    """The sum of squares of an orthogonal matrix is no matter of chance."""
    off = abs(math.sqrt(seen.about) / std - 1.0)
    chance = float(off <= _tolerance(dtype))
    return Test(name="std", block=block, measured=math.sqrt(seen.about), declared=std, chance=chance)


def _orthonormal(values: NDArray[Any], piece: Piece, draw: Orthogonal, dtype: str, block: str) -> list[Test]:
    """Products of the first rows (or columns) of the first matrix: gain^2 with themselves, else 0."""
    axes = as_axes(piece.axes, piece.shape)
    if axes is None or axes.transposed or axes.groups * draw.blocks > 1:
        return []
    logical = values.transpose(axes.logical_order)
    lead = sum(role in ("batch", "group") for role in axes.roles)
    matrix = logical[(0,) * lead]
    matrix = matrix.reshape(matrix.shape[0], -1)
    # The longer side is summed over whole, and a few rows of the shorter one are enough.
    short = (matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T)[:_ROWS].astype(np.float64)
    products = short @ short.T / draw.gain**2
    off = float(np.abs(products - np.eye(len(short))).max())
    # Each of the sums has terms of rounding error as many as the side is long, of random sign.
    allowed = 8.0 * _tolerance(dtype) if dtype in _EXACT else 4.0 * _tolerance(dtype)
    return [
        Test(name="orthonormality", block=block, measured=off, declared=0.0, chance=float(off <= allowed))
    ]


def _sampled(
    values: NDArray[Any], draw: Uniform | Normal | TruncatedNormal, seen: Figures, dtype: str, block: str
) -> tuple[Test, ...]:
    std, mean = draw.std, draw.mean
    if dtype in NARROW:
        after = rounded(draw, dtype)
        std, mean = after.std, after.mean
    found = [
        _spread(seen, draw, std, block),
        Test(
            name="mean",
            block=block,
            measured=seen.mean,
            declared=mean,
            # Numbers that spread more than declared have a mean that strays as much more.
            chance=mean_tail(seen.mean - mean, max(std, seen.std), seen.count),
        ),
        _bounds(seen, draw, dtype, block),
    ]
    if seen.count >= _FEW and seen.std > 0.0:
        distance = _distance(values, draw, seen, dtype)
        count = min(seen.count, _SAMPLE)
        chance = distance_tail(distance, count)
        found.append(Test(name="distribution", block=block, measured=distance, declared=0.0, chance=chance))
    return tuple(found)


def _bounds(seen: Figures, draw: Uniform | Normal | TruncatedNormal, dtype: str, block: str) -> Test:
    """No number lies beyond the law's ends; of a normal law none lies where none of so many would."""
    if isinstance(draw, Normal):
        farthest = max(abs(seen.high - draw.mean), abs(seen.low - draw.mean))
        chance = min(1.0, seen.count * math.erfc(farthest / draw.std / math.sqrt(2.0)))
        typical = draw.std * math.sqrt(2.0 * math.log(max(seen.count, 2)))
        return Test(name="bounds", block=block, measured=farthest, declared=typical, chance=chance)
    low, high = (
        (draw.low, draw.high)
        if isinstance(draw, Uniform)
        else (draw.parent_mean + side * draw.parent_std for side in (draw.lower, draw.upper))
    )
    room = _tolerance(dtype) * max((abs(end) for end in (low, high) if math.isfinite(end)), default=0.0)
    above, below = seen.high - high, low - seen.low
    within = above <= room and below <= room
    measured, declared = (seen.high, high) if above >= below else (seen.low, low)
    return Test(name="bounds", block=block, measured=measured, declared=declared, chance=float(within))


def _distance(
    values: NDArray[Any], draw: Uniform | Normal | TruncatedNormal, seen: Figures, dtype: str
) -> float:
    """Largest difference of the distribution functions, after both have the same mean and std."""
    flat = values.reshape(-1)
    step = max(1, flat.size // _SAMPLE)
    some = np.sort(flat[::step][:_SAMPLE].astype(np.float64))
    places = np.unique(np.linspace(0, some.size - 1, min(_PLACES, some.size)).astype(np.intp))
    scale = draw.std / seen.std
    law = np.array([moments.cdf(draw, draw.mean + (x - seen.mean) * scale) for x in some[places].tolist()])
    share = places / some.size
    apart = float(np.maximum(np.abs(law - share), np.abs(law - share - 1.0 / some.size)).max())
    # Numbers of a coarse format are heaps: a function of steps is as far from a smooth one as a heap is high.
    heap = 2.0 ** -NARROW[dtype].mantissa + underflow(draw, dtype) if dtype in NARROW else 0.0
    return max(0.0, apart - heap)
