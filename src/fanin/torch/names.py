"""Every parameter and buffer of a model, once, under its canonical name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from fanin.errors import ModelError, explain

__all__ = [
    "PLAIN",
    "NamedTensor",
    "every_module",
    "identity",
    "named_modules",
    "named_tensors",
    "storage_key",
]

_TRANSPARENT = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Attributes under which torch.compile, FSDP and activation checkpointing keep the user's module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTensor:
    """One storage of a model.

    Parameters
    ----------
    name, aliases
        First registered name without wrapper prefixes, and the other names of the same storage.
    tensor
        The tensor registered under `name`.
    buffer
        Whether it is a buffer.
    owner, path, attribute
        The module that registers it, that module's path, and the attribute's name.
    """

    name: str
    aliases: tuple[str, ...]
    tensor: torch.Tensor
    buffer: bool
    owner: nn.Module
    path: str
    attribute: str


def named_tensors(model: nn.Module) -> tuple[NamedTensor, ...]:
    """List every parameter and buffer once, in the order of registration.

    Tensors that share one piece of memory are one entry (tied weights): the first name is
    canonical, the others are aliases. Names have no prefixes of wrappers (data parallel,
    ``torch.compile``, FSDP, checkpointing), so they are the same with and without them.

    Parameters
    ----------
    model
        Any module, also one built on the meta device.

    Returns
    -------
    tuple of NamedTensor

    Raises
    ------
    ModelError
        A lazy parameter that has no shape yet.

    Examples
    --------
    >>> [entry.name for entry in named_tensors(nn.Linear(2, 3))]
    ['weight', 'bias']
    """
    found: dict[tuple[int, ...], NamedTensor] = {}
    aliases: dict[tuple[int, ...], list[str]] = {}
    for path, owner in named_modules(model):
        for attribute, tensor, buffer in _registered(owner):
            name = f"{path}.{attribute}" if path else attribute
            if is_lazy(tensor):
                raise ModelError(
                    explain(
                        f"Parameter '{name}' has no shape yet",
                        received=f"lazy module {type(owner).__name__}",
                        rule="A lazy module gets its shapes from its first forward pass",
                        remedy="Run the model once on a batch before planning it",
                    )
                )
            key = identity(tensor)
            if key not in found:
                found[key] = NamedTensor(
                    name=name,
                    aliases=(),
                    tensor=tensor,
                    buffer=buffer,
                    owner=owner,
                    path=path,
                    attribute=attribute,
                )
                aliases[key] = []
            elif name != found[key].name and name not in aliases[key]:
                aliases[key].append(name)
    return tuple(_with_aliases(one, aliases[key]) if aliases[key] else one for key, one in found.items())


def named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module under every path that leads to it, without wrapper prefixes, parents first.

    A module that holds one of those around it (a child that knows its parent) ends the path there.
    """
    # (Not torch's own walk, which is recursive and stops at some hundred levels.)
    around: set[int] = set()
    stack: list[tuple[str, nn.Module, bool]] = [("", model, True)]
    while stack:
        path, module, enter = stack.pop()
        if not enter:
            around.discard(id(module))
            continue
        yield path, module
        around.add(id(module))
        stack.append((path, module, False))
        children: list[tuple[str, nn.Module, bool]] = []
        # (Not vars: a scripted module keeps what is registered outside of Python.)
        for attribute, child in module._modules.items():
            if child is None or id(child) in around:
                continue
            inner = path if _transparent(module, attribute) else f"{path}.{attribute}" if path else attribute
            children.append((inner, child, True))
        stack.extend(reversed(children))


def every_module(model: nn.Module) -> list[nn.Module]:
    """Every module once, parents first."""
    found: dict[int, nn.Module] = {}
    stack = [model]
    while stack:
        module = stack.pop()
        if id(module) not in found:
            found[id(module)] = module
            stack.extend(child for child in reversed(list(module._modules.values())) if child is not None)
    return list(found.values())


PLAIN: tuple[type, ...] = (torch.Tensor, nn.Parameter, *filter(None, [getattr(nn, "Buffer", None)]))
"""Types of tensors that are their own memory; PyTorch has buffers of their own type since 2.5."""


def identity(tensor: torch.Tensor) -> tuple[int, ...]:
    """A key that is equal for tensors of one model that are the same piece of memory.

    Parts of one flat storage (flattened recurrent weights) have different keys.
    """
    if tensor.layout is not torch.strided or type(tensor) not in PLAIN:
        return (id(tensor),)
    if tensor.numel() == 0:
        return (id(tensor),)
    return storage_key(tensor), int(tensor.storage_offset()), tensor.numel()


def storage_key(tensor: torch.Tensor) -> int:
    """A number that is equal for tensors that share memory, as long as one of them is alive."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return id(tensor)


def _registered(owner: nn.Module) -> Iterator[tuple[str, torch.Tensor, bool]]:
    for attribute, parameter in owner._parameters.items():
        if parameter is not None:
            yield attribute, parameter, False
    for attribute, tensor in owner._buffers.items():
        if tensor is not None:
            yield attribute, tensor, True


def _transparent(module: nn.Module, attribute: str) -> bool:
    if attribute in _TRANSPARENT:
        return True
    # A user may call a submodule of their own `module`: only the wrappers' own is no part of the name.
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    return attribute == "module" and isinstance(module, wrappers)


def _with_aliases(entry: NamedTensor, aliases: list[str]) -> NamedTensor:
    return NamedTensor(
        name=entry.name,
        aliases=tuple(aliases),
        tensor=entry.tensor,
        buffer=entry.buffer,
        owner=entry.owner,
        path=entry.path,
        attribute=entry.attribute,
    )
