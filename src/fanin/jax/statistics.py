"""Statistics of a tensor as `fanin.records.trace.Measurement` has them, from a few of its elements.

Which elements these are depends on a tensor's shape alone, so that they are picked on the device, and
nothing else of a large tensor is handed over. What sums over all of them is summed on the device too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "WHOLE",
    "Layout",
    "Numbers",
    "numbers",
    "places",
    "rows_of_scores",
    "saturated_share",
    "scores",
    "table_of",
]

Floats = NDArray[np.float64]
Places = NDArray[np.int32]

WHOLE = 65_536
"""Elements up to which a tensor is handed over as it is."""
_ELEMENTS = 16_384
_SAMPLES, _FEATURES = 64, 512
_OBSERVATIONS, _UNITS = 64, 256
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_ROWS, _PRIME, _UNIT = 256, 7919, 1e-2


@dataclass(frozen=True, slots=True)
class Layout:
    """A tensor's shape, the dimension of its units, and whether it holds maps.

    Of maps (what a convolution makes) whole samples are compared, with the units second; of anything else
    the units at single positions.
    """

    shape: tuple[int, ...]
    unit: int
    maps: bool

    @property
    def key(self) -> str:
        """A name for tables of places."""
        return f"{'x'.join(map(str, self.shape))}@{self.unit}{'m' * self.maps}"

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def units(self) -> int:
        """Number of units."""
        return self.shape[self.unit] if self.shape else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What is measured of every output; see `fanin.records.trace.Measurement`."""

    mean: float
    power: float
    zeros: float
    cosine: float | None
    unit_spread: float | None
    finite: bool
    tiny: float
    huge: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picked:
    sample: Places
    vectors: Places
    rows: Places


@lru_cache(maxsize=512)
def _picked(layout: Layout) -> _Picked:
    """Places in memory of the elements that are looked at."""
    shape = layout.shape
    order = list(range(len(shape)))
    if layout.maps and len(shape) > 1:
        order = [0, layout.unit, *(d for d in order if d not in (0, layout.unit))]
    elif shape:
        order = [*(d for d in order if d != layout.unit), layout.unit]
    logical = tuple(shape[d] for d in order)
    strides = [math.prod(shape[d + 1 :]) for d in order]

    def at(flat: NDArray[np.int64]) -> Places:
        if not shape:
            return np.zeros(flat.shape, dtype=np.int32)
        index = np.unravel_index(flat, logical)
        found = sum(i.astype(np.int64) * s for i, s in zip(index, strides, strict=True))
        return np.asarray(found, dtype=np.int32)

    count = max(layout.size, 1)
    sample = at(np.arange(0, count, _step(count, _ELEMENTS)))
    if len(order) < 2 or not layout.maps:
        width = logical[-1] if logical else 1
        table = _spread_out(count // max(width, 1), _SAMPLES)
        vectors = at(table[:, None] * width + np.arange(0, width, _step(width, _FEATURES)))
        return _Picked(sample=sample, vectors=vectors, rows=vectors)
    each, inner = count // logical[0], count // (logical[0] * logical[1])
    samples = _spread_out(logical[0], _SAMPLES)
    vectors = at(samples[:, None] * each + np.arange(0, each, _step(each, _FEATURES)))
    maps = np.arange(0, logical[0], _step(logical[0], _OBSERVATIONS // 4))
    units = np.arange(0, logical[1], _step(logical[1], _UNITS))
    rows = [maps[:, None] * each + units * inner + place for place in _spread_out(inner, 4)]
    return _Picked(sample=sample, vectors=vectors, rows=at(np.concatenate(rows)))


def places(layout: Layout) -> Places:
    """The elements of a large tensor that have to be handed over, as places in its memory."""
    found = _picked(layout)
    return np.concatenate([found.sample, found.vectors.reshape(-1), found.rows.reshape(-1)])


def numbers(given: NDArray[Any], squares: float, layout: Layout, limits: tuple[float, float]) -> Numbers:
    """Measure one output.

    Mean, zeros and shares are of at most 16,384 elements, evenly spaced: a standard error of 0.008 standard
    deviations, and of at most 0.4 points. Cosines are of at most 64 samples and 512 features. The power is
    that of all elements.

    Parameters
    ----------
    given
        The tensor's elements if they are at most `WHOLE`, else those at its `places`, real ones.
    squares
        Sum of the squares of all elements, NaN where one is not finite.
    layout
        Of the tensor.
    limits
        Smallest normal and largest number of its format.
    """
    picked = _picked(layout)
    values = np.asarray(given, dtype=np.float64).reshape(-1)
    if layout.size <= WHOLE:
        seen, vectors, rows = values[picked.sample], values[picked.vectors], values[picked.rows]
    else:
        first, second = picked.sample.size, picked.sample.size + picked.vectors.size
        seen = values[:first]
        vectors = values[first:second].reshape(picked.vectors.shape)
        rows = values[second:].reshape(picked.rows.shape)
    finite = math.isfinite(squares)
    power = squares / max(layout.size, 1)
    compared = finite and bool(layout.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(seen.mean()) if seen.size else 0.0
    tiny, huge = _extremes(seen, limits) if finite else (0.0, 0.0)
    return Numbers(
        mean=mean,
        power=power,
        zeros=1.0 - int(np.count_nonzero(seen)) / max(seen.size, 1),
        cosine=_cosine(vectors) if compared else None,
        unit_spread=_unit_spread(rows, power) if compared else None,
        finite=finite,
        tiny=tiny,
        huge=huge,
    )


def _extremes(seen: Floats, limits: tuple[float, float]) -> tuple[float, float]:
    """Shares below the smallest normal number (zeros apart), and above a quarter of the largest."""
    sizes = np.abs(seen)
    low = int(np.count_nonzero((sizes > 0.0) & (sizes < limits[0])))
    high = int(np.count_nonzero(sizes > limits[1] / 4.0))
    return low / max(seen.size, 1), high / max(seen.size, 1)


def _step(count: int, most: int) -> int:
    """A distance that leaves at most so many places, and is in step with no dimension of the tensor."""
    step = max(1, -(-count // most))
    while step > 1 and math.gcd(step, count) > 1:
        step += 1
    return step


@lru_cache(maxsize=512)
def _spread_out(count: int, wanted: int) -> NDArray[np.int64]:
    """Places that fall into step with no period of the data (the positions of a sequence)."""
    if count <= wanted:
        return np.arange(count)
    found = np.modf(np.arange(1, wanted + 1) * _GOLDEN)[0] * count
    return np.unique(found.astype(np.int64))


def _cosine(vectors: Floats) -> float | None:
    """Mean cosine over pairs: ``(|sum u|^2 - n) / (n (n - 1))`` for unit vectors u."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    v = vectors[norms[:, 0] > 0.0] / norms[norms[:, 0] > 0.0]
    n = len(v)
    if n < 2:
        return None
    together = float(np.square(v.sum(axis=0)).sum())
    return min(1.0, max(-1.0, (together - n) / (n * (n - 1))))


def _unit_spread(rows: Floats, power: float) -> float | None:
    if len(rows) < 2 or not power > 0.0:
        return None
    variances = np.sort(np.square(rows - rows.mean(axis=0)).mean(axis=0))
    # (The lower of two middle ones: a median that is one of the units'.)
    return math.sqrt(float(variances[(len(variances) - 1) // 2]) / power)


def saturated_share(given: NDArray[Any], layout: Layout, low: float, high: float) -> float:
    """Share of elements at or beyond either bound; `given` is what `numbers` takes."""
    values = np.asarray(given, dtype=np.float64).reshape(-1)
    picked = _picked(layout).sample
    seen = values[picked] if layout.size <= WHOLE else values[: picked.size]
    return float(np.count_nonzero((seen <= low) | (seen >= high)) / max(seen.size, 1))


def rows_of_scores(shape: tuple[int, ...]) -> Places:
    """Rows of a table of weights that are looked at: all, or 256 in steps that meet every place."""
    rows = math.prod(shape[:-1])
    if rows <= _ROWS:
        return np.arange(rows, dtype=np.int32)
    return np.asarray(np.arange(_ROWS, dtype=np.int64) * _PRIME % rows, dtype=np.int32)


def scores(table: NDArray[Any]) -> tuple[float, float] | None:
    """Mean normalised entropy of a row, and the deviation of the scores behind it, of rows that add up to 1.

    Places with weight 0 are taken as hidden; None where rows do not add up to 1, or are too short.
    """
    if table.ndim < 2 or table.shape[-1] < 2:
        return None
    rows = np.asarray(table, dtype=np.float64).reshape(-1, table.shape[-1])
    open_ = rows > 0
    count = open_.sum(axis=-1)
    rows, open_, count = rows[count > 1], open_[count > 1], count[count > 1]
    if not len(rows) or bool((np.abs(rows.sum(axis=-1) - 1.0) > _UNIT).any()):
        return None
    logs = np.log(np.where(open_, rows, 1.0))
    entropy = float((-(rows * logs).sum(axis=-1) / np.log(count)).mean())
    mean = logs.sum(axis=-1, keepdims=True) / count[:, None]
    squares = np.where(open_, np.square(logs - mean), 0.0).sum(axis=-1) / count
    return entropy, float(np.sqrt(squares.mean()))


def table_of(layouts: Mapping[int, Layout]) -> dict[str, Places]:
    """Places of every large layout, by its key."""
    return {layout.key: places(layout) for layout in layouts.values() if layout.size > WHOLE}
