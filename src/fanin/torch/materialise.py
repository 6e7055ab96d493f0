"""A model on the meta device becomes a real one: every parameter drawn, every buffer accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from fanin.errors import InputError, explain
from fanin.records.plan import Plan
from fanin.torch.commit import Job, commit, held_signals
from fanin.torch.names import PLAIN, NamedTensor, named_modules, named_tensors, storage_key
from fanin.torch.owners import known_attribute, known_values
from fanin.torch.parametrised import computed, following
from fanin.torch.write import checked

__all__ = ["materialise"]

_SHOWN = 4


def materialise(
    model: nn.Module,
    plan: Plan,
    *,
    device: torch.device | str,
    values: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Give memory to a model's tensors on the meta device, and fill all of its tensors as a plan says.

    Parameters and buffers are replaced where they are registered, ties and shared memory stay what they
    are, and tensors that have memory already are written in place. What the plan keeps gets the value
    that its owner computes (see `fanin.torch.owners`), or the one in `values`. Everything or nothing:
    the model is on the meta device until all values are there.

    Parameters
    ----------
    model
        A model some or all of whose tensors are on the meta device.
    plan
        Its plan.
    device
        Where the new tensors are to be.
    values
        Values of kept tensors that nobody else knows, by name.

    Raises
    ------
    InputError
        A plan for another model, or a tensor whose value cannot be known; the model is untouched.

    Examples
    --------
    >>> import fanin.torch
    >>> model = nn.Sequential(nn.Linear(4, 8, device="meta"), nn.BatchNorm1d(8, device="meta"))
    >>> materialise(model, fanin.torch.plan(model, torch.zeros(2, 4)), device="cpu")
    >>> model[1].running_var.tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    jobs = checked(model, plan, memory=False)
    device = _real(device)
    found = {one.name: one for one in named_tensors(model)}
    absent = {name: one for name, one in found.items() if one.tensor.is_meta}
    for name, one in absent.items():
        if type(one.tensor) not in PLAIN or one.tensor.layout is not torch.strided:
            raise InputError(
                explain(
                    f"'{name}' cannot be given memory",
                    received=f"a {type(one.tensor).__name__} with layout {one.tensor.layout}",
                    rule="Only plain dense tensors are materialised",
                    remedy="Materialise the model before it is sharded or quantised",
                )
            )
    fresh = _allocated(model, device)
    derived = following(model, plan)
    drawn = {job.entry.name for job in jobs} | (derived.keys() & absent.keys())
    kept = {name: one for name, one in absent.items() if name not in drawn}
    given = _given(values or {}, kept)
    rest = {name: one for name, one in kept.items() if name not in given and one.tensor.numel()}
    known = known_values(model, rest, device=device, seed=plan.seed) | given
    _all_known([name for name in rest if name not in known])
    attributes = _attributes(model, fresh, device, plan.seed)
    known |= {name: value for name, value in derived.items() if name in absent}
    for name, value in known.items():
        with torch.no_grad():
            fresh[id(absent[name].tensor)].copy_(value)
    there = [(found[name].tensor, value) for name, value in derived.items() if name not in absent]
    # New memory first: if that fails, nothing of the model has changed.
    commit(
        [Job(entry=job.entry, tensor=fresh[id(job.tensor)]) for job in jobs if job.tensor.is_meta], plan.seed
    )
    with held_signals():
        commit(
            [job for job in jobs if not job.tensor.is_meta],
            plan.seed,
            also=[(tensor, value.to(tensor)) for tensor, value in there],
        )
        _swap(model, fresh)
        for owner, attribute, value in attributes:
            vars(owner)[attribute] = value
        _refreshed(model)


def _refreshed(model: nn.Module) -> None:
    """Let modules find their new tensors where they look for them."""
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            # It holds weak references to its weights.
            module._init_flat_weights()
        with torch.no_grad():
            for attribute, compute in computed(module).items():
                vars(module)[attribute] = compute()


def _real(device: torch.device | str) -> torch.device:
    try:
        real = torch.device(device)
        torch.empty(0, device=real)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(
            explain("There is no such device", received=f"device={device!r} ({str(error).splitlines()[0]})")
        ) from None
    if real.type == "meta":
        raise InputError(
            explain(
                "The meta device has no memory",
                received=f"device={str(device)!r}",
                remedy="Name a real device, such as 'cpu' or 'cuda'",
            )
        )
    return real


def _allocated(model: nn.Module, device: torch.device) -> dict[int, torch.Tensor]:
    """A new tensor for each one on meta, by the old one's id; shared memory is shared again."""
    bases: dict[tuple[int, torch.dtype], torch.Tensor] = {}
    fresh: dict[int, torch.Tensor] = {}
    with torch.no_grad():
        for _, module in named_modules(model):
            for registered in (vars(module)["_parameters"], vars(module)["_buffers"]):
                for tensor in registered.values():
                    if tensor is not None and tensor.is_meta and id(tensor) not in fresh:
                        fresh[id(tensor)] = _twin(tensor, bases, device)
    return fresh


def _twin(
    tensor: torch.Tensor, bases: dict[tuple[int, torch.dtype], torch.Tensor], device: torch.device
) -> torch.Tensor:
    key = storage_key(tensor), tensor.dtype
    if key not in bases:
        size = tensor.untyped_storage().nbytes() // max(tensor.itemsize, 1)
        bases[key] = torch.empty(size, dtype=tensor.dtype, device=device)
    base = bases[key]
    dense = tensor.is_contiguous() and tensor.numel() == base.numel()
    new = (
        base.view(tensor.shape)
        if dense
        else base.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
    )
    if isinstance(tensor, nn.Parameter):
        new = nn.Parameter(new.detach(), requires_grad=tensor.requires_grad)
    else:
        new = new.detach()
    for name, mark in vars(tensor).items():
        # Marks of users and libraries (no weight decay, no initialisation) stay.
        setattr(new, name, mark)
    return new


def _given(values: Mapping[str, torch.Tensor], kept: Mapping[str, NamedTensor]) -> dict[str, torch.Tensor]:
    names = {alias: one.name for one in kept.values() for alias in (one.name, *one.aliases)}
    found: dict[str, torch.Tensor] = {}
    for name, value in values.items():
        one = kept.get(names.get(name, ""))
        if one is None or not isinstance(value, torch.Tensor) or value.shape != one.tensor.shape:
            shown = f"shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            rule = (
                f"It has the shape {tuple(one.tensor.shape)}"
                if one is not None
                else "values= is for tensors on the meta device that the plan keeps"
            )
            raise InputError(explain(f"The value for '{name}' cannot be used", received=shown, rule=rule))
        found[one.name] = value
    return found


def _all_known(unknown: list[str]) -> None:
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise InputError(
            explain(
                "The values of some tensors on the meta device cannot be known",
                received=", ".join(f"'{name}'" for name in unknown[:_SHOWN]) + more,
                rule="The plan keeps what a tensor's owner computed, and on the meta device nothing was "
                "computed; an owner is asked by reset_parameters(), by transformers' _init_weights(), and by "
                "its constructor where it keeps the arguments under their names",
                remedy="Pass values={'name': tensor}, give the owner a reset_parameters() that computes "
                "them, or build the model on a real device",
            )
        )


def _attributes(
    model: nn.Module, fresh: Mapping[int, torch.Tensor], device: torch.device, seed: int
) -> list[tuple[nn.Module, str, Any]]:
    """New values of plain attributes that hold tensors on meta."""
    found: list[tuple[nn.Module, str, Any]] = []
    for path, module in named_modules(model):
        for attribute, value in vars(module).items():
            if attribute in ("_parameters", "_buffers", "_modules") or not _holds_meta(value):
                continue
            if attribute in computed(module):
                continue
            new = _mapped(value, fresh)
            if _holds_meta(new):
                new = known_attribute(module, attribute, device=device, seed=seed)
            if new is None or _holds_meta(new):
                name = f"{path}.{attribute}" if path else attribute
                raise InputError(
                    explain(
                        "The values of some tensors on the meta device cannot be known",
                        received=f"'{name}', which is neither a parameter nor a buffer",
                        rule="Nobody can say what an attribute's tensor held",
                        remedy="Register it as a buffer, or build the model on a real device",
                    )
                )
            found.append((module, attribute, new))
    return found


def _holds_meta(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return bool(value.is_meta)
    items = value.values() if type(value) is dict else value if type(value) in (list, tuple) else ()
    return any(isinstance(item, torch.Tensor) and item.is_meta for item in items)


def _mapped(value: Any, fresh: Mapping[int, torch.Tensor]) -> Any:
    """The same attribute with new tensors in the places of registered ones."""
    if isinstance(value, torch.Tensor):
        return fresh.get(id(value), value)
    if type(value) is dict:
        return {key: fresh.get(id(item), item) for key, item in value.items()}
    return type(value)(fresh.get(id(item), item) for item in value)


def _swap(model: nn.Module, fresh: Mapping[int, torch.Tensor]) -> None:
    for module in model.modules():
        for registered in (vars(module)["_parameters"], vars(module)["_buffers"]):
            for key, tensor in registered.items():
                if id(tensor) in fresh:
                    registered[key] = fresh[id(tensor)]
