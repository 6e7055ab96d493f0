"""Places told apart: power by position, where positions differ, and what a part of a tensor holds of it.

A profile is an array over the places of a sample, whatever the layout: of a tensor (B, T, C), (B T, C) or
(B, C, T) it has the shape (T,), of a map (B, C, H, W) the shape (H, W) or (H W,). Forward it is the power
over its mean, backward the share of the gradient's power.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fanin.predictions.signal import Signal

__all__ = ["Cut", "cut", "even", "fitting", "like", "part", "put"]

Floats = NDArray[np.float64]

Cut = tuple[tuple[int, int, int], ...]
"""Of a part: for each dimension of places that it cuts, its size, the first place, and the end."""

_EVEN = 1e-6


def cut(shape: tuple[int, ...], unit: int, read: tuple[int, ...], batch: int) -> Cut | None:
    """Which places of a tensor are read; () for all of them, None where samples are picked or it is unclear.

    Parameters
    ----------
    shape, unit
        Of the tensor that is read, and the dimension of its units.
    read
        A node's id, and the first place and the size along each dimension; see `fanin.records.graph.Node`.
    batch
        Number of samples. A first dimension of several times as many holds places too, sample by sample.
    """
    rank = (len(read) - 1) // 2
    if not rank:
        return ()
    found = []
    for d, (first, size, whole) in enumerate(zip(read[1 : 1 + rank], read[1 + rank :], shape, strict=True)):
        if size == whole or d == unit:
            continue
        if d or whole % max(batch, 1):
            found.append((whole, first, first + size))
            continue
        places = whole // max(batch, 1)
        # Of B T rows, B that begin at t are place t of every sample.
        if places == 1 or size % max(batch, 1) or first + size // batch > places:
            return None
        found.append((places, first, first + size // batch))
    return tuple(found)


def part(signal: Signal, places: Cut | None) -> Signal:
    """What some places of a tensor hold.

    Parameters
    ----------
    signal
        Of the whole tensor.
    places
        See `cut`.
    """
    profile, common = signal.profile, signal.common
    if not places or (profile is None and common is None):
        return signal
    common = None if common is None else _chosen(common, places)
    at = np.ones(1) if profile is None else _chosen(profile, places)
    if at is None or at.size == 0 or (common is not None and common.size == 0):
        return replace(signal, profile=None, common=None)
    level = float(at.mean())
    far = signal.far * level if common is None else float((common * at).mean()) * signal.power
    square = signal.mean**2
    mean = signal.mean * (math.sqrt(level) if square > 0.0 else 0.0)
    return replace(
        signal,
        mean=mean,
        power=signal.power * level,
        near=signal.near * level,
        far=far,
        pairs=signal.pairs * level,
        profile=even(at / level) if level > 0.0 else None,
        common=even(common),
    )


def _chosen(profile: Floats, places: Cut) -> Floats | None:
    """The part of a profile; None where its dimensions are not those of the cut."""
    for size, first, end in places:
        if profile.ndim > 1 and size == profile.size:
            profile = profile.ravel()
        axes = [axis for axis, n in enumerate(profile.shape) if n == size]
        if len(axes) != 1:
            return None
        profile = profile.take(range(first, min(end, size)), axis=axes[0])
    return profile


def put(share: Floats | None, places: Cut | None) -> Floats | None:
    """The share of a gradient by place of a whole tensor of which a part was read; None where unclear."""
    if not places:
        return share
    if share is not None and share.shape != tuple(end - first for _, first, end in places):
        share = share.reshape(-1) if len(places) == 1 and share.size == places[0][2] - places[0][1] else None
    held = tuple(end - first for _, first, end in places)
    inner = np.full(held, 1.0 / max(math.prod(held), 1)) if share is None else share
    found = np.zeros(tuple(size for size, _, _ in places))
    found[tuple(slice(first, end) for _, first, end in places)] = inner
    return found


def even(profile: Floats | None) -> Floats | None:
    """A profile, or None where all places are alike."""
    if profile is None or profile.size < 2:
        return None
    middle = float(profile.mean())
    return profile if float(np.abs(profile - middle).max()) > _EVEN * abs(middle) else None


def like(a: Floats | None, b: Floats | None) -> tuple[Floats, Floats] | None:
    """Two profiles over the same places, in one shape; an even one for None. None where they differ."""
    if a is None and b is None:
        return None
    if a is None or b is None:
        known = a if a is not None else b
        one = np.ones_like(known)
        return (one, known) if a is None else (known, one)  # type: ignore[return-value]
    if a.shape == b.shape:
        return a, b
    return (a.ravel(), b.ravel()) if a.size == b.size else None


def fitting(profile: Floats | None, shape: tuple[int, ...], unit: int, batch: int) -> Floats | None:
    """A profile, if a tensor of this shape has such places; None else."""
    if profile is None or not shape:
        return None
    samples = max(batch, 1)
    # Dimensions that hold places; those of samples and places together without the samples.
    held = [
        n // samples if d == 0 and n % samples == 0 else n
        for d, n in enumerate(shape)
        if d != unit % len(shape)
    ]
    if profile.size in held or math.prod(held) == profile.size:
        return profile
    sizes = iter(held)
    return profile if all(n in sizes for n in profile.shape) else None
