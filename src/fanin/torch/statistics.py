"""Statistics of a tensor, in few passes and without copies of it.

Sums run in float32 over rows of a few thousand elements and in float64 over rows, which keeps six
digits for tensors of any size; powers that leave float32's range are rescaled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

__all__ = [
    "Numbers",
    "dead_share",
    "estimated_squares",
    "flat",
    "numbers",
    "runs",
    "sample",
    "sampled",
    "saturated_share",
    "sum_of_squares",
    "sums",
]

_ROW = 8192
_SAMPLES = 64
_FEATURES = 512
_OBSERVATIONS = 64
_UNITS = 256
_ELEMENTS = 16_384
_RUNS = 4096
_NEIGHBOURS = 8
_LARGE = 16 * _ELEMENTS
_ERROR = 0.03
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What is measured of every output; see `fanin.records.trace.Measurement`."""

    units: int
    samples: int
    mean: float
    power: float
    zeros: float
    cosine: float | None
    unit_spread: float | None
    finite: bool
    tiny: float = 0.0
    huge: float = 0.0


def numbers(
    x: torch.Tensor, dims: Sequence[int], *, masked: bool = False, exact: bool = True
) -> dict[int, Numbers]:
    """Measure one output, with its units along each of `dims`.

    With `masked`, minus infinity is no fault (it hides a place from a softmax) and counts as zero.

    Mean, zeros and shares are of at most 16,384 elements, evenly spaced: a standard error of 0.008 standard
    deviations, and of at most 0.4 points. Without `exact` so is the power of tensors of more than 262,144
    (a standard error of 1.8 % behind a ReLU, 1.1 % for a normal law), and NaN elsewhere is not seen.
    Cosines are of at most 64 samples and 512 features. Of complex numbers the power is the mean of ``|z|^2``,
    and the mean that of both parts.
    """
    if x.is_complex():
        return _of_both_parts(x.detach(), dims)
    limits = torch.finfo(x.dtype)
    x = _plain(x)
    if masked and bool((low := x == -math.inf).any()):
        x = x.masked_fill(low, 0.0)
    values = flat(x)
    # Spaced elements are gathered once; each pass over them would miss the cache anew.
    seen = _gathered(values)
    squares, counted = float(seen @ seen), seen.numel()
    enough = counted == values.numel() or (not exact and values.numel() > _LARGE)
    if not enough or not 0.0 < squares < math.inf:
        squares, counted = sum_of_squares(x), x.numel()
    finite = math.isfinite(squares) or bool(torch.isfinite(x).all())
    power = squares / max(counted, 1)
    mean = float(seen.sum()) / max(seen.numel(), 1)
    zeros = 1.0 - int(torch.count_nonzero(seen)) / max(seen.numel(), 1)
    tiny, huge = _extremes(seen, limits, power) if finite else (0.0, 0.0)
    found = {}
    for dim in dims:
        units = x.shape[dim] if x.ndim else 1
        compared = finite and x.ndim > 0
        found[dim] = Numbers(
            units=units,
            samples=x.numel() // max(units, 1),
            mean=mean,
            power=power,
            zeros=zeros,
            cosine=_cosine(_vectors(x, dim)) if compared else None,
            unit_spread=_unit_spread(_rows(x, dim), power) if compared else None,
            finite=finite,
            tiny=tiny,
            huge=huge,
        )
    return found


def _of_both_parts(x: torch.Tensor, dims: Sequence[int]) -> dict[int, Numbers]:
    """Complex numbers: twice as many real ones side by side, of which both parts make one unit."""
    found = {}
    for dim in dims:
        both = torch.cat([x.real, x.imag], dim) if x.ndim else torch.view_as_real(x.resolve_conj())
        (one,) = numbers(both, [dim]).values()
        found[dim] = replace(one, units=max(one.units // 2, 1), power=2.0 * one.power)
    return found


def _extremes(seen: torch.Tensor, limits: torch.finfo, power: float) -> tuple[float, float]:
    """Shares below the smallest normal number (zeros apart), and above a quarter of the largest."""
    # Values around their root mean square are far from both ends of float32 nearly always.
    if limits.tiny * 1e10 < math.sqrt(power) < limits.max * 1e-10:
        return 0.0, 0.0
    sizes = seen.abs()
    low = int(((sizes > 0.0) & (sizes < limits.tiny)).sum())
    high = int((sizes > limits.max / 4.0).sum())
    return low / max(seen.numel(), 1), high / max(seen.numel(), 1)


def _gathered(values: torch.Tensor) -> torch.Tensor:
    """The elements that `sample` sees, side by side and in double precision."""
    return sample(values).double().contiguous()


def sample(values: torch.Tensor) -> torch.Tensor:
    """At most 16,384 of the elements of a flat tensor, evenly spaced."""
    return values[:: _step(values.numel(), _ELEMENTS)]


def _step(count: int, most: int) -> int:
    """A distance that leaves at most so many places.

    It is in step with no dimension of the tensor, or a map would be seen in a few of its columns only.
    """
    step = max(1, -(-count // most))
    while step > 1 and math.gcd(step, count) > 1:
        step += 1
    return step


def runs(values: torch.Tensor, most: int) -> torch.Tensor:
    """About so many elements of a flat tensor: 4,096 runs of neighbours, evenly spaced: (runs, neighbours).

    Memory comes in lines, so that a run costs little more than one element.
    """
    count = values.numel()
    if count <= most:
        return values[None]
    apart = count // _RUNS
    while math.gcd(apart, count) > 1:
        apart -= 1
    found = min(_RUNS, count // apart)
    return values[: found * apart].view(found, apart)[:, : most // _RUNS]


def _plain(x: torch.Tensor) -> torch.Tensor:
    """Real numbers in single or double precision: of complex ones both parts, of sparse ones those there."""
    x = x.detach()
    if x.layout is not torch.strided:
        x = x.to_sparse().coalesce().values()
    if x.is_complex():
        x = torch.view_as_real(x.resolve_conj())
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def flat(x: torch.Tensor) -> torch.Tensor:
    """All elements in memory order, each broadcast value once: a view wherever memory is dense."""
    for dim in range(x.ndim):
        if x.stride(dim) == 0 and x.shape[dim] > 1:
            x = x.narrow(dim, 0, 1)
    order = sorted(range(x.ndim), key=x.stride, reverse=True)
    return x.permute(order).reshape(-1)


def sum_of_squares(x: torch.Tensor) -> float:
    """Sum of all squares (of each broadcast value as often as it occurs)."""
    x = _plain(x)
    values = flat(x)
    if values.numel() == 0:
        return 0.0
    found = _squares(values)
    # Squares of float32 leave its range at 1e19 and 1e-19.
    if not math.isfinite(found) or found < 1e-30 * values.numel():
        largest = float(values.abs().amax())
        if not math.isfinite(largest):
            return math.nan
        found = _squares(values / largest) * largest * largest if largest > 0.0 else 0.0
    return found * (x.numel() / values.numel())


def sampled(count: int) -> bool:
    """Whether the power of so many elements is estimated (`estimated_squares`) and not summed up."""
    return count > _LARGE


def estimated_squares(x: torch.Tensor) -> float:
    """Sum of all squares, to a standard error of 3 %: from a sample where that is enough.

    The sample are 4,096 runs of eight neighbours. Neighbours may be alike, so each run's mean square s counts
    as one observation: the relative variance of their mean is ``(E s^2 / (E s)^2 - 1) / 4096`` (0.8 % for an
    independent normal law; 2.2 % if neighbours were equal). Where it is larger, because a gradient arrives
    at few places only, all elements count.
    """
    x = _plain(x)
    values = flat(x)
    if sampled(values.numel()):
        powers = runs(values, _RUNS * _NEIGHBOURS).double().square_().mean(dim=1)
        mean = float(powers.mean())
        if mean > 0.0 and math.isfinite(mean):
            squares = float(powers @ powers) / powers.numel()
            if squares / (mean * mean) - 1.0 < _ERROR * _ERROR * powers.numel():
                return mean * x.numel()
    return sum_of_squares(x)


def sums(values: torch.Tensor) -> tuple[float, float]:
    """Sum of a flat tensor of real numbers, and of their squares (where float32 holds these)."""
    values = _plain(values)
    rows, rest = _in_rows(values)
    return float(rows.sum(dim=1).double().sum()) + float(rest.sum()), _squares(values)


def _squares(values: torch.Tensor) -> float:
    rows, rest = _in_rows(values)
    found = float(rest.square().sum())
    if len(rows):
        found += float(torch.linalg.vector_norm(rows, dim=1).double().square().sum())
    return found


def _in_rows(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole rows of a few thousand elements, and what is left over in double precision."""
    whole = values.numel() // _ROW * _ROW
    return values[:whole].view(-1, _ROW), values[whole:].double()


@lru_cache(maxsize=512)
def _spread_out(count: int, wanted: int) -> torch.Tensor:
    """Places that fall into step with no period of the data (the positions of a sequence)."""
    if count <= wanted:
        return torch.arange(count)
    places: torch.Tensor = torch.frac(torch.arange(1, wanted + 1, dtype=torch.float64) * _GOLDEN) * count
    found: torch.Tensor = torch.unique(places.long())
    return found


def _rows(x: torch.Tensor, unit_dim: int) -> torch.Tensor:
    """A few dozen observations of a few hundred units: (observations, units)."""
    if unit_dim % x.ndim == x.ndim - 1:
        return _vectors(x, unit_dim)
    maps = _maps(x, unit_dim)
    maps = maps[:: _step(len(maps), _OBSERVATIONS // 4), :: _step(maps.shape[1], _UNITS)]
    # Views one by one: a table of places would miss the cache more often.
    return torch.cat([maps[:, :, place] for place in _spread_out(maps.shape[2], 4).tolist()])


def _maps(x: torch.Tensor, unit_dim: int) -> torch.Tensor:
    """Units along an inner dimension: (samples, units, places)."""
    maps: torch.Tensor = x.flatten(unit_dim + 1)
    return maps.flatten(0, unit_dim - 1) if unit_dim else maps[None]


def _vectors(x: torch.Tensor, unit_dim: int) -> torch.Tensor:
    """At most 64 samples as vectors: whole maps, or the units at single positions."""
    if unit_dim % x.ndim == x.ndim - 1:
        table = x.reshape(-1, x.shape[-1])
        rows = _spread_out(len(table), _SAMPLES).to(x.device)
    else:
        table = x.reshape(math.prod(x.shape[:unit_dim]), -1)
        rows = _spread_out(len(table), _SAMPLES).to(x.device)
    # Evenly spaced features are a view, of which rows are copied; a table of places would miss the cache.
    table = table[:, :: _step(table.shape[1], _FEATURES)]
    return table if len(rows) == len(table) else table[rows]


def _cosine(vectors: torch.Tensor) -> float | None:
    """Mean cosine over pairs: ``(|sum u|^2 - n) / (n (n - 1))`` for unit vectors u."""
    v = vectors.double()
    norms = torch.linalg.vector_norm(v, dim=1, keepdim=True)
    v = (v / norms)[norms[:, 0] > 0.0]
    n = len(v)
    if n < 2:
        return None
    together = float(v.sum(dim=0).square().sum())
    return min(1.0, max(-1.0, (together - n) / (n * (n - 1))))


def _unit_spread(rows: torch.Tensor, power: float) -> float | None:
    if len(rows) < 2 or not power > 0.0:
        return None
    deviations = rows.double()
    deviations = deviations - deviations.mean(dim=0)
    return float(deviations.square_().mean(dim=0).median().sqrt()) / math.sqrt(power)


def dead_share(x: torch.Tensor, dims: Sequence[int]) -> dict[int, float]:
    """Share of units that are at or below zero on every observation, for units along each of `dims`.

    Of large tensors a few dozen observations of every unit are looked at first; units that are at or below
    zero there are looked at as a whole.
    """
    x = _plain(x.abs() if x.is_complex() else x)
    found = {}
    for dim in dims:
        units = x.shape[dim]
        suspect = x
        if x.numel() > _LARGE:
            silent = (_glance(x, dim) <= 0).nonzero().flatten()
            suspect = x.index_select(dim, silent) if len(silent) < units else x
        rest = [d for d in range(x.ndim) if d != dim % x.ndim]
        highest = suspect.amax(dim=rest) if rest and suspect.numel() else suspect
        found[dim] = int((highest <= 0).sum()) / max(units, 1)
    return found


def _glance(x: torch.Tensor, dim: int) -> torch.Tensor:
    """The largest of some observations of every unit."""
    if dim % x.ndim != x.ndim - 1:
        maps = _maps(x, dim % x.ndim)
        maps = maps[:: _step(len(maps), _OBSERVATIONS // 4)]
        first, middle = maps[:, :, :_NEIGHBOURS].amax(dim=2), maps[:, :, maps.shape[2] // 2]
        return torch.maximum(first, middle).amax(dim=0)
    table = x.reshape(-1, x.shape[-1])
    return table[_spread_out(len(table), _OBSERVATIONS).to(x.device)].amax(dim=0)


def saturated_share(x: torch.Tensor, low: float, high: float) -> float:
    """Share of elements at or beyond either bound."""
    values = flat(_plain(x))
    return int(((values <= low) | (values >= high)).sum()) / max(values.numel(), 1)
