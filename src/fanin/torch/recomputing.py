"""Activation checkpointing set aside for one run: what it computes again is the same.

A second forward pass inside the backward one would run the user's hooks and counters twice, move the
statistics of batch norms after they were put back, and (the reentrant kind) forbid gradients of chosen
tensors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.utils.checkpoint

from fanin.torch.sandbox import undone

__all__ = ["without_recomputing"]

_REENTRANT, _OTHER = "CheckpointFunction", "_checkpoint_without_reentrant_generator"


class _Once:
    """In place of the reentrant kind: the function itself, with a history where that kind would have one."""

    @staticmethod
    def apply(function: Callable[..., Any], _preserve: bool, *args: Any) -> Any:  # noqa: FBT001 - torch's call
        # The known trap: without an input that asks for a gradient, that kind gives none to its weights.
        wanted = any(isinstance(value, torch.Tensor) and value.requires_grad for value in args)
        with torch.set_grad_enabled(wanted and torch.is_grad_enabled()):
            return function(*args)


def _nothing(*_args: Any, **_kwargs: Any) -> Iterator[None]:
    """In place of what surrounds the other kind: nothing before it, nothing after it."""
    yield


@contextlib.contextmanager
def without_recomputing() -> Iterator[None]:
    """Let ``torch.utils.checkpoint`` run what it is given once, and keep everything."""
    place = vars(torch.utils.checkpoint)
    # torch has no switch for this; the two names are looked up at each call.
    before = {name: place[name] for name in (_REENTRANT, _OTHER) if name in place}
    with undone(lambda: place.update(before)):
        place.update({_REENTRANT: _Once, _OTHER: _nothing})
        yield
