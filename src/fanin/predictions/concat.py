"""Tensors side by side: along units, or along places that differ."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fanin.laws.band import Chance
from fanin.predictions.context import Context, Reading
from fanin.predictions.pointwise import elements
from fanin.predictions.signal import Signal, joined
from fanin.records.graph import Node, UseKind

__all__ = ["Span", "concat", "spans"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Places that one operand takes along the joined dimension; `read` is None for a parameter."""

    first: int
    end: int
    read: Reading | None


def spans(context: Context, node: Node) -> tuple[Span, ...]:
    """Where the operands lie, if the joined dimension is one of places; () else."""
    sizes, reads = node.setting("sizes"), context.reads(node)
    unit = context.units.get(node.id, len(node.shape) - 1)
    dim = int((node.setting("dim") or (0.0,))[0]) % max(len(node.shape), 1)
    of_nodes = sum(size > 0.0 for size in sizes)
    if not sizes or of_nodes != len(reads) or dim == unit or sum(abs(s) for s in sizes) != node.shape[dim]:
        return ()
    if dim == 0 and node.shape[0] % max(context.batch, 1) == 0:
        return ()  # samples, or samples and places
    found, at, left = [], 0, iter(reads)
    for size in sizes:
        read = next(left) if size > 0.0 else None
        found.append(Span(first=at, end=at + int(abs(size)), read=read))
        at += int(abs(size))
    return tuple(found)


def concat(context: Context, node: Node, reads: list[Reading]) -> Signal:
    """Moments of the parts, by their numbers of elements; along places also the power of each."""
    placed = spans(context, node)
    whole = 0.0
    parts: list[tuple[float, Signal]] = []
    tables = iter(context.moments(node, UseKind.SHIFT))
    if placed and sum(span.read is None for span in placed) == len(context.moments(node, UseKind.SHIFT)):
        for span in placed:
            if span.read is not None:
                part = context.seen(span.read)
            else:
                given = next(tables)
                # The same numbers for every sample.
                part = Signal(
                    mean=given.mean,
                    power=given.power,
                    near=given.mean**2,
                    far=given.power,
                    pairs=given.mean**2,
                )
            parts.append((float(span.end - span.first), part))
        profile, common = _by_place(placed, [part for _, part in parts])
    else:
        parts = [(elements(context, read), context.seen(read)) for read in reads]
        profile, common = _side_by_side([part for _, part in parts])
    whole = sum(size for size, _ in parts) or 1.0
    shares = [(size / whole, part) for size, part in parts]
    power = sum(s * p.power for s, p in shares)
    certainty, reasons = joined((p.certainty, p.reasons) for _, p in parts)
    first = max(parts, key=lambda pair: pair[0])[1]
    return replace(
        first,
        mean=sum(s * p.mean for s, p in shares),
        power=power,
        near=sum(s * p.near for s, p in shares),
        far=sum(s * p.far for s, p in shares),
        pairs=sum(s * p.pairs for s, p in shares),
        scatter=sum(s * p.scatter for s, p in shares),
        profile=profile,
        common=common,
        gaussian=all(p.gaussian for _, p in parts),
        marginal=None,
        width=context.width(node),
        source=first.source if len(parts) == 1 else None,
        luck=Chance.blended((s * p.power / power if power > 0.0 else 0.0, p.luck) for s, p in shares),
        certainty=certainty,
        reasons=reasons,
    )


def _by_place(placed: tuple[Span, ...], parts: list[Signal]) -> tuple[Floats | None, Floats | None]:
    powers, shared = [], []
    for span, part in zip(placed, parts, strict=True):
        count = span.end - span.first
        inner = part.profile if part.profile is not None and part.profile.size == count else None
        own = np.full(count, part.power) if inner is None else part.power * inner.ravel()
        far = part.far / part.power if part.power > 0.0 else 0.0
        same = part.common if part.common is not None and part.common.size == count else None
        powers.append(own)
        shared.append(np.full(count, far) if same is None else same.ravel())
    power = np.concatenate(powers)
    middle = float(power.mean())
    return (power / middle, np.concatenate(shared)) if middle > 0.0 else (None, None)


def _side_by_side(parts: list[Signal]) -> tuple[Floats | None, Floats | None]:
    """Units of several parts at the same places."""
    sizes = {part.profile.size for part in parts if part.profile is not None}
    if len(sizes) != 1:
        return None, None
    total = sum(part.power * part.width for part in parts)
    if total <= 0.0:
        return None, None
    made = np.zeros(sizes.pop())
    for part in parts:
        made = made + part.power * part.width * (1.0 if part.profile is None else part.profile.ravel())
    shape = next(part.profile.shape for part in parts if part.profile is not None)
    return (made / total).reshape(shape), None
