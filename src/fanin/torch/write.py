"""Carry out a plan on a model: everything or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from fanin.errors import InputError, explain
from fanin.plans.carried import check_plan, check_precision, check_stream
from fanin.records.axes import as_axes
from fanin.records.pieces import pieces
from fanin.records.plan import Entry, Plan
from fanin.torch.commit import Job, commit
from fanin.torch.names import PLAIN, NamedTensor, named_tensors, storage_key
from fanin.torch.parametrised import following
from fanin.torch.store import check_writable, dtype_name, memoryless

__all__ = ["checked", "fitting", "write"]

_SHOWN = 4
"""Names that an error message lists before it says how many more there are."""


def write(model: nn.Module, plan: Plan) -> None:
    """Fill a model's tensors as a plan says.

    Everything is checked first, then drawn, on the CPU in each tensor's own memory. If anything fails,
    every tensor has the values it had before; an interrupt waits until all numbers are in. Values are a
    function of the plan's seed and each tensor's name alone: writing twice is writing once, and
    wrappers, devices and memory layouts change no bit.

    Parameters
    ----------
    model
        The module whose graph the plan was made from, or one with the same tensors.
    plan
        A plan, as made, edited or loaded.

    Raises
    ------
    InputError
        A plan for another model, dtype or stream version, or a tensor that cannot be written; the
        model is untouched.

    Warns
    -----
    PrecisionWarning
        Tensors whose 16-bit or 8-bit dtype is too coarse for their draws: once for all, with their number.

    Examples
    --------
    >>> from fanin.records.draw import Constant
    >>> from fanin.records.plan import Status
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> entry = Entry(
    ...     name="weight",
    ...     shape=(1, 2),
    ...     dtype="float32",
    ...     status=Status.CLAIMED,
    ...     draw=Constant(value=0.5),
    ...     scheme="constant",
    ...     rule="mine",
    ...     reason="to show",
    ... )
    >>> write(
    ...     layer, Plan(model="Linear", framework="torch", policy="mine", seed=0, stream=1, entries=(entry,))
    ... )
    >>> layer.weight.tolist()
    [[0.5, 0.5]]
    """
    _check_types(model, plan)
    found = {entry.name: entry for entry in named_tensors(model)}
    jobs = checked(model, plan, found=found)
    also = [(found[name].tensor, value) for name, value in following(model, plan).items()]
    commit(jobs, plan.seed, also=[(tensor, value.to(tensor)) for tensor, value in also])


def checked(
    model: nn.Module, plan: Plan, *, memory: bool = True, found: Mapping[str, NamedTensor] | None = None
) -> list[Job]:
    """The lines of a plan that draw, each with its tensor, once all of the plan is known to fit.

    Parameters
    ----------
    model, plan
        As in `write`.
    memory
        Whether every tensor has to have memory already.
    found
        The model's tensors by name, if they are listed already.

    Raises
    ------
    InputError
        As `write` does.
    """
    _check_types(model, plan)
    if found is None:
        found = {entry.name: entry for entry in named_tensors(model)}
    fitting(plan, found)
    jobs = [Job(entry=entry, tensor=found[entry.name].tensor) for entry in plan.entries]
    if memory:
        _has_memory(found)
    drawing = [job for job in jobs if job.entry.draw is not None]
    for job in drawing:
        check_writable(job.tensor, job.entry.name)
    _apart(drawing)
    check_precision(plan)
    return drawing


def _check_types(model: object, plan: object) -> None:
    if not isinstance(model, nn.Module):
        raise InputError(
            explain(
                "There is no model to write to",
                received=type(model).__name__,
                rule="A model is a torch.nn.Module",
            )
        )
    check_plan(plan, maker="fanin.torch.plan(model, batch)")


def fitting(plan: Plan, found: Mapping[str, NamedTensor]) -> None:
    """Refuse a plan that was not made for these tensors.

    Raises
    ------
    InputError
        Another stream version, other names, shapes or dtypes, or blocks that do not fit.
    """
    check_stream(plan)
    _same_names(plan, found)
    for entry in plan.entries:
        _fits(entry, found[entry.name].tensor)


def _apart(jobs: Iterable[Job]) -> None:
    """Refuse two lines that would draw into one place in memory."""
    shared: dict[int, list[Job]] = {}
    for job in jobs:
        tensor = job.tensor
        if tensor.layout is torch.strided and type(tensor) in PLAIN and not memoryless(tensor):
            shared.setdefault(storage_key(tensor), []).append(job)
    for group in (found for found in shared.values() if len(found) > 1):
        # A mark for each byte that a line writes; only tensors that are parts of one memory come here.
        marks = torch.full((group[0].tensor.untyped_storage().nbytes(),), -1, dtype=torch.int32)
        for place, job in enumerate(group):
            tensor, size = job.tensor, job.tensor.itemsize
            strides = [step * size for step in tensor.stride()]
            here = marks.as_strided((*tensor.shape, size), (*strides, 1), tensor.storage_offset() * size)
            if tensor.numel() and int(here.max()) >= 0:
                raise InputError(
                    explain(
                        f"'{group[int(here.max())].entry.name}' and '{job.entry.name}' share a part of their "
                        "memory",
                        received=f"shapes {group[int(here.max())].entry.shape} and {job.entry.shape}",
                        rule="An element has one value, so it is drawn under one name",
                        remedy="Give each memory of its own, or override one of the two lines to keep it",
                    )
                )
            here.fill_(place)


def _same_names(plan: Plan, found: Mapping[str, NamedTensor]) -> None:
    planned = Counter(entry.name for entry in plan.entries)
    twice = {name for name, times in planned.items() if times > 1}
    absent = [name for name in planned if name not in found]
    unplanned = [name for name in found if name not in planned]
    if not (twice or absent or unplanned):
        return
    parts = [
        f"{what}: {_listed(names)}"
        for what, names in (
            ("planned twice", sorted(twice)),
            ("not in the model", absent),
            ("not in the plan", unplanned),
        )
        if names
    ]
    raise InputError(
        explain(
            f"The plan (of {plan.model}) is for another model",
            received="; ".join(parts),
            rule="A plan has exactly one entry for each parameter and buffer, tied ones under one name",
            remedy="Plan this model: fanin.torch.plan(model, batch)",
        )
    )


def _listed(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _fits(entry: Entry, tensor: torch.Tensor) -> None:
    for what, planned, actual in (
        ("shape", entry.shape, tuple(tensor.shape)),
        ("dtype", entry.dtype, dtype_name(tensor)),
    ):
        if planned != actual:
            raise InputError(
                explain(
                    f"'{entry.name}' has another {what} than in the plan",
                    received=f"{actual} in the model, {planned} in the plan",
                    rule="A plan is carried out on tensors of the shapes and dtypes it was made for",
                    remedy="Plan the model as it is now",
                )
            )
    if entry.draw is not None:
        as_axes(entry.axes, entry.shape)
        if entry.blocks:
            pieces(entry)
        if entry.zeroed is not None and not -entry.shape[0] <= entry.zeroed < entry.shape[0]:
            raise InputError(
                explain(
                    f"'{entry.name}' has no row that can be zeroed",
                    received=f"row {entry.zeroed} of shape {entry.shape}",
                )
            )


def _has_memory(found: Mapping[str, NamedTensor]) -> None:
    absent = [name for name, target in found.items() if memoryless(target.tensor)]
    if absent:
        raise InputError(
            explain(
                "The model has tensors without memory",
                received=f"on the meta device: {_listed(absent)}",
                rule="Values can only be written to tensors that have memory",
                remedy="Say where they are to be: fanin.torch.init_(model, batch, device='cpu'), or "
                "apply_(model, plan, device='cpu')",
            )
        )
