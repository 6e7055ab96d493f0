"""Convolutions that keep lengths and use all of their kernel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.laws.sides import check_room, sides
from fanin.records.axes import Axes, Role, as_axes
from fanin.records.draw import OrthogonalConvolution
from fanin.schemes.base import Entry, checked_gain

__all__ = ["SCHEMES", "OrthogonalConvolutionScheme", "orthogonal_convolution"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OrthogonalConvolutionScheme:
    """Kernels whose convolution is an isometry times a gain."""

    gain: float
    references: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name in the registry."""
        return "orthogonal_convolution"

    @property
    def law(self) -> str:
        """The law in one line."""
        factor = "" if self.gain == 1.0 else f"{self.gain:.6g} "
        return f"|W * x| = {factor}|x| for every input x"

    @property
    def formula(self) -> str:
        """The standard deviation of a weight."""
        return f"{self.gain:.6g} / sqrt(out × receptive)"

    def draw(
        self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None
    ) -> OrthogonalConvolution:
        """Find the standard deviation of an entry."""
        found = sides(shape, axes)
        check_room("An orthogonal convolution", found)
        roles = as_axes(axes, tuple(shape)) or Axes(roles=())
        return OrthogonalConvolution(
            gain=self.gain,
            std=self.gain / math.sqrt(found.outputs * found.taps),
            sizes=tuple(int(n) for n, role in zip(shape, roles.roles, strict=True) if role == Role.RECEPTIVE),
        )

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"


def orthogonal_convolution(gain: float = 1.0) -> OrthogonalConvolutionScheme:
    """Random convolution that keeps the length of every input, over all taps of the kernel.

    ``sum over t of W[t]ᵀ W[t + s] = gain² I`` for s = 0, and 0 for every other shift s. The kernel is a Haar
    matrix with orthonormal columns (out x in), convolved along every dimension of size k with k - 1 pairs
    ``[P, I - P]`` of random projections. For one, two, three or more dimensions, of any sizes. An entry has
    mean 0 and standard deviation ``gain / sqrt(out * taps)``, taps in the middle of the kernel more.

    Parameters
    ----------
    gain
        All singular values of the convolution.

    Returns
    -------
    OrthogonalConvolutionScheme
        A scheme; its `draw` raises InputError where a group has more inputs than outputs.

    Raises
    ------
    InputError
        A gain that is not positive and finite.

    Examples
    --------
    >>> orthogonal_convolution().draw((100, 64, 5, 5)).std
    0.02

    References
    ----------
    L. Xiao, Y. Bahri, J. Sohl-Dickstein, S. S. Schoenholz, J. Pennington, Dynamical isometry and a mean
    field theory of CNNs, ICML 2018, algorithm 1.
    """
    return OrthogonalConvolutionScheme(
        gain=checked_gain("orthogonal_convolution", gain), references=("Xiao et al. 2018, algorithm 1",)
    )


SCHEMES = (Entry(factory=orthogonal_convolution, examples=({}, {"gain": 1.5})),)
