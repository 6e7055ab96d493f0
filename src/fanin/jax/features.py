"""Statistics of the batch itself, feature by feature and sample by sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.records.trace import InputMeasurement

__all__ = ["alike", "measure_inputs"]

_ROWS = 4096
_FEATURES = 4096
"""At most so many observations and features are looked at; beyond, the first ones."""
_SAME = 1e-6
_ELEMENTS = 1 << 20

Floats = NDArray[np.float64]


def measure_inputs(
    inputs: Sequence[tuple[int, NDArray[Any]]], channels: Mapping[int, int]
) -> tuple[InputMeasurement, ...]:
    """Measure every input of a run.

    Parameters
    ----------
    inputs
        Node ids and arrays.
    channels
        The dimension of an input's features, where that is not the last one.
    """
    found = []
    for place, (node, x) in enumerate(inputs):
        if x.size == 0 or x.dtype.kind == "c":
            continue
        name = "the input" if len(inputs) == 1 else f"input {place + 1}"
        found.append(replace(_measured(name, x, channels.get(node, x.ndim - 1)), node=node))
    return tuple(found)


def _measured(name: str, x: NDArray[Any], dim: int) -> InputMeasurement:
    repeated, samples = _repeated(x), len(x) if x.ndim else 1
    if x.dtype.kind in "iub":  # names, not amounts: they have no mean to speak of
        return InputMeasurement(
            name=name, features=0, samples=samples, mean=0.0, std=0.0, offset=0.0, least_std=0.0,
            largest_std=0.0, repeated=repeated,
        )  # fmt: skip
    x = x.astype(np.float64)
    if not bool(np.isfinite(x).all()):
        return InputMeasurement(
            name=name, features=0, samples=samples, mean=math.nan, std=math.nan, offset=math.nan,
            least_std=math.nan, largest_std=math.nan, repeated=repeated, finite=False,
        )  # fmt: skip
    table = np.moveaxis(x, dim, -1).reshape(-1, x.shape[dim]) if x.ndim > 1 else x.reshape(-1, 1)
    table = table[:: max(1, len(table) // _ROWS), :_FEATURES]
    std, mean = table.std(axis=0), table.mean(axis=0)
    constant = table.max(axis=0) == table.min(axis=0)
    moving = std[~constant]
    return InputMeasurement(
        name=name,
        features=table.shape[1],
        samples=len(table),
        mean=float(table.mean()),
        std=float(table.std()),
        offset=float((np.abs(mean[~constant]) / moving).max()) if len(moving) else math.inf,
        least_std=float(moving.min()) if len(moving) else 0.0,
        largest_std=float(moving.max()) if len(moving) else 0.0,
        constant=int(constant.sum()) if len(table) > 1 else 0,
        duplicate=_mirrored((table - mean)[:, ~constant] / moving) if len(table) > 2 else 0,
        repeated=repeated,
    )


def _repeated(x: NDArray[Any]) -> int:
    """Number of samples that equal an earlier one, bit for bit."""
    if x.ndim == 0 or len(x) < 2:
        return 0
    rows = np.ascontiguousarray(x.reshape(len(x), -1)[:_ROWS])
    if rows.shape[1] == 0:
        return 0
    return len(rows) - len({row.tobytes() for row in rows})


def _mirrored(z: Floats) -> int:
    """Number of standardised columns that equal an earlier one, up to their sign."""
    count = z.shape[1]
    if count < 2:
        return 0
    # Columns with the same first number and the same sum with fixed weights are compared.
    z = z * np.where(z[0] < 0, -1.0, 1.0)
    sums = np.cos(np.arange(1, len(z) + 1)) @ z
    order = np.argsort(sums, kind="stable")
    near = np.abs(np.diff(sums[order])) <= _SAME * len(z)
    pairs = ((order[k], order[k + 1]) for k in np.flatnonzero(near))
    return sum(bool(np.abs(z[:, a] - z[:, b]).max() <= _SAME) for a, b in pairs)


def alike(x: NDArray[Any], unit: int) -> float | None:
    """Mean product of two positions of one sample, at the same feature; None where there is but one.

    ``((sum over P positions)^2 - sum of squares) / (P (P - 1))``, averaged over samples and features.
    """
    if x.ndim < 3 or x.dtype.kind not in "fV":
        return None
    x = x[: max(1, _ELEMENTS // max(x[0].size, 1))].astype(np.float64)
    rows = np.moveaxis(x, unit, 1).reshape(len(x), x.shape[unit], -1)
    places = rows.shape[-1]
    if places < 2 or rows.size == 0:
        return None
    together = np.square(rows.sum(axis=-1)) - np.square(rows).sum(axis=-1)
    return float(together.mean()) / (places * (places - 1))
