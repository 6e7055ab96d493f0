"""What has been tried before: the same operators at other places of a tensor, or on inputs like these."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from fanin.predictions.trial import Drawn, Outcome
from fanin.predictions.weights import Moments
from fanin.torch.recording import Op, Operand

__all__ = ["Case", "Memo", "case_of"]

_OFTEN = ((4, 0.02), (16, 0.05), (64, 0.1))
"""Trials of an operation so far, and how far a new one's inputs must then lie from all of theirs: a share of
their deviation. A loop's steps come close to each other; how far they are is added to the trial's error."""
_DIGITS = 3
_VIEWS = {
    *("aten.view", "aten._unsafe_view", "aten.unsqueeze", "aten.squeeze", "aten.expand", "aten.t"),
    *("aten.transpose", "aten.permute", "aten.select", "aten.slice"),
}
"""Operators that lay a tensor out anew."""
_SLICES = {"aten.select": (2,), "aten.slice": (2, 3)}
"""Operators that pick places of a tensor, and which arguments say where these are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A trial that is asked for.

    Parameters
    ----------
    kind
        Operators, shapes and settings: what must be equal.
    names
        The parameters that are read.
    moments
        Of inputs and parameters: what may differ a little.
    """

    kind: tuple[object, ...]
    names: tuple[str, ...]
    moments: tuple[float, ...]


class Memo:
    """Outcomes by case; of an operation that is asked for again and again, those of inputs nearby serve."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], list[tuple[Case, Outcome | str]]] = {}

    def known(self, case: Case) -> Outcome | str | None:
        """The outcome of an equal case, or of one as near as serves; None where it has to be tried."""
        before = self._found.get(case.kind, [])
        for other, outcome in before:
            if other.moments == case.moments and other.names == case.names:
                return outcome
        within = max((far for count, far in _OFTEN if len(before) >= count), default=0.0)
        if within == 0.0:
            return None
        away, outcome = min(
            ((_away(o.moments, case.moments), k) for o, k in before), key=lambda pair: pair[0]
        )
        if away > within:
            return None
        return (
            outcome if isinstance(outcome, str) else replace(outcome, error=math.hypot(outcome.error, away))
        )

    def keep(self, case: Case, outcome: Outcome | str) -> None:
        """Remember what came out."""
        self._found.setdefault(case.kind, []).append((case, outcome))


def _away(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The largest distance, of numbers that are logarithms or shares."""
    if len(a) != len(b):
        return math.inf
    return max((0.0 if x == y else abs(x - y) for x, y in zip(a, b, strict=True)), default=0.0)


def case_of(
    ops: tuple[Op, ...],
    region: tuple[int, ...],
    inputs: tuple[Drawn, ...],
    weights: Mapping[str, Moments],
    unit: int,
) -> Case:
    """What makes two trials the same.

    Parameters
    ----------
    ops, region
        The operators of a run, and which of them are tried.
    inputs, weights
        What they are tried on.
    unit
        The dimension of the output's units.
    """
    place = {id: k for k, id in enumerate([*(spec.node for spec in inputs), *region])}
    drawn = {spec.node for spec in inputs}
    kind: list[object] = [unit]
    names: list[str] = []
    first: dict[tuple[object, ...], int] = {}
    for id in region:
        op = ops[id]
        picked: dict[int, object] = {}
        # Places of a drawn tensor have one law: it is only their distance that matters.
        if op.operands and op.operands[0].op in drawn and op.name.rpartition(".")[0] in _VIEWS:
            drawn.add(id)
            picked = _picked(op, first)
        read: list[object] = []
        for o in op.operands:
            if o.op is not None:
                read.append((place.get(o.op, -1), o.index, o.shape))
            elif o.sources:
                names.append(o.sources[0].name)
                read.append(("parameter", o.shape, str(o.dtype)))
            else:
                read.append(("constant", o.shape, _digest(o.value)))
        settings = [repr(picked.get(k, a)) for k, a in enumerate(op.args) if _plain(a)]
        numbers = repr({k: v for k, v in op.kwargs.items() if not isinstance(v, Operand)})
        kind.append((op.name, op.shape, tuple(read), tuple(settings), numbers))
    moments: list[float] = []
    for spec in inputs:
        law = (
            hashlib.blake2b(repr(spec.marginal).encode(), digest_size=8).hexdigest() if spec.marginal else ""
        )
        kind.append((spec.shape, spec.unit, spec.batch, law))
        moments += _shares(spec.mean, spec.power)
        moments += [
            round(m / spec.power, _DIGITS) if spec.power > 0.0 else 0.0 for m in (spec.near, spec.far)
        ]
        moments.append(spec.likeness)
    for name in names:
        if name in weights:
            moments += _shares(weights[name].mean, weights[name].power)
    return Case(kind=tuple(kind), names=tuple(names), moments=tuple(moments))


def _shares(mean: float, power: float) -> tuple[float, float]:
    """Half the logarithm of the power, and the mean in units of its root."""
    if not power > 0.0:
        return -math.inf, 0.0
    return round(0.5 * math.log(power), _DIGITS), round(mean / math.sqrt(power), _DIGITS)


def _picked(op: Op, first: dict[tuple[object, ...], int]) -> dict[int, object]:
    """For arguments that say which places are read, the distance from those that were read first."""
    for name, places in _SLICES.items():
        if not op.name.startswith(name + "."):
            continue
        given = {k: op.args[k] for k in places if k < len(op.args)}
        dim, size = (op.args[1] if len(op.args) > 1 else 0), op.operands[0].shape
        if type(dim) is not int or not size:
            return {}
        length, found = size[dim], dict[int, object]()
        for k, value in given.items():
            if type(value) is not int:
                return {}
            at = min(value + length if value < 0 else value, length)
            found[k] = ("from", at - first.setdefault((dim % len(size), length), at))
        return found
    return {}


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    return not isinstance(value, Operand)


def _digest(value: torch.Tensor | None) -> str:
    """What a constant holds, in short."""
    if value is None or value.is_meta:
        return ""
    held = value.detach().cpu().contiguous()
    return hashlib.blake2b(held.reshape(-1).view(torch.uint8).numpy().tobytes(), digest_size=8).hexdigest()
