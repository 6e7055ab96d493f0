"""Where a model's own code stands, so that a finding can point to it."""

from __future__ import annotations

from types import FunctionType

from torch import nn

from fanin.records.finding import Origin
from fanin.records.origin import of_code

__all__ = ["origin"]


def origin(model: nn.Module, made_by: object = None) -> Origin | None:
    """The function that made a model, or the first of its classes that stands in the working directory.

    Parameters
    ----------
    model
        Of a library's classes alone (``nn.Sequential``), it has no code of its own.
    made_by
        The function that made it, if one did.
    """
    if isinstance(made_by, FunctionType) and (found := of_code(made_by.__code__)) is not None:
        return found
    for kind in dict.fromkeys(type(module) for module in model.modules()):
        forward = getattr(kind, "forward", None)
        if isinstance(forward, FunctionType) and (found := of_code(forward.__code__)) is not None:
            return found
    return None
