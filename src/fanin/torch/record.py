"""Run a model once and write down every operator, what it read, and where it ran."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal

import torch
from torch import nn

from fanin.errors import FaninError, InputError, ModelError, explain
from fanin.torch.borrowed import borrowed, twin
from fanin.torch.fakes import Blanks, Fakes
from fanin.torch.inputs import remedy
from fanin.torch.interrupts import deferred
from fanin.torch.names import NamedTensor, named_modules, named_tensors
from fanin.torch.recomputing import without_recomputing
from fanin.torch.recorder import Recorder
from fanin.torch.recording import Beside, Observer, Op, Operand, Output, Recording
from fanin.torch.sandbox import (
    guard_values,
    keep_random_state,
    keep_settings,
    keep_state,
    swap_tensors,
    undone,
)

__all__ = ["Observer", "Op", "Operand", "Output", "Recording", "record", "unwrapped"]

_LONG = 120
"""Characters of a module's path in a message."""
_MEMORY = 4 << 30
"""Bytes that stand-ins for tensors on the meta device may take."""


def record(
    model: nn.Module,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    *,
    engine: Literal["fake", "real"],
    observer: Observer | None = None,
) -> Recording:
    """Run ``model(*args, **kwargs)`` once and record every operator.

    Gradients are enabled, so that both engines run the same operators. Afterwards the model
    is as it was, bit for bit: parameters, buffers, attributes, hooks, random states, mode.

    Parameters
    ----------
    model
        Any module, also one built on the meta device.
    args, kwargs
        Arguments of the forward pass; see `fanin.torch.inputs.as_call`.
    engine
        "fake": shapes and dtypes only, nothing is computed or allocated. "real": the model's own
        tensors and values; random ones for the run alone, in the CPU's memory, if it was built on meta.
    observer
        Is shown each output as it is made.

    Raises
    ------
    InputError
        `model` is not a module.
    ModelError
        The forward pass failed; the message has its own error text and the module's path. Or the fake
        engine is asked to run a scripted module, or the real one a large model on the meta device.

    Examples
    --------
    >>> run = record(nn.Linear(2, 3), (torch.zeros(1, 2),), {}, engine="fake")
    >>> [op.name for op in run.ops]
    ['input', 'aten.t.default', 'aten.addmm.default']
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            explain(
                "There is no model to run",
                received=repr(type(model).__name__),
                rule="A model is a torch.nn.Module",
                remedy="Wrap a function in a module whose forward calls it",
            )
        )
    tensors = named_tensors(model)
    meta = any(entry.tensor.is_meta for entry in tensors)
    run = Recorder(observer)
    with contextlib.ExitStack() as stack:
        stack.enter_context(keep_random_state())
        stack.enter_context(keep_settings())
        stack.enter_context(keep_state(model))
        if engine == "fake":
            _swappable(model)
            fakes = Fakes(tensors)
            swap_tensors(model, fakes)
            args, kwargs = borrowed((args, dict(kwargs)), fakes)
            run.stand_ins(fakes.originals(), fakes.mode)
            mode: contextlib.AbstractContextManager[object] = fakes.mode
        elif meta:
            _affordable(tensors)
            blanks = Blanks()
            swap_tensors(model, blanks)
            args, kwargs = borrowed((args, dict(kwargs)), lambda tensor: blanks(twin(tensor)))
            mode = contextlib.nullcontext()
        else:
            args, kwargs = borrowed((args, dict(kwargs)), twin)
            run.guard = stack.enter_context(guard_values(model))
            mode = contextlib.nullcontext()
        for entry in tensors:
            run.register(entry.name, getattr(entry.owner, entry.attribute), buffer=entry.buffer)
        for tensor in _tensors((args, kwargs), depth=3):
            run.input(tensor)
        stack.enter_context(_eager())
        stack.enter_context(without_recomputing())
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_paths(model, run))
        run.interrupts = stack.enter_context(deferred())
        stack.enter_context(mode)
        stack.enter_context(run)
        try:
            output = unwrapped(model)(*args, **kwargs)
        except FaninError:
            raise
        except Exception as error:
            raise ModelError(
                explain(
                    f"The forward pass failed in module '{_short(run.module)}'"
                    if run.module
                    else "The model's forward pass failed",
                    received=f"{type(error).__name__}: {error}",
                    remedy=remedy(args, kwargs, error),
                )
            ) from error
        outputs = tuple(run.operand(tensor) for tensor in _tensors(output))
    return Recording(
        engine="fake tensors" if engine == "fake" else "random tensors" if meta else "real tensors",
        ops=tuple(run.ops),
        outputs=outputs,
        tensors=tensors,
        mode="train" if model.training else "eval",
        returned=output,
        strangers=tuple(tuple(tensor.shape) for tensor in run.strangers.values()),
    )


@contextlib.contextmanager
def _eager() -> Iterator[None]:
    """No compiled code and no fused inference paths, which hide operators; no log of a fallback."""
    # torch logs a traceback when a fake run fails; the caller is told by an exception, or falls back.
    talk = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, limit = talk.disabled, sys.getrecursionlimit()
    fast = torch.backends.mha.get_fastpath_enabled()
    stance = getattr(torch.compiler, "set_stance", None)

    def put_back() -> None:
        sys.setrecursionlimit(limit)
        torch.backends.mha.set_fastpath_enabled(fast)
        talk.disabled = disabled

    with undone(put_back), stance("force_eager") if stance is not None else contextlib.nullcontext():
        talk.disabled = True
        # Hooks take frames of their own: a model that runs by itself must not run out of them here.
        sys.setrecursionlimit(3 * limit)
        torch.backends.mha.set_fastpath_enabled(False)
        yield


@contextlib.contextmanager
def _paths(model: nn.Module, run: Recorder) -> Iterator[None]:
    """Keep `run.module` and `run.call` at the innermost module, by hooks that are removed again."""
    names: dict[nn.Module, str] = {}
    beside = model.modules_beside() if isinstance(model, Beside) else ()
    for path, module in (*named_modules(model), *beside):
        names.setdefault(module, path)
    calls: dict[nn.Module, int] = {}
    entered: list[tuple[nn.Module, str, int]] = []

    def enter(module: nn.Module, _: Any) -> None:
        run.interrupts.deliver()
        call = calls.get(module, 0)
        calls[module] = call + 1
        entered.append((module, run.module, run.call))
        run.module, run.call = names[module], call

    def leave(module: nn.Module, _: Any, __: Any) -> None:
        # A module that raised, and whose error the model caught, has left its entry behind.
        while entered:
            inner, run.module, run.call = entered.pop()
            if inner is module:
                break

    handles = []
    try:
        for module in names:
            if isinstance(module, torch.jit.ScriptModule):
                continue  # takes no hooks: what it runs counts as run by the module around it
            handles.append(module.register_forward_pre_hook(enter, prepend=True))
            handles.append(module.register_forward_hook(leave))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _affordable(tensors: tuple[NamedTensor, ...]) -> None:
    size = sum(entry.tensor.numel() * entry.tensor.itemsize for entry in tensors if entry.tensor.is_meta)
    if size > _MEMORY:
        raise ModelError(
            explain(
                "The model cannot be run without values",
                received=f"{size / 2**30:.1f} GiB of tensors on the meta device, and control flow on values",
                rule=f"Up to {_MEMORY / 2**30:g} GiB are filled with random numbers for such a run",
                remedy="Plan a model of the same form with fewer layers, or build it on a real device",
            )
        )


def _swappable(model: nn.Module) -> None:
    for path, module in named_modules(model):
        if isinstance(module, torch.jit.ScriptModule):
            cause = TypeError("a scripted or traced module keeps its tensors outside of Python")
            raise ModelError(
                explain("The model cannot run on other tensors than its own", received=path or "the model")
            ) from cause


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's module inside data parallel wrappers and ``torch.compile``."""
    inner = model
    while True:
        children = dict(inner.named_children())
        held = children.keys() & {"_orig_mod", "_fsdp_wrapped_module"}
        if held:
            inner = children[held.pop()]
        elif isinstance(inner, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = children["module"]
        else:
            return inner


def _short(path: str) -> str:
    return path if len(path) <= _LONG else f"{path[: _LONG // 2]}...{path[-_LONG // 2 :]}"


def _tensors(value: Any, depth: int = 0) -> list[torch.Tensor]:
    """Tensors in a value, in order; objects of unknown kinds are opened `depth` times.

    Inputs are opened (graph batches are objects), outputs are not (they may hold caches).
    """
    if isinstance(value, torch.Tensor):
        return [value]
    inside: list[Any] = []
    if isinstance(value, Mapping):
        inside = list(value.values())
    elif isinstance(value, list | tuple):
        inside = list(value)
    elif is_dataclass(value) and not isinstance(value, type):
        inside = [getattr(value, field.name) for field in fields(value)]
    elif depth > 0 and hasattr(value, "__dict__") and not isinstance(value, nn.Module | type):
        inside, depth = list(vars(value).values()), depth - 1
    return [tensor for item in inside for tensor in _tensors(item, depth)]
