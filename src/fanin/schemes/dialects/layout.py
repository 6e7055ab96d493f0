"""Where a system takes a weight's inputs and outputs to be, from the position of its dimensions alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fanin.errors import InputError, explain
from fanin.laws.fans import Fans
from fanin.records.axes import Axes, Role

__all__ = ["HWIO", "IO_OIHW", "OHWI", "OIHW", "Layout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A system's rule for fans, with what it leaves out (groups, strides, copies, transposition).

    Parameters
    ----------
    inputs, outputs, batch
        Positions of the dimensions. Batch dimensions are in no fan.
    matrix
        Positions (in, out) for two dimensions, where they differ from those of kernels.
    vectors
        Whether a shape of n counts as fan_in = fan_out = n (and a scalar as 1); else it is refused.
    clamped
        Whether a fan is at least 1.
    rest
        Role of all other dimensions; those of a kernel, unless a system or a parameter says otherwise.
    groups
        Groups packed into the out dimension, for laws that say so; in no fan.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    batch: tuple[int, ...] = ()
    matrix: tuple[int, int] | None = None
    vectors: bool = False
    clamped: bool = False
    rest: Role = Role.RECEPTIVE
    groups: int = 1

    def axes(self, shape: Sequence[int]) -> Axes | None:
        """Roles of the dimensions; None for shapes that have none here."""
        rank = len(shape)
        inputs, outputs = self._places(rank)
        if any(not -rank <= place < rank for place in (*inputs, *outputs, *self.batch)):
            return None
        words = [self.rest] * rank
        for places, role in ((inputs, Role.IN), (outputs, Role.OUT), (self.batch, Role.BATCH)):
            for place in places:
                words[place] = role
        return Axes(roles=tuple(words), groups=self.groups)

    def _places(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if rank == 2 and self.matrix is not None:
            return self.matrix[:1], self.matrix[1:]
        return self.inputs, self.outputs

    def fans(self, shape: Sequence[int], *, of: str) -> Fans:
        """Fans as the system counts them for a tensor of this shape.

        Raises
        ------
        InputError
            A shape that the system refuses too, or divides by zero for.
        """
        sizes = tuple(shape)
        roles = self.axes(sizes)
        if roles is None or (self.vectors and len(sizes) < 2):
            if not self.vectors:
                raise InputError(
                    explain(
                        f"{of} has no fans for this shape",
                        received=f"shape {sizes}",
                        rule="It counts them from the position of the dimensions, and needs two or more",
                        remedy="Give a vector a law without fans",
                    )
                )
            alone = float(sizes[0]) if sizes else 1.0
            fan_in = fan_out = alone
        else:
            taps = roles.size(sizes, Role.RECEPTIVE)
            fan_in = float(roles.size(sizes, Role.IN) * taps)
            fan_out = float(roles.size(sizes, Role.OUT) * taps)
            inputs, outputs = ({k % len(sizes) for k in places} for places in self._places(len(sizes)))
            if inputs & outputs and math.prod(sizes):
                # A dimension named twice (JAX lets embeddings say out_axis=0) is divided out twice.
                wide, narrow = (math.prod(sizes[k] for k in places) for places in (inputs, outputs))
                shared = math.prod(sizes) / wide / narrow / math.prod(sizes[k] for k in self.batch)
                fan_in, fan_out = wide * shared, narrow * shared
        if self.clamped:
            fan_in, fan_out = max(fan_in, 1.0), max(fan_out, 1.0)
        if fan_in == 0 or fan_out == 0 or math.prod(sizes) == 0:
            raise InputError(explain(f"{of} divides by a fan of zero", received=f"shape {sizes}"))
        return Fans(fan_in=fan_in, fan_out=fan_out)


OIHW = Layout(inputs=(1,), outputs=(0,))
"""Out, in, kernel: PyTorch, MXNet, Chainer."""
HWIO = Layout(inputs=(-2,), outputs=(-1,))
"""Kernel, in, out: Keras, TensorFlow, JAX, Haiku."""
OHWI = Layout(inputs=(-1,), outputs=(0,))
"""Out, kernel, in: MLX."""
IO_OIHW = Layout(inputs=(1,), outputs=(0,), matrix=(0, 1))
"""In, out for matrices, and out, in, kernel for kernels: Paddle, Lasagne, Deeplearning4j."""
