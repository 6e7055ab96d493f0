"""Carry out a plan on a model: everything or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import nn

from fanin.errors import InputError, explain
from fanin.records.axes import as_axes
from fanin.records.plan import Entry, Plan
from fanin.sampling.streams import STREAM_VERSION
from fanin.schemes.fit import check_rounding, coarseness
from fanin.torch.names import NamedTensor, named_tensors
from fanin.torch.store import check_writable, dtype_name, memoryless, staged

__all__ = ["write"]

_PART = 1 << 18
"""Elements that are exchanged at a time."""
_SHOWN = 4
"""Names that an error message lists before it says how many more there are."""


def write(model: nn.Module, plan: Plan) -> None:
    """Fill a model's tensors as a plan says.

    Everything is checked first, then drawn, then copied in; if anything fails on the way, an
    interrupt included, every tensor has the values it had before. Values are a function of the
    plan's seed and each tensor's name alone: writing twice is writing once, and wrappers, devices
    and memory layouts change no bit.

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
    jobs = _checked(model, plan)
    values = [_drawn(entry, target, plan.seed) for entry, target in jobs]
    _commit([target.tensor for _, target in jobs], values)


def _checked(model: nn.Module, plan: Plan) -> list[tuple[Entry, NamedTensor]]:
    """Pairs of an entry that draws and the tensor it is for."""
    if not isinstance(model, nn.Module):
        raise InputError(
            explain(
                "There is no model to write to",
                received=type(model).__name__,
                rule="A model is a torch.nn.Module",
            )
        )
    if not isinstance(plan, Plan):
        raise InputError(
            explain(
                "There is no plan to carry out",
                received=type(plan).__name__,
                remedy="Make one with fanin.torch.plan(model, batch), or load one with Plan.load(path)",
            )
        )
    if plan.stream != STREAM_VERSION:
        raise InputError(
            explain(
                "The plan was made for another version of the random streams",
                received=f"stream {plan.stream}",
                rule=f"This fanin draws stream {STREAM_VERSION}",
                remedy="Plan again, or use the fanin that made the plan",
            )
        )
    found = {entry.name: entry for entry in named_tensors(model)}
    _same_names(plan, found)
    jobs = [(entry, found[entry.name]) for entry in plan.entries]
    for entry, target in jobs:
        _fits(entry, target.tensor)
    drawing = [(entry, target) for entry, target in jobs if entry.draw is not None]
    _has_memory(found)
    for entry, target in drawing:
        check_writable(target.tensor, entry.name)
    _rounding(entry for entry, _ in drawing)
    return drawing


def _rounding(entries: Iterable[Entry]) -> None:
    """One warning for a model whose dtype is too coarse for its draws; refuse where nothing is left."""
    filled = ((e, e.draw) for e in entries if e.draw is not None and 0 not in e.shape)
    coarse = [(e, draw) for e, draw in filled if coarseness(draw, e.dtype, name=e.name)]
    if coarse:
        first, draw = coarse[0]
        check_rounding(draw, first.dtype, name=first.name, more=len(coarse) - 1)


def _same_names(plan: Plan, found: Mapping[str, NamedTensor]) -> None:
    planned = [entry.name for entry in plan.entries]
    twice = {name for name in planned if planned.count(name) > 1} if len(set(planned)) < len(planned) else ()
    absent = [name for name in planned if name not in found]
    unplanned = [name for name in found if name not in set(planned)]
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
                remedy="model.to_empty(device='cpu') first; buffers that their owner computes (tables of "
                "positions, masks) must then be computed again by the owner",
            )
        )


def _drawn(entry: Entry, target: NamedTensor, seed: int) -> torch.Tensor:
    if entry.draw is None:
        raise LookupError(entry.name)
    values = staged(entry.draw, entry.shape, target.tensor.dtype, seed=seed, name=entry.name, axes=entry.axes)
    if entry.zeroed is not None:
        values[entry.zeroed] = 0
    return values


def _commit(targets: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    """Exchange targets with values, part by part; on any exception exchange back.

    The values' own memory keeps what the targets held, so that undoing needs no memory besides.
    """
    done: list[tuple[torch.Tensor, torch.Tensor]] = []
    with torch.no_grad():
        try:
            for target, new in zip(targets, values, strict=True):
                for place, source in _parts(target.detach(), new):
                    old = place.clone()
                    # Noted before it happens: whatever an interrupt leaves half done is undone too.
                    done.append((place, old))
                    place.copy_(source)
                    source.copy_(old)
                    done[-1] = (place, source)
        except BaseException:
            for place, old in done:
                place.copy_(old)
            raise


def _parts(target: torch.Tensor, values: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Views of the same parts of both, small enough for a cache where memory is in one piece."""
    if not target.is_contiguous():
        yield target, values
        return
    yield from zip(target.view(-1).split(_PART), values.view(-1).split(_PART), strict=True)
