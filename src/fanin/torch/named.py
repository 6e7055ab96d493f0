"""One in-place function for every registered scheme, made from the registry.

``he_normal()`` becomes ``he_normal_(tensor, ...)`` with the factory's own parameters. Names that PyTorch
has too (``normal_``, ``orthogonal_``, ...) keep PyTorch's signature and live in `fanin.torch.init`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import torch

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, as_axes
from fanin.schemes import registry
from fanin.schemes.base import Entry
from fanin.torch import init
from fanin.torch.init_plain import draw_seed
from fanin.torch.operator import compilable
from fanin.torch.store import check_writable, fill_, memoryless

__all__ = ["functions"]

_EMPTY = inspect.Parameter.empty
_DOC = """{summary}

In place, with the law of `fanin.{scheme}`.

Parameters
----------
tensor
    Of any floating-point dtype, on any device; changed in place. Left alone on the meta device.
{parameters}
    As in `fanin.{scheme}`.
axes
    Roles of the dimensions, such as ``"in out"``; None means ``out in receptive ...``.
generator
    Is asked for a seed when none is given.
seed, name
    Select the values; the same pair gives the same ones as `fanin.sample`.

Returns
-------
torch.Tensor
    The tensor itself.

Raises
------
InputError
    A tensor that cannot hold weights or has no fans, or parameters out of range.
"""


@cache
def functions() -> Mapping[str, Callable[..., torch.Tensor]]:
    """The functions by name: ``he_normal_`` and its like."""
    found = {f"{entry.name}_": _function(entry) for entry in registry.entries().values()}
    return {name: function for name, function in found.items() if name not in init.__all__}


def _function(entry: Entry) -> Callable[..., torch.Tensor]:
    signature = _signature(entry.signature)
    own = tuple(entry.signature.parameters)

    def fill(*args: Any, **kwargs: Any) -> torch.Tensor:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{entry.name}_() {error}") from None
        bound.apply_defaults()
        values = bound.arguments
        scheme = entry.factory(**{key: values[key] for key in own})
        tensor, name = values["tensor"], values["name"]
        _check(tensor, name, values["axes"])
        if memoryless(tensor) or tensor.numel() == 0:
            return tensor  # type: ignore[no-any-return]
        axes = as_axes(values["axes"], tuple(tensor.shape))
        draw = scheme.draw(tuple(tensor.shape), axes)
        seed = draw_seed(values["seed"], values["generator"])
        return fill_(tensor, draw, seed=seed, name=name, axes=axes)

    fill.__name__ = fill.__qualname__ = f"{entry.name}_"
    fill.__module__ = "fanin.torch"
    fill.__doc__ = _DOC.format(
        summary=entry.summary, scheme=entry.name, parameters=", ".join(own) or "tensor"
    )
    fill.__signature__ = signature  # type: ignore[attr-defined]
    fill.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    fill.__annotations__["return"] = torch.Tensor
    return compilable(fill)


def _check(tensor: object, name: str, axes: Axes | str | Iterable[str] | None) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise InputError(
            explain("There is no tensor to fill", received=type(tensor).__name__, rule="A torch.Tensor")
        )
    check_writable(tensor, name)
    as_axes(axes, tuple(tensor.shape))


def _signature(factory: inspect.Signature) -> inspect.Signature:
    """The factory's parameters behind a tensor, and what all drop-ins take."""
    positional, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    taken = [p for p in factory.parameters.values() if p.kind == positional and p.default is not _EMPTY]
    others = [p.replace(kind=keyword) for p in factory.parameters.values() if p not in taken]
    return inspect.Signature(
        [
            inspect.Parameter("tensor", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=torch.Tensor),
            *taken,
            *others,
            inspect.Parameter("axes", keyword, default=None, annotation="Axes | str | Iterable[str] | None"),
            inspect.Parameter("generator", keyword, default=None, annotation="torch.Generator | None"),
            inspect.Parameter("seed", keyword, default=None, annotation="int | None"),
            inspect.Parameter("name", keyword, default="weight", annotation="str"),
        ],
        return_annotation=torch.Tensor,
    )
