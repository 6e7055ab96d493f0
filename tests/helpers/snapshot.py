"""Everything that a check might leave changed, so that two moments can be compared bit by bit."""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import sys
import threading
import warnings
from typing import Any

import numpy as np
import torch
import torch._dynamo  # sets filters and loggers of its own when it is first loaded, as a run needs it
import torch.nn.modules.module as modules
import torch.utils.checkpoint
from torch import nn
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from torch.utils._pytree import tree_flatten

from fanin.torch.names import every_module

__all__ = ["changes", "snapshot"]


def snapshot(model: Any = None, inputs: Any = ()) -> dict[str, Any]:
    """Write down a model, its inputs and the process."""
    made = {"process": _process(), "random": _random()}
    if isinstance(model, nn.Module):
        made |= {"model": _model(model)}
    leaves, structure = tree_flatten(inputs)
    made["inputs"] = str(structure), [_value(leaf) for leaf in leaves]
    return made


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Name what differs between two snapshots; nothing where all is as it was."""
    return list(_differences("", before, after))


def _differences(place: str, a: Any, b: Any) -> Any:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(k for k in b if k not in a)]:
            yield from _differences(f"{place}/{key}", a.get(key, "nothing"), b.get(key, "nothing"))
    elif a != b:
        yield f"{place}: {str(a)[:80]} -> {str(b)[:80]}"


def _random() -> dict[str, Any]:
    numpy = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": [part.tobytes() if isinstance(part, np.ndarray) else part for part in numpy],
        "python": random.getstate(),
    }


def _process() -> dict[str, Any]:
    hooks = {name: dict(value) for name, value in vars(modules).items() if name.startswith("_global_")
             and isinstance(value, dict)}  # fmt: skip
    names = ("torch._subclasses.fake_tensor", "fanin", "torch")
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "device": str(torch.get_default_device()),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "threads": torch.get_num_threads(),
        "dispatch": len(_get_current_dispatch_mode_stack()),
        "function modes": len(_get_current_function_mode_stack()),
        "saved tensors": torch._C._autograd._top_saved_tensors_default_hooks(True),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "checkpoint": (
            torch.utils.checkpoint.CheckpointFunction,
            torch.utils.checkpoint._checkpoint_without_reentrant_generator,
        ),
        "global hooks": hooks,
        "recursion": sys.getrecursionlimit(),
        "collector": (gc.isenabled(), gc.get_threshold()),
        "signals": {
            number: signal.getsignal(number)
            for number in signal.valid_signals()
            if threading.current_thread() is threading.main_thread()
        },
        "logs": {name: (logging.getLogger(name).disabled, logging.getLogger(name).level) for name in names},
        "filters": list(warnings.filters),
        "folder": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ),
        "running": threading.active_count(),
    }


def _model(model: nn.Module) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place, module in enumerate(every_module(model)):
        key = f"{place} {type(module).__name__}"
        # (A frozen script has no mode.)
        found[key] = {"mode": getattr(module, "training", None), "type": type(module)}
        for kind, registered in (("parameter", module._parameters), ("buffer", module._buffers)):
            for name, tensor in registered.items():
                found[key][f"{kind} {name}"] = None if tensor is None else _tensor(tensor)
        if not isinstance(module, torch.jit.ScriptModule):
            for name, value in vars(module).items():
                found[key][f"attribute {name}"] = _held(value)
    return found


def _tensor(tensor: torch.Tensor) -> dict[str, Any]:
    if torch.nn.parameter.is_lazy(tensor):
        return {"which": id(tensor), "type": type(tensor)}
    grad = tensor.grad if tensor.is_leaf else None
    return {
        "which": id(tensor),
        "type": type(tensor),
        "values": _bits(tensor),
        "shape": None if tensor.is_nested else tuple(tensor.shape),
        "dtype": tensor.dtype,
        "layout": tensor.layout,
        "strides": tensor.stride() if tensor.layout is torch.strided and not tensor.is_nested else None,
        "wants gradient": tensor.requires_grad,
        "gradient": None if grad is None else (id(grad), _bits(grad)),
        "hooks": dict(tensor._backward_hooks or {}),
        "names": sorted(vars(tensor)),
    }


def _held(value: Any) -> Any:
    """What an attribute holds, one level deep."""
    if isinstance(value, dict):
        return {"which": id(value), "items": [(key, id(inner)) for key, inner in value.items()]}
    if isinstance(value, list | set):
        return {"which": id(value), "items": [id(inner) for inner in value]}
    return {"which": id(value), "bits": _value(value)}


def _value(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if hasattr(value, "__dict__") and not isinstance(value, nn.Module | type):
        inside = vars(value).items()
        return {name: _bits(held) if isinstance(held, torch.Tensor) else id(held) for name, held in inside}
    return value if isinstance(value, bool | int | float | str | type(None)) else id(value)


def _bits(tensor: torch.Tensor) -> Any:
    if tensor.is_meta:
        return "no values"
    if tensor.is_nested:
        return [_bits(part) for part in tensor.unbind()]
    if tensor.layout is torch.sparse_coo:
        return _bits(tensor._indices()), _bits(tensor._values())
    if tensor.layout is not torch.strided:
        return _bits(tensor.to_dense())
    plain = tensor.detach()
    if plain.is_quantized:
        plain = plain.int_repr()
    if type(plain) is not torch.Tensor:
        plain = plain.as_subclass(torch.Tensor)
    flat = plain.resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format).reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
