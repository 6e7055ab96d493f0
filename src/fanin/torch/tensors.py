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
from fanin.torch.statistics import flat, sum_of_squares, total

__all__ = ["measure_parameters"]

_SMALL = 1_000_000
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
    floats = [t for t in tensors if not t.buffer and t.tensor.is_floating_point() and not t.tensor.is_meta]
    values = {t.name: t.tensor.detach() for t in floats}
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
            )
        )
    return tuple(found)


def _moments(value: torch.Tensor) -> tuple[float, float, float, bool]:
    if value.numel() == 0:
        return 0.0, 0.0, 0.0, True
    x = value.double() if value.numel() <= _SMALL else value.float()
    low, high = (float(v) for v in torch.aminmax(x))
    if not (math.isfinite(low) and math.isfinite(high)):
        return math.nan, math.nan, math.inf, False
    if low == high:
        return low, 0.0, abs(low), True
    values = flat(x)
    mean, power = total(values) / values.numel(), sum_of_squares(x) / x.numel()
    variance = power - mean * mean
    if variance < 1e-3 * power:
        # What cancels is most of it: subtract the mean first.
        variance = sum_of_squares(values.double() - mean) / values.numel()
    return mean, math.sqrt(variance), max(abs(low), abs(high)), True


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
    if use is None or use.axes is None or value.numel() == 0:
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
    groups = defaultdict(list)
    for place, key in enumerate(torch.stack([p.double() for p in (*probes, *beside)], dim=1).tolist()):
        groups[tuple(key)].append(place)
    alike = [members for members in groups.values() if len(members) > 1]
    if not alike:
        return 0
    table = value.permute(*first, *rest).reshape(count, each)
    return sum(len(m) - len({row.tobytes() for row in _bytes(table[m])}) for m in alike)


def _unravelled(place: int, shape: Sequence[int]) -> list[int]:
    found = []
    for size in reversed(shape):
        found.append(place % size)
        place //= size
    return found[::-1]


def _bytes(rows: torch.Tensor) -> Any:
    return rows.contiguous().cpu().view(torch.uint8).numpy()
