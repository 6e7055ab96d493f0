"""A batch borrowed for one run: the run gets copies, so that the user's own is as it was.

A model may write into its inputs, take entries out of a mapping, or hang new attributes on a batch object.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

__all__ = ["borrowed", "twin"]

_DEPTH = 3
"""How deep objects that hold objects are opened, as their tensors are looked for."""
_CLOSED = (nn.Module, type, types.ModuleType, types.FunctionType, types.MethodType, types.GeneratorType)


def borrowed(value: Any, stand_in: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same value in containers and objects of its own, with a stand-in for each tensor.

    Parameters
    ----------
    value
        Arguments of a forward pass: tensors, containers of them, objects that hold them.
    stand_in
        Makes the tensor that takes a tensor's place; asked once for each.

    Examples
    --------
    >>> given = {"x": [torch.ones(2)]}
    >>> own = borrowed(given, twin)
    >>> own["x"].pop().add_(1.0)
    tensor([2., 2.])
    >>> given
    {'x': [tensor([1., 1.])]}
    """
    made: dict[int, tuple[Any, Any]] = {}

    def inside(item: Any, depth: int) -> Any:
        return tree_map(lambda leaf: one(leaf, depth), item)

    def one(leaf: Any, depth: int) -> Any:
        if id(leaf) in made:
            return made[id(leaf)][1]
        if isinstance(leaf, torch.Tensor):
            # (The original is kept, so that its id is not given away.)
            made[id(leaf)] = (leaf, stand_in(leaf))
            return made[id(leaf)][1]
        if depth == 0 or isinstance(leaf, _CLOSED) or not hasattr(leaf, "__dict__"):
            return leaf
        try:
            again = copy.copy(leaf)
        except Exception:  # noqa: BLE001 - an object may refuse to be copied in any way; then it is used itself
            return leaf
        made[id(leaf)] = (leaf, again)
        for name, held in vars(leaf).items():
            vars(again)[name] = inside(held, depth - 1)
        return again

    return inside(value, _DEPTH)


def twin(tensor: torch.Tensor) -> torch.Tensor:
    """A copy that a run may change, with the layout and the wish for a gradient of the original."""
    copied: torch.Tensor = tensor.detach().clone()
    return copied.requires_grad_(tensor.requires_grad)
