"""Convolutions that start as a matrix at the centre of the kernel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.laws.sides import check_room, sides
from fanin.records.axes import Axes
from fanin.records.draw import DeltaOrthogonal
from fanin.schemes.base import Entry, checked_gain

__all__ = ["SCHEMES", "DeltaOrthogonalScheme", "delta_orthogonal"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DeltaOrthogonalScheme:
    """Orthonormal columns times a gain at the centre of a kernel, zeros elsewhere."""

    gain: float
    references: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name in the registry."""
        return "delta_orthogonal"

    @property
    def law(self) -> str:
        """The law in one line."""
        factor = "" if self.gain == 1.0 else f"{self.gain**2:.6g} "
        return f"Wᵀ W = {factor}I at the kernel's centre, Haar; 0 elsewhere"

    @property
    def formula(self) -> str:
        """The standard deviation of a weight."""
        return f"{self.gain:.6g} / sqrt(out × receptive)"

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> DeltaOrthogonal:
        """Find the standard deviation of an entry, zeros counted."""
        found = sides(shape, axes)
        check_room("A delta-orthogonal kernel", found)
        std = self.gain / math.sqrt(found.outputs * found.taps)
        return DeltaOrthogonal(gain=self.gain, std=std, taps=found.taps)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"


def delta_orthogonal(gain: float = 1.0) -> DeltaOrthogonalScheme:
    """Convolution that keeps lengths: a random orthogonal matrix at the kernel's centre, zeros elsewhere.

    ``W[:, :, centre] = gain Q`` with ``Qᵀ Q = I``, Q Haar (out x in). The centre of a size k is tap
    ``k // 2``, as in PyTorch's ``dirac_`` (JAX and TensorFlow take the tap before it where k is even).
    Ten thousand layers of it were trained without normalisation or shortcuts.

    Parameters
    ----------
    gain
        All singular values of the convolution.

    Returns
    -------
    DeltaOrthogonalScheme
        A scheme; its `draw` raises InputError where a group has more inputs than outputs.

    Raises
    ------
    InputError
        A gain that is not positive and finite.

    Examples
    --------
    >>> delta_orthogonal().draw((100, 64, 3, 3)).taps
    9

    References
    ----------
    L. Xiao, Y. Bahri, J. Sohl-Dickstein, S. S. Schoenholz, J. Pennington, Dynamical isometry and a mean
    field theory of CNNs, ICML 2018, algorithm 2.
    """
    return DeltaOrthogonalScheme(
        gain=checked_gain("delta_orthogonal", gain), references=("Xiao et al. 2018, algorithm 2",)
    )


SCHEMES = (Entry(factory=delta_orthogonal, examples=({}, {"gain": 1.5})),)
