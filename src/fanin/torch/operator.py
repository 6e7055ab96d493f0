"""The drop-ins inside compiled functions: one operator that a graph holds as a single node.

``torch.compile`` and ``torch.export`` cannot look into a kernel, and need not: the operator
``fanin::draw_`` changes a tensor, and calls the function of that name when the graph runs. So compiled
code gets the bits, the seeds and the errors of eager code.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Callable
from typing import Any, ParamSpec

import torch

from fanin.records.axes import Axes, Role

__all__ = ["compilable"]

P = ParamSpec("P")
_COMPLEX = "complex "
"""Before the function's name: the tensor holds components, in its last dimension."""
_WHOLE = 1 << 63
"""Whole numbers from here on do not fit an operator's."""


def compilable(function: Callable[P, torch.Tensor]) -> Callable[P, torch.Tensor]:
    """Let a function of `fanin.torch` that fills its first argument be called in compiled code.

    What cannot be an operator's argument there (a generator, a Python function) leaves the graph: an error
    under ``fullgraph=True``, else the function runs uncompiled.
    """
    # What torch does for functions of its own: the compiler, a second of imports, is loaded when it is used.
    disable = getattr(torch, "_disable_dynamo", torch.compiler.disable)
    outside: Callable[P, torch.Tensor] = disable(function)

    @functools.wraps(function)
    def door(*args: P.args, **given: P.kwargs) -> torch.Tensor:
        if not torch.compiler.is_compiling():
            return function(*args, **given)
        tensor: Any = args[0] if args else given.get("tensor")
        words, reals, wholes = _packed(args[1:], given)
        if not isinstance(tensor, torch.Tensor) or words is None:
            return outside(*args, **given)
        if not tensor.is_meta:
            # Not under no_grad: when the operator refuses, a compiled graph leaves gradients off.
            target = tensor.detach() if tensor.requires_grad else tensor
            _traced(target, function.__name__, words, reals, wholes)
        filled: torch.Tensor = tensor
        return filled

    return door


def _traced(tensor: torch.Tensor, function: str, words: str, reals: list[float], wholes: list[int]) -> None:
    if not tensor.is_complex():
        torch.ops.fanin.draw_(tensor, function, words, reals, wholes)
        return
    # Inductor knows no operator that changes a complex tensor, but one that changes its components.
    components = torch.empty((*tensor.shape, 2), dtype=tensor.real.dtype, device=tensor.device)
    torch.ops.fanin.draw_(components, f"{_COMPLEX}{function}", words, reals, wholes)
    tensor.copy_(torch.view_as_complex(components))


def _packed(args: tuple[Any, ...], given: dict[str, Any]) -> tuple[str | None, list[float], list[int]]:
    """Arguments as an operator takes them: a line for each, and the numbers, which may be symbolic.

    The text is None where one of them cannot be said so.
    """
    lines: list[str] = []
    reals: list[float] = []
    wholes: list[int] = []
    for key, value in [("", value) for value in args] + [
        pair for pair in given.items() if pair[0] != "tensor"
    ]:
        # (Tuples, not unions: the compiler of PyTorch before 2.5 does not know those.)
        if value is None or isinstance(value, (bool, str)):
            form = repr(value)
        elif isinstance(value, int):
            small = -_WHOLE <= value < _WHOLE
            form = "whole" if small else repr(value)
            wholes += [value] if small else []
        elif isinstance(value, float):
            form = "real"
            reals.append(value)
        elif isinstance(value, (tuple, list)) and all(isinstance(word, str) for word in value):
            form = repr(tuple(value))
        elif isinstance(value, Axes):
            roles = tuple(str(role.value) for role in value.roles)
            form = "axes" + repr((roles, value.groups, value.stride, value.transposed))
        else:
            return None, [], []
        lines.append(f"{key}={form}")
    return "\n".join(lines), reals, wholes


def _unpacked(words: str, reals: list[float], wholes: list[int]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that `_packed` took."""
    args: list[Any] = []
    given: dict[str, Any] = {}
    real, whole = iter(reals), iter(wholes)
    for line in words.split("\n") if words else []:
        key, _, form = line.partition("=")
        if form == "real":
            value: Any = next(real)
        elif form == "whole":
            value = next(whole)
        elif form.startswith("axes"):
            roles, groups, stride, transposed = ast.literal_eval(form.removeprefix("axes"))
            value = Axes(
                roles=tuple(Role(role) for role in roles), groups=groups, stride=stride, transposed=transposed
            )
        else:
            value = ast.literal_eval(form)
        if key:
            given[key] = value
        else:
            args.append(value)
    return args, given


@torch.library.custom_op(
    "fanin::draw_",
    mutates_args=("tensor",),
    # Written out, since torch before 2.5 does not read annotations that are text.
    schema="(Tensor(a0!) tensor, str function, str words, float[] reals, SymInt[] wholes) -> ()",
)
def _draw(tensor: torch.Tensor, function: str, words: str, reals: list[float], wholes: list[int]) -> None:
    # The door by its public name: a graph that was kept from another process finds it too.
    door = getattr(importlib.import_module("fanin.torch"), function.removeprefix(_COMPLEX))
    args, given = _unpacked(words, reals, wholes)
    door(torch.view_as_complex(tensor) if function.startswith(_COMPLEX) else tensor, *args, **given)


@_draw.register_fake
def _(tensor: torch.Tensor, function: str, words: str, reals: list[float], wholes: list[int]) -> None:
    """Nothing is returned, and only values change."""
