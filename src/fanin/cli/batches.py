"""The batch that a command runs a model on: made up from sizes, or made by the user's function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fanin.cli import hub
from fanin.cli.targets import attribute
from fanin.errors import InputError, TargetError, explain, nearest

__all__ = ["Batch", "make"]

_SPEC = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<sizes>\d+(?:x\d+)*)(?::(?P<dtype>\w+))?")
_DTYPES = {
    name: getattr(torch, name)
    for name in (
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    )
}
_MOST = 2**31
"""Elements of an input, at most: more is a slip of the keyboard, and would take the memory."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs as fanin's verbs take them, the target if there is one, and where both came from."""

    inputs: tuple[Any, ...]
    target: Any
    source: str


def make(model: nn.Module, specs: Sequence[str], batch: str | None) -> Batch:
    """Make the batch that the options ask for.

    Raises
    ------
    InputError
        Options that exclude each other, sizes that are none, or a model of which nothing is known.
    TargetError
        The user's function cannot be found or raises.
    """
    if specs and batch:
        raise InputError(explain("--input and --batch exclude each other", remedy="Give one of them"))
    if batch:
        return _from_function(model, batch)
    if specs:
        return _from_specs(model, specs)
    inputs = hub.default_inputs(model)
    if inputs is None:
        raise InputError(
            explain(
                "Nothing says what the model takes",
                remedy="Give sizes, such as --input 8x3x32x32, or a function: --batch file.py:make_batch",
            )
        )
    shown = ", ".join(f"{name} {'x'.join(map(str, t.shape))}" for name, t in inputs.items())
    return Batch((inputs,), None, f"made up from the configuration: {shown}")


def _from_function(model: nn.Module, text: str) -> Batch:
    function = attribute(text, purpose="--batch")
    if not callable(function):
        raise TargetError(explain("--batch names no function", received=type(function).__name__))
    try:
        found = function()
    except Exception as error:
        raise TargetError(
            explain(f"--batch '{text}' raises an error", received=f"{type(error).__name__}: {error}")
        ) from error
    source = f"given by {text}"
    if isinstance(found, torch.Tensor | Mapping):
        return Batch((found,), None, source)
    if not isinstance(found, tuple | list) or not found:
        raise InputError(
            explain(
                f"--batch '{text}' returns no batch",
                received=type(found).__name__,
                rule="A batch is a tensor, a tuple of them, a mapping, or a pair (inputs, target)",
            )
        )
    if len(found) == 2 and (isinstance(found[0], Mapping | tuple | list) or _takes(model) == 1):
        first = found[0]
        inputs = tuple(first) if isinstance(first, tuple | list) else (first,)
        return Batch(inputs, found[1], source)
    return Batch(tuple(found), None, source)


def _takes(model: nn.Module) -> int:
    """Number of positional arguments that the model cannot do without."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)


def _from_specs(model: nn.Module, specs: Sequence[str]) -> Batch:
    made = [(*_parsed(spec), spec) for spec in specs]
    named = [name for name, *_ in made if name]
    if named and len(named) != len(made):
        raise InputError(
            explain(
                "Inputs are given by name and by position",
                received=" ".join(specs),
                rule="Either every --input has a name, or none",
            )
        )
    source = torch.Generator().manual_seed(0)
    tensors = [_values(model, name, shape, dtype, source) for name, shape, dtype, _ in made]
    inputs: tuple[Any, ...] = (dict(zip(named, tensors, strict=True)),) if named else tuple(tensors)
    return Batch(inputs, None, "made up: " + ", ".join(specs))


def _parsed(spec: str) -> tuple[str, tuple[int, ...], torch.dtype]:
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise InputError(
            explain(
                "An --input is not understood",
                received=repr(spec),
                rule="It is [NAME=]SIZES[:DTYPE], such as 8x3x32x32, 2x16:int64 or input_ids=2x16:int64",
            )
        )
    dtype = match["dtype"] or "float32"
    if dtype not in _DTYPES:
        raise nearest(dtype, _DTYPES, kind="dtype of an --input")
    shape = tuple(int(size) for size in match["sizes"].split("x"))
    if torch.Size(shape).numel() > _MOST:
        raise InputError(
            explain("An --input is too large", received=repr(spec), rule=f"At most {_MOST} elements")
        )
    return match["name"] or "", shape, _DTYPES[dtype]


def _values(
    model: nn.Module, name: str, shape: tuple[int, ...], dtype: torch.dtype, source: torch.Generator
) -> torch.Tensor:
    """Standard normal numbers; ids that the model knows; ones for a mask."""
    if dtype == torch.bool or "mask" in name:
        return torch.ones(shape, dtype=dtype)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=source).to(dtype)
    if "type_ids" in name:
        return torch.zeros(shape, dtype=dtype)
    largest = min(_vocabulary(model), torch.iinfo(dtype).max)
    return torch.randint(largest, shape, generator=source).to(dtype)


def _vocabulary(model: nn.Module) -> int:
    """Ids that are safe: those of the model's first embedding; 0 and 1 where there is none."""
    first = next((m for m in model.modules() if isinstance(m, nn.Embedding)), None)
    return first.num_embeddings if first is not None else 2
