"""What the models of the zoo are made with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

__all__ = ["Forward", "Made", "Zoo", "entry_of"]

Made = tuple[nn.Module, tuple[object, ...]]
Zoo = dict[str, Callable[[], Made]]


def entry_of(zoo: Zoo) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """A decorator that enters a model under the name of the function that makes it."""

    def entry(make: Callable[[], Made]) -> Callable[[], Made]:
        zoo[make.__name__.strip("_")] = make
        return make

    return entry


class Forward(nn.Module):
    """Layers by name, and a forward pass that is a function of them."""

    def __init__(self, forward: Callable[..., Any], **layers: Any) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._forward = forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._forward(self, *args, **kwargs)
