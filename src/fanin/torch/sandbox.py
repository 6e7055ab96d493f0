"""A model borrowed for one run: everything that the run may touch is put back."""

from __future__ import annotations

import contextlib
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fanin.torch.names import storage_key
from fanin.torch.ops import schema

__all__ = ["keep_random_state", "keep_state", "keep_values", "swap_tensors"]

_CONTAINERS = (list, dict, set, OrderedDict)


@contextlib.contextmanager
def keep_random_state() -> Iterator[None]:
    """Restore the random states of torch, NumPy and Python afterwards."""
    own, numpy_state, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    # Asking a device for its state would start it, if nothing else has.
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(own)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


@contextlib.contextmanager
def keep_state(model: nn.Module) -> Iterator[None]:
    """Restore every module's attributes: what is registered, replaced, counted or cached.

    Containers are restored one level deep; values of tensors are the business of `keep_values`.
    """
    before = [(module, dict(vars(module)), _containers(module)) for module in model.modules()]
    try:
        yield
    finally:
        for module, attributes, containers in before:
            state = vars(module)
            if state.keys() != attributes.keys() or any(
                state[key] is not value for key, value in attributes.items()
            ):
                state.clear()
                state.update(attributes)
            for container, content in containers:
                _refill(container, content)


@contextlib.contextmanager
def keep_values(model: nn.Module) -> Iterator[None]:
    """Restore the values of buffers, and of parameters if the run changes them in place.

    Parameters are copied only if their version says that they were written; a forward pass that
    does so (``max_norm`` embeddings) is rare, and a second copy of a large model is not free.
    """
    buffers = [(b, b.detach().clone()) for b in model.buffers() if not b.is_meta]
    guard = _WriteGuard({storage_key(p): p for p in model.parameters() if not p.is_meta})
    try:
        with guard:
            yield
    finally:
        # `.data` has a version counter of its own, so that a backward pass after this still runs.
        for tensor, value in [*buffers, *guard.saved.values()]:
            if not _same(tensor.data, value):
                tensor.data.copy_(value)


class _WriteGuard(TorchDispatchMode):
    """Copies parameters just before an operator writes to them."""

    def __init__(self, owners: dict[int, nn.Parameter]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.saved: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._owners = owners

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
                        self._save(storage_key(tensor))
        return func(*args, **kwargs)

    def _save(self, key: int) -> None:
        owner = self._owners.get(key)
        if owner is not None and key not in self.saved:
            self.saved[key] = (owner, owner.detach().clone())


def swap_tensors(model: nn.Module, fake: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Let the model run on other tensors in place of its own; use inside `keep_state`.

    Registered tensors are swapped, and so are plain attributes (``nn.RNN`` keeps a second list of
    its weights) one container deep.
    """
    for module in model.modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        for registered in (vars(module)["_parameters"], vars(module)["_buffers"]):
            for name, tensor in registered.items():
                if tensor is not None:
                    registered[name] = fake(tensor)
        state = vars(module)
        for name, value in list(state.items()):
            if name in {"_parameters", "_buffers", "_modules"}:
                continue
            if isinstance(value, torch.Tensor):
                state[name] = fake(value)
            elif type(value) is list and any(isinstance(item, torch.Tensor) for item in value):
                state[name] = [fake(item) if isinstance(item, torch.Tensor) else item for item in value]
            elif type(value) is dict and any(isinstance(item, torch.Tensor) for item in value.values()):
                state[name] = {k: fake(v) if isinstance(v, torch.Tensor) else v for k, v in value.items()}


def _containers(module: nn.Module) -> list[tuple[Any, Any]]:
    return [(value, value.copy()) for value in vars(module).values() if type(value) in _CONTAINERS]


def _refill(container: Any, content: Any) -> None:
    if isinstance(container, list):
        if len(container) != len(content) or any(a is not b for a, b in zip(container, content, strict=True)):
            container[:] = content
    elif isinstance(container, dict):
        if list(container) != list(content) or any(container[key] is not content[key] for key in content):
            container.clear()
            container.update(content)
    elif container != content:
        container.clear()
        container.update(content)


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    # Bits, not values: NaN equals NaN and -0 differs from 0.
    flat = [x.contiguous().reshape(-1) for x in (a, b)]
    if a.dtype.is_floating_point or a.dtype.is_complex:
        flat = [x.view(torch.uint8) for x in flat]
    return bool(torch.equal(flat[0], flat[1]))
