"""Statistics of a tensor, in few passes and without copies of it.

Sums run in float32 over rows of a few thousand elements and in float64 over rows, which keeps six
digits for tensors of any size; powers that leave float32's range are rescaled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

__all__ = ["Numbers", "dead_share", "flat", "numbers", "saturated_share", "sum_of_squares"]

_ROW = 8192
_SAMPLES = 64
_FEATURES = 4096
_OBSERVATIONS = 256
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


def numbers(x: torch.Tensor, unit_dim: int) -> Numbers:
    """Measure one output whose units lie along `unit_dim`."""
    x = _plain(x)
    values = flat(x)
    count = max(values.numel(), 1)
    total = sum_of_squares(x)
    finite = math.isfinite(total) or bool(torch.isfinite(values).all())
    power = total / count
    units = x.shape[unit_dim] if x.ndim else 1
    rows = _rows(x, unit_dim) if finite and x.ndim else None
    return Numbers(
        units=units,
        samples=x.numel() // max(units, 1),
        mean=_sum(values) / count,
        power=power,
        zeros=1.0 - int(torch.count_nonzero(values)) / count,
        cosine=None if rows is None else _cosine(_vectors(x, unit_dim)),
        unit_spread=None if rows is None else _unit_spread(rows, power),
        finite=finite,
    )


def _plain(x: torch.Tensor) -> torch.Tensor:
    x = x.detach()
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def flat(x: torch.Tensor) -> torch.Tensor:
    """All elements in memory order, each broadcast value once: a view wherever memory is dense."""
    for dim in range(x.ndim):
        if x.stride(dim) == 0 and x.shape[dim] > 1:
            x = x.narrow(dim, 0, 1)
    order = sorted(range(x.ndim), key=x.stride, reverse=True)
    return x.permute(order).reshape(-1)


def _sum(values: torch.Tensor) -> float:
    whole = values.numel() // _ROW * _ROW
    total = float(values[whole:].double().sum())
    if whole:
        total += float(values[:whole].view(-1, _ROW).sum(dim=1).double().sum())
    return total


def sum_of_squares(x: torch.Tensor) -> float:
    """Sum of all squares (of each broadcast value as often as it occurs)."""
    x = _plain(x)
    values = flat(x)
    if values.numel() == 0:
        return 0.0
    total = _squares(values)
    # Squares of float32 leave its range at 1e19 and 1e-19.
    if not math.isfinite(total) or total < 1e-30 * values.numel():
        largest = float(values.abs().amax())
        if not math.isfinite(largest):
            return math.nan
        total = _squares(values / largest) * largest * largest if largest > 0.0 else 0.0
    return total * (x.numel() / values.numel())


def _squares(values: torch.Tensor) -> float:
    whole = values.numel() // _ROW * _ROW
    total = float(values[whole:].double().square().sum())
    if whole:
        rows = torch.linalg.vector_norm(values[:whole].view(-1, _ROW), dim=1)
        total += float(rows.double().square().sum())
    return total


def _spread_out(count: int, wanted: int) -> torch.Tensor:
    """Places that fall into step with no period of the data (the positions of a sequence)."""
    if count <= wanted:
        return torch.arange(count)
    places = torch.frac(torch.arange(1, wanted + 1, dtype=torch.float64) * _GOLDEN) * count
    return torch.unique(places.long())


def _rows(x: torch.Tensor, unit_dim: int) -> torch.Tensor:
    """A few hundred observations of every unit: (observations, units)."""
    if unit_dim % x.ndim == x.ndim - 1:
        table = x.reshape(-1, x.shape[-1])
        return table[_spread_out(len(table), _OBSERVATIONS).to(x.device)]
    maps: torch.Tensor = x.flatten(unit_dim + 1)
    maps = maps.reshape(-1, *maps.shape[unit_dim:])
    samples = _spread_out(len(maps), 16).to(x.device)
    places = _spread_out(maps.shape[2], _OBSERVATIONS // 16).to(x.device)
    chosen: torch.Tensor = maps[samples][:, :, places]
    return chosen.transpose(1, 2).reshape(-1, maps.shape[1])


def _vectors(x: torch.Tensor, unit_dim: int) -> torch.Tensor:
    """At most 64 samples as vectors: whole maps, or the units at single positions."""
    if unit_dim % x.ndim == x.ndim - 1:
        table = x.reshape(-1, x.shape[-1])
        return table[_spread_out(len(table), _SAMPLES).to(x.device)]
    lead = math.prod(x.shape[:unit_dim])
    table = x.reshape(lead, -1)
    table = table[_spread_out(lead, _SAMPLES).to(x.device)]
    return table[:, _spread_out(table.shape[1], _FEATURES).to(x.device)]


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
    return float(rows.double().std(dim=0, correction=0).median()) / math.sqrt(power)


def dead_share(x: torch.Tensor, unit_dim: int) -> float:
    """Share of units that are at or below zero on every observation."""
    x = _plain(x)
    others = [d for d in range(x.ndim) if d != unit_dim % x.ndim]
    highest = x.amax(dim=others) if others else x
    return int((highest <= 0).sum()) / max(highest.numel(), 1)


def saturated_share(x: torch.Tensor, low: float, high: float) -> float:
    """Share of elements at or beyond either bound."""
    values = flat(_plain(x))
    return int(((values <= low) | (values >= high)).sum()) / max(values.numel(), 1)
