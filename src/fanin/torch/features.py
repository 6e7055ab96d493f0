"""Statistics of the batch itself, feature by feature and sample by sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from fanin.records.trace import InputMeasurement
from fanin.torch.recording import Recording

__all__ = ["measure_inputs"]

_ROWS = 4096
_FEATURES = 4096
"""At most so many observations and features are looked at; beyond, the first ones."""

_SAME = 1e-6


def measure_inputs(
    recording: Recording, tensors: Mapping[int, torch.Tensor], channels: Mapping[int, int]
) -> tuple[InputMeasurement, ...]:
    """Measure every input of a run.

    Parameters
    ----------
    tensors
        Inputs by the place in the recording.
    channels
        Along which dimension those that convolutions read have their channels; others have features last.
    """
    ops = [op for op in recording.ops if op.name == "input" and op.id in tensors]
    found = []
    for place, op in enumerate(ops):
        x = tensors[op.id].detach()
        if x.numel() == 0 or x.is_complex() or x.is_meta or x.layout is not torch.strided:
            continue
        name = "the input" if len(ops) == 1 else f"input {place + 1}"
        found.append(replace(_measured(name, x, channels.get(op.id, x.ndim - 1)), node=op.id))
    return tuple(found)


def _measured(name: str, x: torch.Tensor, dim: int) -> InputMeasurement:
    repeated = _repeated(x)
    if not x.is_floating_point():
        return _plain(name, x, repeated)
    if not bool(torch.isfinite(x).all()):
        return InputMeasurement(
            name=name, features=0, samples=len(x) if x.ndim else 1, mean=math.nan, std=math.nan,
            offset=math.nan, least_std=math.nan, largest_std=math.nan, repeated=repeated, finite=False,
        )  # fmt: skip
    table = x.movedim(dim, -1).reshape(-1, x.shape[dim]) if x.ndim > 1 else x.reshape(-1, 1)
    table = table[:: max(1, len(table) // _ROWS), :_FEATURES].double()
    std, mean = table.std(dim=0, correction=0), table.mean(dim=0)
    constant = table.amax(dim=0) == table.amin(dim=0)
    moving = std[~constant]
    whole = float(table.std(correction=0))
    return InputMeasurement(
        name=name,
        features=table.shape[1],
        samples=len(table),
        mean=float(table.mean()),
        std=whole,
        offset=float((mean[~constant].abs() / moving).amax()) if len(moving) else math.inf,
        least_std=float(moving.amin()) if len(moving) else 0.0,
        largest_std=float(moving.amax()) if len(moving) else 0.0,
        constant=int(constant.sum()) if len(table) > 1 else 0,
        duplicate=_mirrored((table - mean)[:, ~constant] / moving) if len(table) > 2 else 0,
        repeated=repeated,
    )


def _plain(name: str, x: torch.Tensor, repeated: int) -> InputMeasurement:
    """Whole numbers are names, not amounts: they have no mean to speak of."""
    samples = len(x) if x.ndim else 1
    return InputMeasurement(
        name=name, features=0, samples=samples, mean=0.0, std=0.0, offset=0.0, least_std=0.0,
        largest_std=0.0, repeated=repeated,
    )  # fmt: skip


def _repeated(x: torch.Tensor) -> int:
    """Number of samples that equal an earlier one, bit for bit."""
    if x.ndim == 0 or len(x) < 2:
        return 0
    rows = x.reshape(len(x), -1)[:_ROWS]
    if rows.shape[1] == 0:
        return 0
    # A few numbers of each sample tell most of them apart; equal ones are compared as a whole.
    step = max(1, rows.shape[1] // 8)
    groups: dict[tuple[float, ...], list[int]] = {}
    for place, key in enumerate(rows[:, ::step].double().tolist()):
        groups.setdefault(tuple(key), []).append(place)
    again = 0
    for members in groups.values():
        distinct: list[int] = []
        for place in members:
            if any(torch.equal(rows[place], rows[other]) for other in distinct[:8]):
                again += 1
            else:
                distinct.append(place)
    return again


def _mirrored(z: torch.Tensor) -> int:
    """Number of standardised columns that equal an earlier one, up to their sign."""
    count = z.shape[1]
    if count < 2:
        return 0
    # Columns with the same first number and the same sum with fixed weights are compared.
    signs = torch.where(z[0] < 0, -1.0, 1.0).to(z.dtype)
    z = z * signs
    weights = torch.cos(torch.arange(1, len(z) + 1, dtype=z.dtype, device=z.device))
    ordered, order = torch.sort(weights @ z)
    near = (ordered[1:] - ordered[:-1]).abs() <= _SAME * len(z)
    again = 0
    for place in torch.nonzero(near).flatten().tolist():
        a, b = int(order[place]), int(order[place + 1])
        again += bool((z[:, a] - z[:, b]).abs().amax() <= _SAME)
    return again
