"""Curvature of the loss, and how much of its gradient is the batch's luck."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch.utils._pytree import tree_map

from fanin.errors import InputError, explain

__all__ = ["Runs", "half_batch_noise", "sharpness"]

_STEPS = 20
_TOLERANCE = 0.02


class Runs(Protocol):
    """What can be run again on other inputs."""

    @property
    def args(self) -> tuple[object, ...]:
        """Its positional inputs."""
        ...

    @property
    def kwargs(self) -> Mapping[str, object]:
        """Its keyword inputs."""
        ...

    @property
    def target(self) -> Any:
        """What the loss compares the output with."""
        ...

    @property
    def run(self) -> Callable[..., torch.Tensor | None]:
        """One pass forward, to the loss."""
        ...

    @property
    def borrowed(self) -> Callable[[], AbstractContextManager[None]]:
        """A context in which its modes and buffers may change."""
        ...


def sharpness(loss: torch.Tensor, parameters: Sequence[torch.Tensor], generator: torch.Generator) -> float:
    """Largest eigenvalue of the loss's Hessian, by power iteration until it changes by less than 2 %.

    Where the eigenvalue that is farthest from 0 is negative, the iteration runs once more from there.

    Parameters
    ----------
    loss
        With a history that can be differentiated twice.
    parameters
        That the Hessian is over.
    generator
        Of the first direction.
    """
    first = torch.autograd.grad([loss], list(parameters), create_graph=True, allow_unused=True)
    pairs = [(p, g) for p, g in zip(parameters, first, strict=True) if g is not None and g.requires_grad]
    if not pairs:
        return 0.0
    places, gradients = [p for p, _ in pairs], [g for _, g in pairs]

    def product(v: list[torch.Tensor]) -> list[torch.Tensor]:
        found = torch.autograd.grad(gradients, places, v, retain_graph=True, allow_unused=True)
        return [torch.zeros_like(p) if h is None else h.detach() for p, h in zip(places, found, strict=True)]

    def start() -> list[torch.Tensor]:
        return [torch.randn(p.shape, generator=generator).to(p) for p in places]

    value = _farthest(product, start())
    if value >= 0.0 or not math.isfinite(value):
        return value
    # The one that is farthest from 0 is the smallest: seen from there, the largest is farthest.
    low = value
    shifted = _farthest(lambda v: [h - low * x for h, x in zip(product(v), v, strict=True)], start())
    return low + shifted


def _farthest(product: Callable[[list[torch.Tensor]], list[torch.Tensor]], v: list[torch.Tensor]) -> float:
    """The eigenvalue that is farthest from 0, of a symmetric matrix that is known by its products."""
    value = 0.0
    for _ in range(_STEPS):
        size = math.sqrt(sum(float(x.double().square().sum()) for x in v))
        if not size > 0.0 or not math.isfinite(size):
            return value
        v = [x / size for x in v]
        hv = product(v)
        was, value = value, sum(float((h.double() * x.double()).sum()) for h, x in zip(hv, v, strict=True))
        if abs(value - was) <= _TOLERANCE * abs(value):
            break
        v = hv
    return value


def half_batch_noise(call: Runs, parameters: Sequence[torch.Tensor], batch: int) -> float:
    """``|g_1 - g_2| / |g_1 + g_2|`` of two half batches: 0 for equal gradients, 1 for unrelated ones.

    Parameters
    ----------
    call
        The model and its inputs; tensors whose first dimension is the batch are cut in two.
    batch
        Number of samples.
    """
    if batch < 4:
        raise InputError(explain("A batch to be halved has four samples or more", received=f"{batch}"))
    half = batch // 2

    def gradients(start: int) -> list[torch.Tensor | None]:
        def cut(x: Any) -> Any:
            whole = isinstance(x, torch.Tensor) and x.ndim and len(x) == batch
            return x[start : start + half] if whole else x

        with call.borrowed():
            args, kwargs, target = tree_map(cut, (call.args, dict(call.kwargs), call.target))
            loss = call.run(args, kwargs, target)
            if loss is None:
                raise InputError(explain("There is no loss"))
            return list(torch.autograd.grad([loss], list(parameters), allow_unused=True))

    apart, together = 0.0, 0.0
    for a, b in zip(gradients(0), gradients(half), strict=True):
        if a is not None and b is not None:
            apart += float((a - b).double().square().sum())
            together += float((a + b).double().square().sum())
    return math.sqrt(apart / together) if together > 0.0 else math.inf
