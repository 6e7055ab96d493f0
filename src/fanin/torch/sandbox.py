"""A model borrowed for one run: everything that the run may touch is put back."""

from __future__ import annotations

import contextlib
import gc
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fanin.torch.names import every_module, storage_key
from fanin.torch.ops import schema

__all__ = [
    "Guard",
    "guard_values",
    "keep_loss",
    "keep_random_state",
    "keep_settings",
    "keep_state",
    "keep_values",
    "swap_tensors",
    "undone",
    "without_collection",
]

_CONTAINERS = frozenset({list, dict, set, OrderedDict})
_SIMPLE = frozenset({bool, int, float, str, type(None), OrderedDict})
"""Kinds of attributes that hold no tensor of their own (but for those that are registered)."""


@contextlib.contextmanager
def undone(put_back: Callable[[], None]) -> Iterator[None]:
    """Put something back afterwards, whatever happens: also if an interrupt comes just then.

    Parameters
    ----------
    put_back
        May be called twice.
    """
    try:
        yield
    finally:
        try:
            put_back()
        except BaseException:
            # Broken off in the midst of it: all of it once more.
            put_back()
            raise


_ALONE = threading.RLock()
"""Whose turn it is: random states and torch's settings are the process's, and one alone can put them back."""


@contextlib.contextmanager
def keep_random_state() -> Iterator[None]:
    """Restore the random states of torch, NumPy and Python afterwards; another thread waits until then."""
    with _ALONE:
        own, numpy_state, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        # Asking a device for its state would start it, if nothing else has.
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None

        def put_back() -> None:
            random.setstate(own)
            np.random.set_state(numpy_state)  # noqa: NPY002
            torch.set_rng_state(cpu)
            if cuda is not None:
                torch.cuda.set_rng_state_all(cuda)

        with undone(put_back):
            yield


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Let Python look for cyclic garbage afterwards: what a run makes stays, and is searched in vain."""
    if not gc.isenabled():
        yield
        return
    with undone(gc.enable):
        gc.disable()
        yield


@contextlib.contextmanager
def keep_settings() -> Iterator[None]:
    """Restore torch's own settings that a forward pass may change: dtype by default, gradients on or off."""
    dtype, grad = torch.get_default_dtype(), torch.is_grad_enabled()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()

    def put_back() -> None:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(grad)
        if deterministic != torch.are_deterministic_algorithms_enabled():
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)

    with undone(put_back):
        yield


@contextlib.contextmanager
def keep_state(model: nn.Module) -> Iterator[None]:
    """Restore every module's attributes: what is registered, replaced, counted or cached.

    Containers are restored one level deep; so are ``.grad`` and ``requires_grad`` of every tensor. Values
    of tensors are the business of `keep_values`.
    """
    modules = every_module(model)
    before = [(module, dict(vars(module)), _containers(module)) for module in modules]
    modes = [(module, module.training) for module in modules]
    tensors = [(t, t.requires_grad, t.grad) for module in modules for t in _leaves(module)]

    def put_back() -> None:
        for module, attributes, containers in before:
            state = vars(module)
            if not _alike(state, attributes):
                state.clear()
                state.update(attributes)
            for container, content in containers:
                if container or content:  # (most are the empty dicts of a module's hooks)
                    _refill(container, content)
        for module, training in modes:
            if module.training != training:
                # A scripted module keeps its mode outside of Python.
                module.training = training
        for tensor, requires, grad in tensors:
            if tensor.requires_grad != requires:
                tensor.requires_grad_(requires)
            if tensor.grad is not grad:
                tensor.grad = grad

    with undone(put_back):
        yield


def _leaves(module: nn.Module) -> Iterator[torch.Tensor]:
    for registered in (module._parameters, module._buffers):
        for tensor in registered.values():
            if tensor is not None and tensor.is_leaf:
                yield tensor


@contextlib.contextmanager
def keep_values(model: nn.Module) -> Iterator[None]:
    """Restore the values of buffers, and of parameters and gradients if the run changes them in place."""
    with guard_values(model) as guard, _WriteGuard(guard):
        yield


@contextlib.contextmanager
def guard_values(model: nn.Module) -> Iterator[Guard]:
    """What `keep_values` does, for a run whose operators somebody sees already: the guard wants to be asked.

    Parameters are copied only when something is about to write to them; a forward pass that
    does so (``max_norm`` embeddings) is rare, and a second copy of a large model is not free.
    """
    modules = every_module(model)
    buffers = [
        (b, b.detach().clone())
        for module in modules
        for b in module._buffers.values()
        if b is not None and not b.is_meta
    ]
    leaves = [t for module in modules for t in module._parameters.values() if t is not None]
    gradients = [t.grad for t in leaves if t.is_leaf and t.grad is not None]
    guard = Guard(owners={storage_key(t): t for t in [*gradients, *leaves] if not t.is_meta})

    def put_back() -> None:
        # `.data` has a version counter of its own, so that a backward pass after this still runs.
        for tensor, value in [*buffers, *guard.saved.values()]:
            if tensor.shape != value.shape:
                with torch.no_grad():
                    tensor.resize_(value.shape)
            if not _same(tensor.data, value):
                tensor.data.copy_(value)

    with undone(put_back):
        yield guard


@contextlib.contextmanager
def keep_loss(loss: object) -> Iterator[None]:
    """Restore a loss that is a module: its attributes and buffers, for it is called more often than once."""
    with contextlib.ExitStack() as stack:
        if isinstance(loss, nn.Module):
            stack.enter_context(keep_state(loss))
            stack.enter_context(guard_values(loss))
        yield


@dataclass(slots=True, kw_only=True)
class Guard:
    """Copies of tensors, made just before something writes to them."""

    owners: dict[int, torch.Tensor]
    saved: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def save(self, tensor: torch.Tensor) -> None:
        """Copy the guarded tensor whose memory this is, if it is the memory of one."""
        key = storage_key(tensor)
        owner = self.owners.get(key)
        if owner is not None and key not in self.saved:
            self.saved[key] = (owner, owner.detach().clone())


class _WriteGuard(TorchDispatchMode):
    """Asks a guard just before an operator writes to a tensor."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._guard = guard

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if schema(func).is_mutable:
            for place, spec in enumerate(schema(func).arguments):
                if spec.alias_info is None or not spec.alias_info.is_write:
                    continue
                value = args[place] if place < len(args) else kwargs.get(spec.name)
                for tensor in value if isinstance(value, list | tuple) else (value,):
                    if isinstance(tensor, torch.Tensor):
                        self._guard.save(tensor)
        return func(*args, **kwargs)


def swap_tensors(model: nn.Module, fake: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Let the model run on other tensors in place of its own; use inside `keep_state`.

    Registered tensors are swapped, and so are plain attributes (``nn.RNN`` keeps a second list of
    its weights) one container deep.
    """
    for module in every_module(model):
        if isinstance(module, torch.jit.ScriptModule):
            continue
        for registered in (vars(module)["_parameters"], vars(module)["_buffers"]):
            for name, tensor in registered.items():
                if tensor is not None:
                    registered[name] = fake(tensor)
        state = vars(module)
        for name, value in list(state.items()):
            kind = type(value)
            if kind in _SIMPLE or name in {"_parameters", "_buffers", "_modules"}:
                continue
            if isinstance(value, torch.Tensor):
                state[name] = fake(value)
            elif kind is list and any(isinstance(item, torch.Tensor) for item in value):
                state[name] = [fake(item) if isinstance(item, torch.Tensor) else item for item in value]
            elif kind is dict and any(isinstance(item, torch.Tensor) for item in value.values()):
                state[name] = {k: fake(v) if isinstance(v, torch.Tensor) else v for k, v in value.items()}


def _containers(module: nn.Module) -> list[tuple[Any, Any]]:
    return [(value, value.copy()) for value in vars(module).values() if type(value) in _CONTAINERS]


def _refill(container: Any, content: Any) -> None:
    if isinstance(container, list):
        if len(container) != len(content) or not all(map(is_, container, content)):
            container[:] = content
    elif isinstance(container, dict):
        if not _alike(container, content):
            container.clear()
            container.update(content)
    elif container != content:
        container.clear()
        container.update(content)


def _alike(a: dict[Any, Any], b: dict[Any, Any]) -> bool:
    """Whether two mappings have the same keys in the same order, and the very same values."""
    return len(a) == len(b) and all(map(is_, a.values(), b.values())) and list(a) == list(b)


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    # Bits, not values: NaN equals NaN and -0 differs from 0.
    flat = [x.contiguous().reshape(-1) for x in (a, b)]
    if a.dtype.is_floating_point or a.dtype.is_complex:
        flat = [x.view(torch.uint8) for x in flat]
    return bool(torch.equal(flat[0], flat[1]))
