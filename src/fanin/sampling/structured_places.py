"""Identity: each output takes the input of its number."""

from __future__ import annotations

import numpy as np

from fanin.records.draw import Identity
from fanin.sampling.structured_target import Target, check_gain

__all__ = ["identity"]


def identity(target: Target, draw: Identity) -> None:
    """Fill every map with the gain on the diagonal (of a kernel: of its middle tap) and zeros elsewhere."""
    check_gain(draw, target.dtype)
    sides = target.sides
    one = np.eye(sides.outputs, sides.inputs, dtype=target.precise)
    for part in target.slices():
        part[...] = 0
        target.put(target.centre(part), np.broadcast_to(one, (target.maps, *one.shape)), draw.gain)
