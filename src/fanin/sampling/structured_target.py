"""Where a structured draw gets its numbers from, and how its maps lie in a stored tensor."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.errors import InputError, explain
from fanin.laws.sides import Sides
from fanin.records.axes import Axes, Role
from fanin.records.draw import DeltaOrthogonal, Draw, Identity, Normal, Orthogonal, OrthogonalConvolution
from fanin.sampling.cast import COMPLEX, encode, storage_of
from fanin.sampling.components import fill_elements
from fanin.sampling.layout import flat_view
from fanin.sampling.recipe import check_reach
from fanin.sampling.streams import stream_key

__all__ = ["Source", "Target", "check_gain"]

_LABELS = {
    Orthogonal: "an orthogonal draw",
    DeltaOrthogonal: "a delta-orthogonal draw",
    OrthogonalConvolution: "an orthogonal convolution",
    Identity: "an identity draw",
}

_ROWS = 256
"""Rows rounded at a time, so that the float32 values between are in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The streams of one parameter."""

    seed: int
    name: str | tuple[str, ...]
    threads: int | None

    def normals(self, begin: int, end: int, role: str = "weight") -> NDArray[np.float32]:
        """Elements [begin, end) of the standard normal stream of a role."""
        values = np.empty(end - begin, np.float32)
        self.fill(values, Normal(std=1.0), begin, "float32", role)
        return values

    def fill(self, flat: NDArray[Any], draw: Draw, begin: int, dtype: str, role: str = "weight") -> None:
        """Write numbers of an elementwise draw, counted from `begin`, into a contiguous vector."""
        key = stream_key(self.seed, self.name, role)
        each = 2 if dtype in COMPLEX else 1
        fill_elements(flat, draw, key, (begin * each, (each,)), dtype, self.threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A stored tensor as maps (outputs x inputs x taps), counted in logical order.

    A *slice* holds the maps of one index of the batch and group dimensions: the `groups` maps
    packed into its out dimension, or into the in dimension where `transposed`.
    """

    logical: NDArray[Any]
    leading: int
    groups: int
    transposed: bool
    sides: Sides
    kernel: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, out: NDArray[Any], axes: Axes | None, sides: Sides, dtype: str) -> Target:
        """Read the roles of a stored tensor; None means ``out in receptive ...``."""
        roles = axes or Axes(roles=())
        return cls(
            logical=out.transpose(roles.logical_order),
            leading=sum(role in (Role.BATCH, Role.GROUP) for role in roles.roles),
            groups=roles.groups,
            transposed=roles.transposed,
            sides=sides,
            kernel=tuple(n for n, role in zip(out.shape, roles.roles, strict=True) if role == Role.RECEPTIVE),
            dtype=dtype,
        )

    def slices(self) -> list[NDArray[Any]]:
        """Views of the slices, in order."""
        shape = self.logical.shape[: self.leading]
        places: list[Any] = [(*index, ...) for index in itertools.product(*map(range, shape))]
        return [self.logical[place] for place in places]

    def plain(self, part: NDArray[Any], blocks: int) -> NDArray[Any] | None:
        """A slice's maps as one (maps, rows, columns) view, where memory has them so."""
        if (self.transposed and self.groups > 1) or flat_view(part) is None:
            return None
        return part.reshape(self.groups * blocks, -1, self.sides.columns)

    def put(self, part: NDArray[Any], maps: NDArray[Any], gain: float) -> None:
        """Write the maps of a slice, (maps, rows, columns) in the precise type, times a gain.

        One rounding for the gain, in the type of the map, and one to what is stored.
        """
        if self.transposed:
            sides = self.sides
            maps = maps.reshape(self.groups, sides.outputs, -1).transpose(1, 0, 2)
            maps = maps.reshape(sides.outputs, -1)
        elif maps.shape[0] > 1:
            maps = maps.reshape(-1, maps.shape[-1])
        else:
            maps = maps[0]
        # Rows of the map that one index of the slice's first dimension holds.
        first_size = part.shape[0] if part.ndim and maps.shape[0] % part.shape[0] == 0 else 1
        each = maps.shape[0] // first_size
        step = max(1, _ROWS // each)
        for first in range(0, first_size, step):
            rows = maps[first * each : (first + step) * each]
            values = self.rounded(rows if gain == 1.0 else rows * rows.dtype.type(gain))
            view = part if first_size == 1 else part[first : first + step]
            view[...] = values.reshape(view.shape)

    def rounded(self, values: NDArray[Any]) -> NDArray[Any]:
        """Round to what is stored; the small formats go through float32."""
        if self.dtype == "float64" or self.dtype in COMPLEX:
            return values.astype(self.dtype, copy=False)
        return encode(values.astype(np.float32, copy=False), self.dtype)

    @property
    def precise(self) -> np.dtype[Any]:
        """The type of the arithmetic."""
        if self.dtype in COMPLEX:
            return np.dtype(self.dtype)
        return np.dtype(np.float64 if self.dtype == "float64" else np.float32)

    @property
    def direct(self) -> bool:
        """Whether the arithmetic's type is the stored one."""
        return storage_of(self.dtype) == self.precise.name

    def centre(self, part: NDArray[Any]) -> NDArray[Any]:
        """A slice at the middle tap alone (of even sizes the one after the middle)."""
        where: Any = (..., *(size // 2 for size in self.kernel))
        middle: NDArray[Any] = part[where]
        return middle

    @property
    def maps(self) -> int:
        """Maps in one slice."""
        return self.sides.count // math.prod(self.logical.shape[: self.leading])


def check_gain(draw: Orthogonal | DeltaOrthogonal | OrthogonalConvolution | Identity, dtype: str) -> None:
    """Refuse a gain that is not positive, or that a format cannot hold."""
    if not (math.isfinite(draw.gain) and draw.gain > 0.0):
        raise InputError(
            explain(
                f"The gain of {_LABELS[type(draw)]} must be positive",
                received=f"gain={draw.gain!r}",
                rule="0 < gain < infinity",
            )
        )
    check_reach(draw, draw.gain, dtype)
