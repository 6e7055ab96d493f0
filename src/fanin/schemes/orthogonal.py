"""Random orthogonal matrices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.errors import InputError, explain
from fanin.laws.fans import fans
from fanin.records.axes import Axes, Role, as_axes
from fanin.records.draw import Orthogonal
from fanin.schemes.base import Entry

__all__ = ["SCHEMES", "OrthogonalScheme", "orthogonal"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OrthogonalScheme:
    """Semi-orthogonal matrices times a gain."""

    gain: float
    references: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name in the registry."""
        return "orthogonal"

    @property
    def law(self) -> str:
        """The law in one line."""
        factor = "" if self.gain == 1.0 else f"{self.gain**2:.6g} "
        return f"W Wᵀ = {factor}I or Wᵀ W = {factor}I (whichever side is shorter), Haar"

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Orthogonal:
        """Find the standard deviation of an entry from the longer side of the matrix."""
        sizes = tuple(int(n) for n in shape)
        fans(sizes, axes)  # refuses what has no matrix
        roles = as_axes(axes, sizes) or Axes(roles=())
        rows = roles.size(sizes, Role.OUT)
        columns = roles.size(sizes, Role.IN) * roles.size(sizes, Role.RECEPTIVE)
        # Every group is a matrix of its own.
        if roles.transposed:
            columns //= roles.groups
        else:
            rows //= roles.groups
        return Orthogonal(gain=self.gain, std=self.gain / math.sqrt(max(rows, columns)))

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"


def orthogonal(gain: float = 1.0) -> OrthogonalScheme:
    """Random orthogonal matrix, uniform over all of them (Haar), times a gain.

    Dimensions in the role *out* are the rows, *in* and *receptive* the columns: ``W Wᵀ = gain² I`` where
    there are no more rows than columns, else ``Wᵀ W = gain² I``. Every singular value is `gain`.
    Groups, and the copies of a *batch* or *group* dimension, are matrices of their own.

    Parameters
    ----------
    gain
        All singular values.

    Returns
    -------
    OrthogonalScheme
        A scheme.

    Raises
    ------
    InputError
        A gain that is not positive and finite.

    Examples
    --------
    >>> orthogonal().draw((64, 100)).std
    0.1

    References
    ----------
    A. M. Saxe, J. L. McClelland, S. Ganguli, Exact solutions to the nonlinear dynamics of learning
    in deep linear neural networks, 2014, section 3.
    F. Mezzadri, How to generate random matrices from the classical compact groups, 2007,
    section 5 (the signs that make it Haar).
    """
    if not (math.isfinite(gain) and gain > 0):
        raise InputError(
            explain(
                "orthogonal needs a gain that is positive and finite",
                received=f"gain={gain}",
                remedy="Use zeros() for weights that do not vary" if gain == 0 else "",
            )
        )
    return OrthogonalScheme(
        gain=float(gain), references=("Saxe et al. 2014, section 3", "Mezzadri 2007, section 5")
    )


SCHEMES = (Entry(factory=orthogonal, examples=({}, {"gain": 1.5})),)
