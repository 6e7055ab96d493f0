"""Statistics of parameters: spread, range, equal units, equal arrays."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.jax.leaves import Leaf
from fanin.records.axes import Axes, Role
from fanin.records.graph import Graph, Parameter, UseKind
from fanin.records.trace import ParameterMeasurement

__all__ = ["measure_parameters"]

Array = NDArray[Any]

_SMALL = 262_144
"""So many numbers give a std to 0.14 %; of larger arrays, a part is enough for all but the range."""
_MOMENTS = 16_384
"""And so many a kurtosis to 0.04."""
_RUNS = 4096
_GROUPS, _COLUMNS = 3, 8
"""Columns that tell whether all are orthogonal: random ones have a cosine of 1 / sqrt(rows).

Neighbours, and in several places, as blocks may be orthogonal each by itself.
"""
_ORTHOGONAL = 1e-3
"""Cosines of orthogonal columns in half precision stay below this, those of random ones do not."""
_LEAST, _LARGEST = 16, 1024
"""Columns from which signs mean something, and up to which a decomposition is cheap."""
_LAYERS = {UseKind.WEIGHT, UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE}


def measure_parameters(
    graph: Graph, leaves: Sequence[Leaf], norms: Mapping[str, float | None]
) -> tuple[ParameterMeasurement, ...]:
    """Measure every floating parameter of a model as it is now.

    Parameters
    ----------
    graph
        Says which dimensions are units.
    leaves
        The model's arrays.
    norms
        Norm of the gradient of each, None where none arrives.
    """
    known = {p.name: p for p in graph.parameters}
    values = {leaf.name: _wide(np.asarray(leaf.value)) for leaf in leaves if not leaf.buffer}
    values = {name: value for name, value in values.items() if value.dtype.kind in "fc"}
    moments = {name: _moments(value) for name, value in values.items()}
    alike = defaultdict(list)
    for name, (mean, std, largest, _) in moments.items():
        alike[values[name].shape, values[name].dtype, mean, std, largest].append(name)
    hashed = {name for names in alike.values() if len(names) > 1 for name in names}
    found = []
    for name, value in values.items():
        mean, std, largest, finite = moments[name]
        units, inputs = _equal(known[name], value, known, values) if name in known else (0, 0)
        law: dict[str, Any] = {}
        if finite and std > 0.0 and value.dtype.kind == "f":
            law = _shape_of_law(value, _matrix(known.get(name), value), mean, std)
        found.append(
            ParameterMeasurement(
                name=name,
                numel=value.size,
                mean=mean,
                std=std,
                largest=largest,
                finite=finite,
                gradient_norm=norms.get(name),
                identical_units=units,
                identical_inputs=inputs,
                # Arrays that hold the same numbers have the same moments; only those are hashed.
                digest=_digest(value) if name in hashed else "",
                **law,
            )
        )
    return tuple(found)


def _wide(value: Array) -> Array:
    """Numbers of formats that NumPy lacks (bfloat16, eight bits) in single precision."""
    return value.astype(np.float32) if value.dtype.kind == "V" or value.dtype.itemsize == 1 else value


def _runs(values: Array, most: int) -> Array:
    """About so many elements of a flat array: 4,096 runs of neighbours, evenly spaced."""
    if values.size <= most:
        return values
    apart = values.size // _RUNS
    while math.gcd(apart, values.size) > 1:
        apart -= 1
    found = min(_RUNS, values.size // apart)
    return values[: found * apart].reshape(found, apart)[:, : most // _RUNS].reshape(-1)


def _moments(value: Array) -> tuple[float, float, float, bool]:
    """Mean, std, largest number and whether all are finite; of complex ones by their modulus."""
    if value.size == 0:
        return 0.0, 0.0, 0.0, True
    if value.dtype.kind == "c":
        sizes = np.abs(value).astype(np.float64)
        power = float(np.square(sizes).mean())
        if not math.isfinite(power):
            return math.nan, math.nan, math.inf, False
        middle = float(np.abs(value.mean(dtype=np.complex128)))
        return middle, math.sqrt(max(power - middle * middle, 0.0)), float(sizes.max()), True
    low, high = float(value.min()), float(value.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        return math.nan, math.nan, math.inf, False
    if low == high:
        return low, 0.0, abs(low), True
    wide = _runs(value.reshape(-1), _SMALL).astype(np.float64)
    return float(wide.mean()), float(wide.std()), max(abs(low), abs(high)), True


def _matrix(parameter: Parameter | None, value: Array) -> Array | None:
    """A weight as rows of units, by the roles of its dimensions; units are last where these are not known."""
    if value.ndim < 2:
        return None
    use = next((u for u in parameter.uses if u.axes is not None), None) if parameter is not None else None
    roles = use.axes.roles if use is not None and use.axes is not None else ()
    first = [d for d, role in enumerate(roles) if role == Role.OUT] if len(roles) == value.ndim else []
    first = first or [value.ndim - 1]
    rest = [d for d in range(value.ndim) if d not in first]
    rows = math.prod(value.shape[d] for d in first)
    return value.transpose(*first, *rest).reshape(rows, -1)


def _shape_of_law(value: Array, matrix: Array | None, mean: float, std: float) -> dict[str, Any]:
    """Skewness, kurtosis, and what tells an orthogonal draw."""
    z = (_runs(value.reshape(-1), _MOMENTS).astype(np.float64) - mean) / std
    squares = np.square(z)
    found: dict[str, Any] = {
        "skewness": float((squares * z).mean()),
        "kurtosis": float(np.square(squares).mean()),
    }
    if matrix is not None and min(matrix.shape) >= _LEAST:
        tall = matrix if len(matrix) >= matrix.shape[1] else matrix.T
        found["correlation"] = _correlation(tall)
        if found["correlation"] < _ORTHOGONAL and tall.shape[1] <= _LARGEST:
            both = (tall, tall.T) if len(tall) == tall.shape[1] else (tall,)
            found["signs"] = max((_signs(m) for m in both), key=abs)
    return found


def _correlation(tall: Array) -> float:
    """Largest absolute cosine between some columns."""
    past = tall.shape[1] - _COLUMNS
    starts = [past * i // (_GROUPS - 1) for i in range(_GROUPS)]
    apart = past >= _GROUPS * _COLUMNS
    columns = np.concatenate([tall[:, s : s + _COLUMNS] for s in starts], axis=1) if apart else tall
    columns = columns.astype(np.float64)
    gram = columns.T @ columns
    lengths = np.maximum(np.sqrt(np.diagonal(gram)), 1e-150)
    cosines = np.abs(gram / (lengths * lengths[:, None]))
    np.fill_diagonal(cosines, 0.0)
    return float(cosines.max())


def _signs(tall: Array) -> float:
    """Mean sign of diag(R) in a QR decomposition by reflections."""
    return float(np.sign(np.diagonal(np.linalg.qr(tall.astype(np.float64), mode="r"))).mean())


def _digest(value: Array) -> str:
    return hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).hexdigest()


def _equal(
    parameter: Parameter, value: Array, known: Mapping[str, Parameter], values: Mapping[str, Array]
) -> tuple[int, int]:
    """Number of output units, and of input units, that equal an earlier one."""
    use = next((u for u in parameter.uses if u.kind in _LAYERS and u.axes is not None), None)
    if use is None or use.axes is None or value.size == 0:
        return 0, 0
    beside = [
        values[p.name].reshape(-1)
        for p in known.values()
        for u in p.uses
        if u.node == use.node and u.kind in (UseKind.BIAS, UseKind.RECURRENT_BIAS) and p.name in values
    ]
    return _repeats(value, use.axes, Role.OUT, beside), _repeats(value, use.axes, Role.IN, [])


def _repeats(value: Array, axes: Axes, role: Role, beside: Sequence[Array]) -> int:
    """Indices along a role's dimensions at which the array (and what is beside) equals an earlier one."""
    if len(axes.roles) != value.ndim or role not in axes.roles:
        return 0
    first = [d for d, r in enumerate(axes.roles) if r == role]
    rest = [d for d in range(value.ndim) if d not in first]
    count, each = math.prod(value.shape[d] for d in first), math.prod(value.shape[d] for d in rest)
    if count < 2 or each < 2:
        return 0
    beside = [b for b in beside if b.size == count]
    table = value.transpose(*first, *rest).reshape(count, each)
    # A few elements tell random rows apart; only rows that agree there are compared as a whole.
    places = sorted({0, each // 3, each // 2, each - 1})
    keys = np.stack([*(table[:, place] for place in places), *beside], axis=1)
    groups: dict[bytes, list[int]] = defaultdict(list)
    _, inverse, counts = np.unique(keys[:, 0], return_inverse=True, return_counts=True)
    for place in np.flatnonzero(counts[inverse.reshape(-1)] > 1):
        groups[(keys[place] + 0.0).tobytes()].append(int(place))
    return sum(len(m) - len({(table[k] + 0.0).tobytes() for k in m}) for m in groups.values())
