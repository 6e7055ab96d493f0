"""Values beside fake tensors where they follow from the inputs alone, so that control flow on them goes on.

Masks, indices, lengths and grids follow from the inputs without any weight, and are small: beside each
such fake tensor its real value is computed. Where the model asks for a value (``.item()``, ``if
mask.all()``), or for a tensor whose shape depends on values (``nonzero``), the answer is there; fake
tensors have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._pytree import tree_map

from fanin.torch.names import storage_key
from fanin.torch.ops import Facts
from fanin.torch.shapes import Note, Seen, Shapes

__all__ = ["Shadows"]

_LARGEST = 1 << 22
"""Most elements of a tensor whose value is followed: masks of all pairs of 1024 tokens, four of them."""

_UNKNOWN = ("empty", "rand", "bernoulli", "normal", "multinomial", "new_empty", "empty_strided")
"""Operators whose values do not follow from what they read."""


class _UnknownValueError(Exception):
    pass


class Shadows:
    """The real values beside fake tensors, as far as they are known."""

    def __init__(self, mode: FakeTensorMode, known: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self._mode = mode
        self._shapes = Shapes(mode)
        self._stale: set[int] = set()
        for fake, original in known:
            weight = isinstance(original, nn.Parameter)  # what follows from weights is no matter of control
            if not weight and not original.is_meta and _followed(original):
                _know(fake, original.detach().cpu().clone())

    def run(
        self,
        func: Any,
        facts: Facts,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        seen: Seen,
    ) -> tuple[Any, Note | None]:
        """Run an operator on fake tensors, and beside it on the values, where all of them are known.

        Parameters
        ----------
        func, facts, args, kwargs
            The operator, what is known of it, and its arguments.
        seen
            What was seen of the arguments.

        Returns
        -------
        tuple
            The output, and the note of `fanin.torch.shapes` that it was made by.

        Raises
        ------
        DataDependentOutputException, DynamicOutputShapeException
            The output depends on values that are not known.
        """
        real = self._beside(func, facts, args, kwargs)
        try:
            out, note = self._shapes.run(func, facts, args, kwargs, seen)
        except (DataDependentOutputException, DynamicOutputShapeException):
            if real is None:
                raise
            return tree_map(self._faked, real), None
        if real is not None:
            for fake, value in zip(_leaves(out), _leaves(real), strict=True):
                if isinstance(fake, FakeTensor) and _followed(value) and fake.shape == value.shape:
                    _know(fake, value)
        return out, note

    def _beside(self, func: Any, facts: Facts, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The operator's output on real values; None where some value is not known."""
        if not facts.written:
            for x in args:
                if type(x) is FakeTensor and _KNOWN not in vars(x):
                    return None  # nearly always: what follows from a weight
        leaves = list(_leaves((args, kwargs)))
        try:
            self._worth(facts, args, leaves)
            with unset_fake_temporarily(), torch.no_grad():
                values = self._values(args)
                named = {key: self._values(value) for key, value in kwargs.items()}
                return func(*values, **_here(named))
        except Exception:  # noqa: BLE001 - whatever is the matter, the value is then not known
            if facts.written or facts.aliases:
                self._forget(leaves)
            return None

    def _values(self, x: Any) -> Any:
        if isinstance(x, FakeTensor):
            value = _known(x)
            if value is None or storage_key(value) in self._stale:
                raise _UnknownValueError
            return value
        if isinstance(x, list | tuple):
            return [self._values(item) for item in x] if type(x) is list else tuple(map(self._values, x))
        if isinstance(x, torch.Tensor) and x.is_meta:
            raise _UnknownValueError
        return x

    def _worth(self, facts: Facts, args: tuple[Any, ...], leaves: list[Any]) -> None:
        """Give up where something unknown is read, or what is made follows from nothing or is large."""
        tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
        if facts.base.startswith(_UNKNOWN) or any(
            isinstance(x, FakeTensor) and _known(x) is None for x in tensors
        ):
            raise _UnknownValueError
        if facts.written and args and not isinstance(args[0], FakeTensor):
            raise _UnknownValueError  # a tensor of the user's own is not to be changed
        shape = args[0] if not tensors and args and isinstance(args[0], list | tuple) else ()
        if prod(shape) > _LARGEST or (facts.base == "arange" and max(args[:2]) > _LARGEST):
            raise _UnknownValueError

    def _forget(self, leaves: list[Any]) -> None:
        for x in leaves:
            value = _known(x) if isinstance(x, FakeTensor) else None
            if value is not None:
                self._stale.add(storage_key(value))

    def _faked(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        fake = self._mode.from_tensor(value)
        _know(fake, value)
        return fake


_KNOWN = "_fanin_value"
"""Attribute of a fake tensor that holds its value. (It must live as long as the tensor: a weak reference
dies while autograd alone holds it.)"""


def _know(fake: torch.Tensor, value: torch.Tensor) -> None:
    vars(fake)[_KNOWN] = value


def _known(fake: torch.Tensor) -> torch.Tensor | None:
    value: torch.Tensor | None = vars(fake).get(_KNOWN)
    return value


def _leaves(value: Any) -> Iterator[Any]:
    """What lists, tuples and mappings hold, in order; arguments of operators know no other containers."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    else:
        yield value


def _followed(value: object) -> bool:
    """Whether a value is a tensor that is small enough to be kept."""
    return isinstance(value, torch.Tensor) and value.layout is torch.strided and value.numel() <= _LARGEST


def _here(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments for a run on the CPU."""
    return {**kwargs, "device": torch.device("cpu")} if kwargs.get("device") is not None else kwargs
