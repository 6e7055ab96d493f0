"""Random orthogonal matrices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.errors import InputError, explain
from fanin.laws.sides import sides
from fanin.records.axes import Axes
from fanin.records.draw import Orthogonal
from fanin.schemes.base import Entry, checked_gain

__all__ = ["SCHEMES", "OrthogonalScheme", "orthogonal"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OrthogonalScheme:
    """Semi-orthogonal matrices times a gain."""

    gain: float
    blocks: int = 1
    references: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name in the registry."""
        return "orthogonal"

    @property
    def law(self) -> str:
        """The law in one line."""
        factor = "" if self.gain == 1.0 else f"{self.gain**2:.6g} "
        blocks = "" if self.blocks == 1 else f", each of {self.blocks} blocks"
        return f"W Wᵀ = {factor}I or Wᵀ W = {factor}I (whichever side is shorter), Haar{blocks}"

    @property
    def formula(self) -> str:
        """The standard deviation of a weight."""
        return f"{self.gain:.6g} / sqrt(max(out, in × receptive))"

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Orthogonal:
        """Find the standard deviation of an entry from the longer side of a matrix."""
        found = sides(shape, axes)
        if found.outputs % self.blocks:
            raise InputError(
                explain(
                    "The blocks do not divide the outputs",
                    received=f"blocks={self.blocks}, {found.outputs} outputs",
                    rule="The out dimension (of each group) holds the same number of rows for each block",
                )
            )
        long = max(found.outputs // self.blocks, found.columns)
        return Orthogonal(gain=self.gain, std=self.gain / math.sqrt(long), blocks=self.blocks)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"


def orthogonal(gain: float = 1.0, blocks: int = 1) -> OrthogonalScheme:
    """Random orthogonal matrix, uniform over all of them (Haar), times a gain.

    Dimensions in the role *out* are the rows, *in* and *receptive* the columns: ``W Wᵀ = gain² I`` where
    there are no more rows than columns, else ``Wᵀ W = gain² I``. Every singular value is `gain`.
    Groups, and the copies of a *batch* or *group* dimension, are matrices of their own.

    Parameters
    ----------
    gain
        All singular values.
    blocks
        Equal parts of the out dimension (gates of a recurrence, heads) that are matrices of their own. One
        matrix over four gates of an LSTM would give each gate a quarter of an orthogonal matrix.

    Returns
    -------
    OrthogonalScheme
        A scheme; its `draw` raises InputError where the blocks do not divide the outputs.

    Raises
    ------
    InputError
        A gain that is not positive and finite, or a number of blocks below 1.

    Examples
    --------
    >>> orthogonal().draw((64, 100)).std
    0.1
    >>> orthogonal(blocks=4).draw((400, 100)).std
    0.1

    References
    ----------
    A. M. Saxe, J. L. McClelland, S. Ganguli, Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks, 2014, section 3.
    F. Mezzadri, How to generate random matrices from the classical compact groups, 2007,
    section 5 (the signs that make it Haar).
    """
    if isinstance(blocks, bool) or not isinstance(blocks, int) or blocks < 1:
        raise InputError(
            explain(
                "orthogonal needs at least one block",
                received=f"blocks={blocks!r}",
                rule="blocks is a whole number of at least 1",
            )
        )
    return OrthogonalScheme(
        gain=checked_gain("orthogonal", gain),
        blocks=blocks,
        references=("Saxe et al. 2014, section 3", "Mezzadri 2007, section 5"),
    )


SCHEMES = (Entry(factory=orthogonal, examples=({}, {"gain": 1.5}, {"blocks": 4})),)
