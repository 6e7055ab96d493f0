"""What a loss says of outputs that say nothing, and where its targets lie."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from fanin.torch.statistics import sample
from fanin.torch.targets import Loss, main_output

__all__ = ["beside_silence"]

_REGRESSIONS = ("mean squared error", "l1_loss", "l1loss", "smooth_l1", "smoothl1", "huber")
_ROUNDING = 1e-5
"""Relative difference of two sums of the same numbers in another order."""
_TAIL = 0.05
"""Share of the targets that may lie anywhere."""


def beside_silence(made: Loss, output: Any, target: Any, loss: Callable[..., Any] | None) -> Loss:
    """Add what is not known from a loss's name: its value for outputs of zeros, and the range of its targets.

    Parameters
    ----------
    made
        The loss of the model's own output.
    output, target
        What the model returned, and what the loss compares it with.
    loss
        The user's ``loss(output, target)``; it is called once more, where its name does not say what it
        should start at.

    Returns
    -------
    Loss
        The same, with `silent`, `low` and `high` where they could be had, and whether its targets are
        `unpaired`.

    Examples
    --------
    >>> out, target = torch.full((4,), 9.0, requires_grad=True), torch.zeros(4)
    >>> loss = torch.nn.functional.binary_cross_entropy_with_logits
    >>> made = Loss(name="binary", value=loss(out, target))
    >>> round(beside_silence(made, out, target, loss).silent, 3)
    0.693
    """
    with torch.no_grad():
        if loss is not None and made.expected is None:
            made = replace(made, silent=_silent(output, target, loss))
        if any(text in made.name.lower() for text in _REGRESSIONS) and isinstance(target, torch.Tensor):
            made = _ranged(made, target, main_output(output))
        if loss is not None and _unpaired(output, target, loss):
            made = replace(made, unpaired=True)
    return made


def _silent(output: Any, target: Any, loss: Callable[..., Any]) -> float | None:
    try:
        zeros = _zeros(output)
        try:
            value = loss(zeros, target)
        except (TypeError, AttributeError, IndexError, ValueError, RuntimeError):
            value = loss(main_output(zeros), target)  # torch's own losses take a tensor
        found = float(value)
    except Exception:  # noqa: BLE001 (a user's function raises what it will: then nothing is known)
        return None
    return found if math.isfinite(found) else None


def _unpaired(output: Any, target: Any, loss: Callable[..., Any]) -> bool:
    """Whether a loss cannot tell which target is whose: (N, 1) against (N,) broadcasts to N x N."""
    if not isinstance(output, torch.Tensor) or not isinstance(target, torch.Tensor):
        return False
    one, other = ([n for n in t.shape if n != 1] for t in (output, target))
    if one != other or not one or output.shape == target.shape or not target.is_floating_point():
        return False
    try:
        if math.prod(torch.broadcast_shapes(output.shape, target.shape)) == target.numel():
            return False
        # Outputs of our choice: those of a model may all be equal, and then any target does.
        drawn = torch.linspace(-1.0, 1.0, output.numel(), dtype=output.dtype, device=output.device)
        drawn = drawn.reshape(output.shape)
        flat = target.reshape(-1)
        others = [t.reshape(target.shape) for t in (flat.flip(0), flat.roll(1), 2.0 * flat + 1.0)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value, flipped, rolled, moved = (float(loss(drawn, t)) for t in (target, *others))
    except Exception:  # noqa: BLE001 (a user's function raises what it will: then nothing is known)
        return False
    same = max(abs(flipped - value), abs(rolled - value)) <= _ROUNDING * abs(value)
    return math.isfinite(value) and same and abs(moved - value) > _ROUNDING * abs(value)


def _zeros(output: Any) -> Any:
    """The same structure, its floating tensors zero."""
    if isinstance(output, torch.Tensor):
        return torch.zeros_like(output) if output.is_floating_point() else output
    if isinstance(output, Mapping):
        # (The model's own loss is no output that could be silent.)
        made = {key: None if key == "loss" else _part(value) for key, value in output.items()}
        return made if type(output) is dict else type(output)(made)  # type: ignore[call-arg]
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*(_zeros(value) for value in output))
    if isinstance(output, list | tuple):
        return type(output)(_zeros(value) for value in output)
    if output is None or isinstance(output, bool | int | str):
        return output
    raise TypeError(type(output).__name__)


def _part(value: Any) -> Any:
    """Zeros; None for what is no structure of tensors (a cache), which a loss has no use for."""
    try:
        return _zeros(value)
    except TypeError:
        return None


def _ranged(made: Loss, target: torch.Tensor, output: torch.Tensor) -> Loss:
    if not target.is_floating_point() or target.numel() != output.numel() or target.numel() < 2:
        return made
    low, high = (
        sample(target.detach().float().reshape(-1)).quantile(torch.tensor([_TAIL, 1.0 - _TAIL])).tolist()
    )
    return replace(made, low=low, high=high) if math.isfinite(low) and math.isfinite(high) else made
