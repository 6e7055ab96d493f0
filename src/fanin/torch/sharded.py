"""Models whose parameters are spread over processes: read as a whole, written by parts.

FSDP (both kinds) and tensor parallelism leave every process a part of each parameter. A plan is that of the
whole model, the same in every process and without any; its numbers are drawn where they belong, so that no
process makes, sends or waits for another's.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fanin.errors import InputError, ModelError, explain
from fanin.records.plan import Plan
from fanin.torch.commit import commit, held_signals
from fanin.torch.names import every_module, named_tensors
from fanin.torch.owners import known_values
from fanin.torch.parametrised import following
from fanin.torch.sandbox import keep_state
from fanin.torch.shards import Box, Run, part_of
from fanin.torch.store import memoryless
from fanin.torch.write import checked

__all__ = ["is_sharded", "whole", "write_parts"]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A parameter of which this process holds a part."""

    owners: tuple[tuple[nn.Module, str], ...]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    trained: bool
    local: torch.Tensor
    where: Box | Run
    marks: Mapping[str, Any]
    source: Any = None


def is_sharded(model: object) -> bool:
    """Whether any parameter of a model is spread over processes."""
    if not isinstance(model, nn.Module):
        return False
    return any(
        _is_fsdp(module)
        or any(_is_placed(p) for p in (*module._parameters.values(), *module._buffers.values()))
        for module in every_module(model)
    )


def _of(value: object, place: str, name: str) -> bool:
    """Whether a value is of a class of torch's that nobody may have imported: then it is not."""
    kind = getattr(sys.modules.get(place), name, None)
    return kind is not None and isinstance(value, kind)


def _is_fsdp(module: object) -> bool:
    return _of(module, "torch.distributed.fsdp", "FullyShardedDataParallel")


def _is_flat(tensor: object) -> bool:
    return _of(tensor, "torch.distributed.fsdp._flat_param", "FlatParameter")


def _is_placed(tensor: object) -> bool:
    return _of(tensor, "torch.distributed.tensor", "DTensor")


@contextlib.contextmanager
def whole(model: object, *, values: bool) -> Iterator[dict[int, _Held]]:
    """Let a sharded model be an ordinary one for a while; any other model stays as it is.

    Parameters
    ----------
    model
        A model, which is as before afterwards.
    values
        Whether parameters get their values, gathered from all processes (each has to ask for them, and
        needs the memory); otherwise they are on the meta device.

    Yields
    ------
    dict
        What this process holds of each stand-in on the meta device, by the stand-in's id.
    """
    if not is_sharded(model) or not isinstance(model, nn.Module):
        yield {}
        return
    with contextlib.ExitStack() as stack:
        found = [*_flat(model), *_placed(model)]
        copies = _summoned(model) if values else {}
        stack.enter_context(keep_state(model))
        made: dict[int, _Held] = {}
        for held in found:
            tensor: Any = _gathered(held, copies) if values else _shape_of(held)
            made[id(tensor)] = held
            for module, attribute in held.owners:
                vars(module).pop(attribute, None)
                registered = module._buffers if attribute in module._buffers else module._parameters
                registered[attribute] = tensor
        for module in every_module(model):
            _plain(module)
        yield made


def write_parts(model: nn.Module, plan: Plan, *, device: torch.device | str | None = None) -> None:
    """Carry a plan out on a sharded model: every process draws what it holds.

    Parameters
    ----------
    model
        A model for which `is_sharded` is true.
    plan
        The plan of the whole model.
    device
        For a model all of whose tensors are on the meta device: where they get their memory.

    Raises
    ------
    InputError
        A plan for another model, or a tensor that cannot be written; the model is untouched.
    """
    with whole(model, values=False) as held:
        jobs = checked(model, plan, memory=False)
        derived = following(model, plan)
        found = {one.name: one for one in named_tensors(model)}
        parts = {
            job.entry.name: part_of(job.entry, held[id(job.tensor)].where, plan.seed)
            for job in jobs
            if id(job.tensor) in held
        }
        absent = [
            name
            for name, one in found.items()
            if memoryless(held[id(one.tensor)].local if id(one.tensor) in held else one.tensor)
        ]
        known = dict(derived)
        if absent and device is not None:
            kept = {
                name: one
                for name, one in found.items()
                if plan[name].draw is None and name not in derived and one.tensor.numel()
            }
            known |= known_values(model, kept, device=torch.device(device), seed=plan.seed)
            _all_known([name for name in kept if name not in known], [n for n in found if n not in absent])
        elif absent:
            raise InputError(
                explain(
                    "The model has tensors without memory",
                    received=f"on the meta device: {', '.join(absent[:4])}{', ...' * (len(absent) > 4)}",
                    remedy="Say where they are to be: fanin.torch.init_(model, batch, device='cuda')",
                )
            )
    with held_signals():
        if absent:
            model.to_empty(device=torch.device(device or "cpu"))
        with whole(model, values=False) as held:
            now = {one.name: one.tensor for one in named_tensors(model)}
            there = {job.entry.name for job in jobs} - parts.keys()
            plain = [job for job in checked(model, plan, memory=False) if job.entry.name in there]
            targets = {
                name: held[id(now[name])].local if id(now[name]) in held else now[name] for name in now
            }
        also = [(targets[name], values) for name, values in (parts | known).items()]
        commit(plain, plan.seed, also=[(tensor, value.to(tensor)) for tensor, value in also])


def _all_known(unknown: list[str], real: list[str]) -> None:
    if unknown or real:
        raise InputError(
            explain(
                "The values of some tensors on the meta device cannot be known"
                if unknown
                else "Only some tensors of the sharded model are on the meta device",
                received=", ".join((unknown or real)[:4]),
                rule="A sharded model gets memory as a whole; what a plan keeps is computed by its owners",
                remedy="Give it memory and its buffers first (model.to_empty), then init_(model, batch)",
            )
        )


def _placed(model: nn.Module) -> list[_Held]:
    """Parameters that are DTensors."""
    owners: dict[int, list[tuple[nn.Module, str]]] = {}
    tensors: dict[int, Any] = {}
    for module in every_module(model):
        for registered in (module._parameters, module._buffers):
            for attribute, tensor in registered.items():
                if _is_placed(tensor):
                    owners.setdefault(id(tensor), []).append((module, attribute))
                    tensors[id(tensor)] = tensor
    return [
        _Held(
            owners=tuple(owners[key]),
            shape=tuple(tensor.shape),
            strides=tuple(tensor.stride()),
            trained=tensor.requires_grad,
            local=tensor._local_tensor,
            where=Box(index=_box(tensor)),
            marks={k: v for k, v in vars(tensor).items() if k not in ("_local_tensor", "_spec")},
            source=tensor,
        )
        for key, tensor in tensors.items()
    ]


def _box(tensor: Any) -> tuple[slice, ...]:
    """The part of a DTensor that is here, a slice a dimension."""
    begins, sizes = [0] * tensor.ndim, list(tensor.shape)
    mesh, place = tensor.device_mesh, tensor.device_mesh.get_coordinate()
    if place is None:
        return tuple(slice(0, 0) for _ in sizes)
    cuts = list(zip(tensor.placements, mesh.shape, place, strict=True))
    # FSDP cuts what tensor parallelism has cut already, though its dimension of the mesh comes first.
    late = [cut for cut in cuts if type(cut[0]).__name__ == "_StridedShard"]
    for placement, count, mine in [*(cut for cut in cuts if cut not in late), *reversed(late)]:
        if placement.is_partial():
            raise ModelError(
                explain(
                    "A parameter is spread over processes as terms of a sum",
                    received=f"placements {tensor.placements}",
                    rule="A weight has one value in one place",
                    remedy="Initialise the model before it is sharded",
                )
            )
        if placement.is_replicate():
            continue
        each = -(-sizes[placement.dim] // count)
        begin = min(mine * each, sizes[placement.dim])
        begins[placement.dim] += begin
        sizes[placement.dim] = min(each, sizes[placement.dim] - begin)
    box = tuple(slice(begin, begin + size) for begin, size in zip(begins, sizes, strict=True))
    if tuple(sizes) != tuple(tensor._local_tensor.shape):
        raise ModelError(
            explain(
                "A parameter is cut into parts in a way that is not known",
                received=f"{tensor.placements}, a part of shape {tuple(tensor._local_tensor.shape)}",
                rule=f"This process would hold a part of shape {tuple(sizes)}",
                remedy="Initialise the model before it is sharded",
            )
        )
    return box


def _flat(model: nn.Module) -> list[_Held]:
    """Parameters that lie in the flat parameters of FSDP's first kind."""
    found: list[_Held] = []
    for module in every_module(model):
        handle = getattr(module, "_handle", None) if _is_fsdp(module) else None
        if handle is None:
            continue
        flat = handle.flat_param
        extended = any(extension is not None for extension in flat._param_extensions)
        if extended or flat.numel() != flat._sharded_size.numel():
            raise ModelError(
                explain(
                    "The layout of FSDP's flat parameter is not known",
                    received="parameters that are sharded twice"
                    if extended
                    else "a model in the midst of a run",
                    remedy="Initialise the model before it is wrapped",
                )
            )
        shared = {(id(s.prim_module), s.prim_param_name): [] for s in flat._shared_param_infos}  # type: ignore[var-annotated]
        for one in flat._shared_param_infos:
            shared[id(one.prim_module), one.prim_param_name].append((one.module, one.param_name))
        single = flat._params if flat._params is not None else [flat] * len(flat._param_infos)
        for info, shape, strides, cut, own in zip(
            flat._param_infos, flat._shapes, flat._strides, flat._shard_param_infos, single, strict=True
        ):
            begin = cut.intra_param_start_idx if cut.in_shard else 0
            end = cut.intra_param_end_idx + 1 if cut.in_shard else 0
            offset = cut.offset_in_shard if cut.in_shard else 0
            found.append(
                _Held(
                    owners=(
                        (info.module, info.param_name),
                        *shared.get((id(info.module), info.param_name), ()),
                    ),
                    shape=tuple(shape),
                    strides=tuple(strides),
                    trained=own.requires_grad,
                    local=flat.detach()[offset : offset + end - begin],
                    where=Run(begin=begin, end=end, strides=tuple(strides)),
                    marks={} if own is flat else dict(vars(own)),
                )
            )
    return found


def _shape_of(held: _Held) -> torch.Tensor:
    meta = torch.empty_strided(held.shape, held.strides, dtype=held.local.dtype, device="meta")
    return _marked(nn.Parameter(meta, requires_grad=held.trained), held)


def _summoned(model: nn.Module) -> dict[tuple[int, str], torch.Tensor]:
    """Copies of the parameters that lie in flat ones, by owner and attribute."""
    if not any(_is_fsdp(module) for module in every_module(model)):
        return {}
    from torch.distributed.fsdp import FullyShardedDataParallel  # noqa: PLC0415 - slow, and here already

    # Copies, so that FSDP can free its own at once: a NumPy view of them would forbid it.
    with torch.no_grad(), FullyShardedDataParallel.summon_full_params(model, writeback=False):
        return {
            (id(module), attribute): parameter.detach().clone()
            for module in every_module(model)
            for attribute, parameter in module._parameters.items()
            if parameter is not None and not _is_flat(parameter)
        }


def _gathered(held: _Held, copies: Mapping[tuple[int, str], torch.Tensor]) -> torch.Tensor:
    owner, attribute = held.owners[0]
    values = held.source.full_tensor() if held.source is not None else copies[id(owner), attribute]
    return _marked(nn.Parameter(values.detach(), requires_grad=held.trained), held)


def _marked(parameter: nn.Parameter, held: _Held) -> nn.Parameter:
    if "_is_hf_initialized" in held.marks:
        parameter._is_hf_initialized = held.marks["_is_hf_initialized"]  # type: ignore[attr-defined]
    return parameter


def _plain(module: nn.Module) -> None:
    """Take away what shards a module while it runs; `keep_state` brings it back."""
    for attribute, child in list(module._modules.items()):
        inner: Any = child
        while _is_fsdp(inner):
            inner = inner._modules["_fsdp_wrapped_module"]
        module._modules[attribute] = inner
    for name, tensor in list(module._parameters.items()):
        if _is_flat(tensor):
            del module._parameters[name]
    for hooks in (vars(module)[name] for name in _HOOKS):
        for key, hook in list(hooks.items()):
            function: Any = inspect.unwrap(getattr(hook, "func", hook))
            if str(getattr(function, "__module__", "")).startswith("torch.distributed."):
                del hooks[key]
