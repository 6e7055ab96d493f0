"""Statistics of parameters: spread, range, equal units, equal tensors."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from fanin.records.axes import Axes, Role
from fanin.records.graph import Graph, Parameter, UseKind
from fanin.records.trace import ParameterMeasurement
from fanin.torch.names import NamedTensor
from fanin.torch.statistics import flat, runs, sum_of_squares, sums

__all__ = ["measure_parameters"]

_SMALL = 262_144
"""So many numbers give a std to 0.14 %; of larger tensors, a part is enough for all but the range."""

_MOMENTS = 16_384
"""And so many a kurtosis to 0.04."""

_FAINT = 1e-30
"""Powers between this and its reciprocal are sums of squares that float32 holds."""

_GROUPS, _COLUMNS = 3, 8
"""Columns that tell whether all are orthogonal: random ones have a cosine of 1 / sqrt(rows).

Neighbours, as memory comes in lines; and in several places, as blocks may be orthogonal each by itself.
"""

_ORTHOGONAL = 1e-3
"""Cosines of orthogonal columns in half precision stay below this, those of random ones do not."""

_LEAST, _LARGEST = 16, 1024
"""Columns from which signs mean something, and up to which a decomposition is cheap."""

_LAYERS = {UseKind.WEIGHT, UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE}


def measure_parameters(
    graph: Graph, tensors: Sequence[NamedTensor], gradients: Mapping[str, torch.Tensor | None]
) -> tuple[ParameterMeasurement, ...]:
    """Measure every floating parameter of a model as it is now.

    Parameters
    ----------
    graph
        Says which dimensions are units.
    tensors
        The model's tensors.
    gradients
        Gradient of each trainable parameter, None where none arrives.
    """
    known = {p.name: p for p in graph.parameters}
    floats = [t for t in tensors if not t.buffer and _numeric(t.tensor) and not t.tensor.is_meta]
    values = {t.name: _wide(t.tensor.detach()) for t in floats}
    moments = {name: _moments(value) for name, value in values.items()}
    alike = defaultdict(list)
    for name, (mean, std, largest, _) in moments.items():
        alike[tuple(values[name].shape), values[name].dtype, mean, std, largest].append(name)
    hashed = {name for names in alike.values() if len(names) > 1 for name in names}
    found = []
    for name, value in values.items():
        mean, std, largest, finite = moments[name]
        gradient = gradients.get(name)
        units, inputs = _equal(known[name], value, known, values) if name in known else (0, 0)
        found.append(
            ParameterMeasurement(
                name=name,
                numel=value.numel(),
                mean=mean,
                std=std,
                largest=largest,
                finite=finite,
                gradient_norm=None if gradient is None else math.sqrt(sum_of_squares(gradient)),
                identical_units=units,
                identical_inputs=inputs,
                # Tensors that hold the same numbers have the same moments; only those are hashed.
                digest=_digest(value) if name in hashed else "",
                **_shape_of_law(value, mean, std) if finite and std > 0.0 and not value.is_complex() else {},
            )
        )
    return tuple(found)


def _numeric(value: torch.Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


def _wide(value: torch.Tensor) -> torch.Tensor:
    """Eight-bit numbers in single precision, for which there are operators."""
    return value.float() if value.is_floating_point() and value.itemsize == 1 else value


def _moments(value: torch.Tensor) -> tuple[float, float, float, bool]:
    """Mean, std, largest number and whether all are finite; of complex ones by their modulus."""
    if value.numel() == 0:
        return 0.0, 0.0, 0.0, True
    if value.is_complex():
        sizes = value.abs()
        middle, power = float(value.mean().abs()), float(sizes.double().square().mean())
        if not math.isfinite(power):
            return math.nan, math.nan, math.inf, False
        return middle, math.sqrt(max(power - middle * middle, 0.0)), float(sizes.amax()), True
    low, high = (float(v) for v in torch.aminmax(value))
    if not (math.isfinite(low) and math.isfinite(high)):
        return math.nan, math.nan, math.inf, False
    if low == high:
        return low, 0.0, abs(low), True
    values = runs(flat(value), _SMALL).reshape(-1)
    mean, power = (total / values.numel() for total in sums(values))
    variance = power - mean * mean
    if not _FAINT < power < 1.0 / _FAINT or variance < 1e-3 * power:
        # What cancels is most of it (subtract the mean first), or squares leave float32's range.
        wide = values.double()
        mean = float(wide.mean())
        variance = float((wide - mean).square().mean())
    return mean, math.sqrt(variance), max(abs(low), abs(high)), True


def _shape_of_law(value: torch.Tensor, mean: float, std: float) -> dict[str, float | None]:
    """Skewness, kurtosis, and what tells an orthogonal draw."""
    z = (runs(flat(value), _MOMENTS).double() - mean) / std
    squares = z.square()
    found: dict[str, float | None] = {
        "skewness": float((squares * z).mean()),
        "kurtosis": float(squares.square().mean()),
    }
    if value.ndim >= 2 and min(len(value), value[0].numel()) >= _LEAST:
        matrix = value.reshape(len(value), -1)
        tall = matrix if len(matrix) >= matrix.shape[1] else matrix.T
        found["correlation"] = _correlation(tall)
        if (found["correlation"] or 0.0) < _ORTHOGONAL and tall.shape[1] <= _LARGEST:
            both = (tall, tall.T) if len(tall) == tall.shape[1] else (tall,)
            found["signs"] = max((_signs(m) for m in both), key=abs)
    return found


def _correlation(tall: torch.Tensor) -> float:
    """Largest absolute cosine between some columns."""
    past = tall.shape[1] - _COLUMNS
    starts = [past * i // (_GROUPS - 1) for i in range(_GROUPS)]
    apart = past >= _GROUPS * _COLUMNS
    columns = torch.cat([tall.narrow(1, s, _COLUMNS) for s in starts], dim=1) if apart else tall
    columns = columns.double()
    gram = columns.T @ columns
    lengths = gram.diagonal().sqrt().clamp_min(1e-150)
    cosines = gram / (lengths * lengths[:, None])
    cosines.fill_diagonal_(0.0)
    return float(cosines.abs().amax())


def _signs(tall: torch.Tensor) -> float:
    """Mean sign of diag(R) in a QR decomposition by reflections."""
    return float(torch.linalg.qr(tall.double()).R.diagonal().sign().mean())


def _digest(value: torch.Tensor) -> str:
    raw = value.contiguous().cpu().reshape(-1).view(torch.uint8).numpy()
    return hashlib.blake2b(raw.data, digest_size=16).hexdigest()


def _equal(
    parameter: Parameter,
    value: torch.Tensor,
    known: Mapping[str, Parameter],
    values: Mapping[str, torch.Tensor],
) -> tuple[int, int]:
    """Number of output units, and of input units, that equal an earlier one."""
    use = next((u for u in parameter.uses if u.kind in _LAYERS and u.axes is not None), None)
    made = "Orthogonal" in parameter.parametrisation  # of zeros it makes a matrix without equal rows
    if use is None or use.axes is None or value.numel() == 0 or made:
        return 0, 0
    beside = [
        values[p.name].reshape(-1)
        for p in known.values()
        for u in p.uses
        if u.node == use.node and u.kind in (UseKind.BIAS, UseKind.RECURRENT_BIAS) and p.name in values
    ]
    return _repeats(value, use.axes, Role.OUT, beside), _repeats(value, use.axes, Role.IN, [])


def _repeats(value: torch.Tensor, axes: Axes, role: Role, beside: Sequence[torch.Tensor]) -> int:
    """Indices along a role's dimensions at which the tensor (and what is beside) equals an earlier one."""
    if len(axes.roles) != value.ndim or role not in axes.roles:
        return 0
    first = [d for d, r in enumerate(axes.roles) if r == role]
    rest = [d for d in range(value.ndim) if d not in first]
    turned = value.permute(*rest, *first)
    count, each = math.prod(value.shape[d] for d in first), math.prod(value.shape[d] for d in rest)
    if count < 2 or each < 2:
        return 0
    beside = [b for b in beside if b.numel() == count]
    # A few elements tell random rows apart; only rows that agree there are compared as a whole.
    places = sorted({0, each // 3, each // 2, each - 1})
    probes = [turned[tuple(_unravelled(place, turned.shape[: len(rest)]))].reshape(-1) for place in places]
    alike = _groups(
        torch.stack([(p.real if p.is_complex() else p).double() for p in (*probes, *beside)], dim=1)
    )
    if not alike:
        return 0
    table = value.permute(*first, *rest).reshape(count, each)
    if role == Role.OUT and bool(table.any()):
        # Units of zeros among others are meant (queries, gates), no copies: what reads them tells them apart.
        drawn = table.any(dim=1).tolist()
        alike = [[place for place in m if drawn[place]] for m in alike]
    return sum(len(m) - len({row.tobytes() for row in _bytes(table[m])}) for m in alike if m)


def _groups(keys: torch.Tensor) -> list[list[int]]:
    """Rows of a table that agree in every column, in groups of two and more."""
    # One column sorts the rows; those of equal neighbours alone are looked at in Python.
    column = keys[:, 0]
    ordered, order = torch.sort(column)
    same = ordered[1:] == ordered[:-1]
    if not bool(same.any()):
        return []
    touched = torch.zeros(len(column), dtype=torch.bool, device=column.device)
    touched[:-1] |= same
    touched[1:] |= same
    places = order[touched]
    groups = defaultdict(list)
    for place, key in zip(places.tolist(), keys[places].tolist(), strict=True):
        groups[tuple(key)].append(place)
    return [sorted(members) for members in groups.values() if len(members) > 1]


def _unravelled(place: int, shape: Sequence[int]) -> list[int]:
    found = []
    for size in reversed(shape):
        found.append(place % size)
        place //= size
    return found[::-1]


def _bytes(rows: torch.Tensor) -> Any:
    return rows.contiguous().cpu().view(torch.uint8).numpy()
