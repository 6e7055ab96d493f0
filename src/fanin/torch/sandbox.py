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
    guard = _CopyOnWrite(model)
    try:
        with guard:
            yield
    finally:
        # `.data` has a version counter of its own, so that a backward pass after this still runs.
        for tensor, value in [*buffers, *guard.saved.values()]:
            if not _same(tensor.data, value):
                tensor.data.copy_(value)


class _CopyOnWrite:
    """Copies of parameters, made just before an operator writes to them."""

    def __init__(self, model: nn.Module) -> None:
        self.saved: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._mode = _WriteGuard({_storage(p): p for p in model.parameters() if not p.is_meta}, self.saved)

    def __enter__(self) -> None:
        self._mode.__enter__()

    def __exit__(self, *error: object) -> None:
        self._mode.__exit__(*error)


class _WriteGuard(torch.utils._python_dispatch.TorchDispatchMode):
    def __init__(
        self, owners: dict[int, nn.Parameter], saved: dict[int, tuple[torch.Tensor, torch.Tensor]]
    ) -> None:
        super().__init__()
        self._owners, self._saved = owners, saved

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func._schema.is_mutable:
            for place, spec in enumerate(func._schema.arguments):
                if spec.alias_info is None or not spec.alias_info.is_write:
                    continue
                value = args[place] if place < len(args) else kwargs.get(spec.name)
                for tensor in value if isinstance(value, list | tuple) else (value,):
                    if isinstance(tensor, torch.Tensor):
                        self._save(_storage(tensor))
        return func(*args, **kwargs)

    def _save(self, key: int) -> None:
        owner = self._owners.get(key)
        if owner is not None and key not in self._saved:
            self._saved[key] = (owner, owner.detach().clone())


@contextlib.contextmanager
def swap_tensors(model: nn.Module, fake: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Let the model run on other tensors in place of its own; use inside `keep_state`.

    Registered tensors are swapped, and so are plain attributes (``nn.RNN`` keeps a second list of
    its weights) one container deep.
    """
    for module in model.modules():
        for registered in (module._parameters, module._buffers):
            for name, tensor in registered.items():
                if tensor is not None:
                    registered[name] = fake(tensor)  # type: ignore[assignment]
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
    yield


def _containers(module: nn.Module) -> list[tuple[Any, Any]]:
    found = [(value, value.copy()) for value in vars(module).values() if type(value) in _CONTAINERS]
    return [pair for pair in found if pair is not None]


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


def _storage(tensor: torch.Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return id(tensor)


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    # Bits, not values: NaN equals NaN and -0 differs from 0.
    if a.dtype.is_floating_point or a.dtype.is_complex:
        return (
            bool(torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8)))
            if a.ndim
            else bool(torch.equal(a.reshape(1).view(torch.uint8), b.reshape(1).view(torch.uint8)))
        )
    return bool(torch.equal(a, b))
