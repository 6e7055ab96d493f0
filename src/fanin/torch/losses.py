"""Losses of drawn outputs: what a model's last operations and its loss make of numbers of our choice."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fanin.errors import FaninError
from fanin.predictions.guess import Guessed
from fanin.predictions.trial import Drawn
from fanin.torch.inputs import as_call
from fanin.torch.sandbox import keep_random_state
from fanin.torch.targets import loss_of
from fanin.torch.trials import Run, Trials

__all__ = ["Losses"]

_LARGEST, _DRAWS = 1 << 20, 16
"""Numbers that a loss is still tried on, and draws of them."""


class Losses:
    """Trials of the loss; see `fanin.predictions.guess.LossTrial`.

    Parameters
    ----------
    trials
        Trials of the model's operations.
    inputs, target, loss
        As they were given to the verb.
    """

    def __init__(
        self,
        trials: Trials,
        inputs: tuple[object, ...],
        target: Any,
        loss: Callable[..., Any] | None,
    ) -> None:
        self._trials, self._target, self._loss = trials, target, loss
        labels = as_call(inputs)[1].get("labels")
        self._labels = labels if isinstance(labels, torch.Tensor) else None
        self.plain = _plain(target, loss)

    def ends(self) -> tuple[int, ...]:
        """Nodes that what the model returns comes from; () where another run does not repeat it."""
        try:
            ops = self._trials.ops()
        except FaninError:
            return ()
        nodes = self._trials.nodes()
        found: dict[int, None] = {}
        ahead = [o.op for o in self._trials.outputs() if o.op is not None]
        seen = set(ahead)
        while ahead:
            id = ahead.pop()
            if id in nodes:
                found[nodes[id]] = None
                continue
            behind = [o.op for o in ops[id].operands if o.op is not None and o.op not in seen]
            seen.update(behind)
            ahead += behind
        return tuple(found)

    def __call__(self, drawn: tuple[Drawn, ...], luck: tuple[tuple[float, float], ...]) -> Guessed | str:
        """Mean and deviation of the loss over draws, or why it cannot be computed."""
        outputs = self._trials.outputs()
        size = sum(math.prod(spec.shape) for spec in drawn) + sum(math.prod(o.shape) for o in outputs)
        if size > _LARGEST:
            return f"it is too large to be tried ({size:,} numbers)"
        places = self._trials.places()
        try:
            with keep_random_state():
                values = [self._value(drawn, luck, places, k) for k in range(_DRAWS)]
        except Exception as error:  # noqa: BLE001 - any operator, and the user's loss, may refuse
            return f"{type(error).__name__}: {error}"
        found = np.array(values)
        return Guessed(value=float(found.mean()), sd=float(found.std(ddof=1)), draws=_DRAWS)

    def _value(
        self,
        drawn: tuple[Drawn, ...],
        luck: tuple[tuple[float, float], ...],
        places: Mapping[int, int],
        draw: int,
    ) -> float:
        specs = []
        for spec, (shift, sd) in zip(drawn, luck, strict=True):
            z = float(self._trials.normals(f"luck/{spec.node}/{draw}", (1,))[0])
            times = math.exp(min(shift + sd * z, 50.0))
            moments = {key: times * getattr(spec, key) for key in ("power", "near", "far")}
            specs.append(replace(spec, node=places[spec.node], mean=math.sqrt(times) * spec.mean, **moments))
        run = Run(self._trials, None, tuple(specs), {}, draw)
        with torch.enable_grad():  # a loss without a gradient is refused
            each = iter([run.at(o) for o in self._trials.outputs()])
            output = _replaced(self._trials.returned(), each)
            made = loss_of(output, self._target, self._loss, self._labels)
        if made is None:
            raise ValueError("there is no loss")
        return float(made.value.detach())


def _plain(target: Any, loss: Callable[..., Any] | None) -> bool:
    """Whether it is a mean cross entropy of classes, which has a law of its own."""
    if isinstance(loss, nn.CrossEntropyLoss):
        return loss.weight is None and loss.label_smoothing == 0.0 and loss.reduction == "mean"
    if loss is not None:
        return loss is functional.cross_entropy
    return not (isinstance(target, torch.Tensor) and (target.is_floating_point() or target.is_complex()))


def _replaced(value: Any, tensors: Iterator[torch.Tensor]) -> Any:
    """What a model returned, with other tensors in it, in the order in which they were recorded."""
    if isinstance(value, torch.Tensor):
        return next(tensors)
    if isinstance(value, Mapping):
        items = {key: _replaced(item, tensors) for key, item in value.items()}
        return items if type(value) is dict else type(value)(**items)
    if isinstance(value, list | tuple):
        made = [_replaced(item, tensors) for item in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: _replaced(getattr(value, f.name), tensors) for f in dataclasses.fields(value)}
        return replace(value, **changed)
    return value
