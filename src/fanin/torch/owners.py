"""What the owners of a model's tensors say their values are: buffers, and parameters that keep them.

A model on the meta device has lost what its constructors computed. PyTorch's own contract gives it
back (``reset_parameters`` initialises all that a module registers itself), so does the method that
transformers calls for each module, and so does the owner's constructor where it kept its arguments.
A value counts as known if it comes out the same whatever was in the memory before.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from fanin.torch.names import NamedTensor
from fanin.torch.sandbox import keep_random_state, keep_state

__all__ = ["known_attribute", "known_values"]

_RESETS = ("reset_parameters", "_reset_parameters", "reset_buffers")
_PLAIN = (bool, int, float, str, type(None), torch.dtype)
_MOST = 1 << 26
"""Elements that are worth building again for the sake of a buffer."""
_SEEDS = 2**63


def known_values(
    model: nn.Module, wanted: Mapping[str, NamedTensor], *, device: torch.device, seed: int
) -> dict[str, torch.Tensor]:
    """Values of tensors on the meta device, as far as their owners can say them.

    What an owner draws at random is drawn under PyTorch's generator seeded with `seed`.

    Parameters
    ----------
    model
        The model; it is as before afterwards.
    wanted
        Tensors on the meta device, by name.
    device
        Where the values are to be.
    seed
        Of random values.

    Returns
    -------
    dict
        Names to tensors; what nobody knows is missing.
    """
    if not wanted:
        return {}
    found = _same(*(_reset(model, wanted, device, seed, poison) for poison in (0, 1)))
    rebuilt: dict[int, nn.Module | None] = {}
    for name, one in wanted.items():
        if name in found:
            continue
        if id(one.owner) not in rebuilt:
            rebuilt[id(one.owner)] = _rebuilt(one.owner, device, seed)
        value = _registered(rebuilt[id(one.owner)], one.attribute)
        if value is not None and value.shape == one.tensor.shape:
            found[name] = value.detach().to(device=device, dtype=one.tensor.dtype)
    return found


def known_attribute(owner: nn.Module, attribute: str, *, device: torch.device, seed: int) -> Any:
    """A plain attribute that holds tensors, from the owner's constructor; None if that cannot say it."""
    again = _rebuilt(owner, device, seed)
    return None if again is None else vars(again).get(attribute)


def _same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What came out of two different pieces of memory with the same bits."""
    return {
        name: value
        for name, value in one.items()
        if torch.equal(
            value.contiguous().view(-1).view(torch.uint8), other[name].contiguous().view(-1).view(torch.uint8)
        )
    }


def _reset(
    model: nn.Module, wanted: Mapping[str, NamedTensor], device: torch.device, seed: int, poison: int
) -> dict[str, torch.Tensor]:
    """Let every owner write into fresh memory that is full of `poison`; other tensors stay on meta."""
    fresh = {name: _poisoned(one.tensor, device, poison) for name, one in wanted.items()}
    stand_ins = {id(one.tensor): fresh[name] for name, one in wanted.items()}
    with keep_state(model), _quiet(seed):
        for module in model.modules():
            for registered in (vars(module)["_parameters"], vars(module)["_buffers"]):
                for key, tensor in registered.items():
                    if id(tensor) in stand_ins:
                        registered[key] = stand_ins[id(tensor)]
        for owner in {id(one.owner): one.owner for one in wanted.values()}.values():
            for method in _RESETS:
                _called(getattr(owner, method, None))
        _by_library(model, None)
    return {name: tensor.detach() for name, tensor in fresh.items()}


def _by_library(module: nn.Module, above: nn.Module | None) -> None:
    """Call the nearest model's ``_init_weights`` on every module, children first, as transformers does."""
    model = module if _initialises(module) else above
    for child in module.children():
        _by_library(child, model)
    if model is not None:
        _called(model._init_weights, module)


def _initialises(module: nn.Module) -> bool:
    """Whether a module initialises others by transformers' method."""
    return hasattr(module, "config") and callable(getattr(module, "_init_weights", None))


def _called(method: Any, *arguments: Any) -> None:
    if callable(method):
        # An owner that cannot do it says nothing; what it left half done differs between two runs.
        with contextlib.suppress(Exception):
            method(*arguments)


def _poisoned(tensor: torch.Tensor, device: torch.device, poison: int) -> torch.Tensor:
    value: Any = (float("nan"), 7.25)[poison]
    if tensor.dtype == torch.bool:
        value = bool(poison)
    elif not (tensor.is_floating_point() or tensor.is_complex()):
        value = (77, 99)[poison]
    filled = torch.empty(tensor.shape, dtype=torch.float32 if tensor.itemsize == 1 else tensor.dtype)
    filled = filled.fill_(value).to(device=device, dtype=tensor.dtype)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(filled, requires_grad=tensor.requires_grad)
    return filled


def _rebuilt(owner: nn.Module, device: torch.device, seed: int) -> nn.Module | None:
    """The owner built again from arguments that it keeps under their own names; None if in doubt.

    The result counts only if all that can be seen of it is as in the owner: plain attributes, names
    of children, names and shapes of tensors.
    """
    kind = type(owner)
    if sum(p.numel() for p in owner.parameters()) + sum(b.numel() for b in owner.buffers()) > _MOST:
        return None
    try:
        signature = inspect.signature(kind)
    except (TypeError, ValueError):
        return None
    arguments: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        if name in ("device", "factory_kwargs"):
            continue
        if hasattr(owner, name) and not isinstance(getattr(owner, name), torch.Tensor):
            arguments[name] = getattr(owner, name)
        elif (
            parameter.default is inspect.Parameter.empty
            or parameter.kind == inspect.Parameter.POSITIONAL_ONLY
        ):
            return None
    try:
        with _quiet(seed), torch.device(device):
            again = kind(**arguments)
    except Exception:  # noqa: BLE001 - a constructor may raise anything; then it says nothing
        return None
    return again if _alike(owner, again) else None


def _alike(owner: nn.Module, again: nn.Module) -> bool:
    for registered in ("_parameters", "_buffers", "_modules"):
        one, other = vars(owner)[registered], vars(again)[registered]
        if list(one) != list(other):
            return False
        if registered != "_modules" and any(
            (a is None) != (b is None) or (a is not None and a.shape != b.shape)
            for a, b in zip(one.values(), other.values(), strict=True)
        ):
            return False
    mine, theirs = vars(owner), vars(again)
    return all(
        name in theirs and type(theirs[name]) is type(value) and theirs[name] == value
        for name, value in mine.items()
        if isinstance(value, _PLAIN) and name not in ("training", "_is_hf_initialized")
    )


def _registered(module: nn.Module | None, attribute: str) -> torch.Tensor | None:
    if module is None:
        return None
    state = vars(module)
    found: torch.Tensor | None = state["_parameters"].get(attribute, state["_buffers"].get(attribute))
    return found


@contextlib.contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """No gradients, and random numbers from a generator of our own."""
    with keep_random_state(), torch.no_grad():
        torch.manual_seed(seed % _SEEDS)
        yield
