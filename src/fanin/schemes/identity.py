"""Layers that pass their input on: identity matrices and their convolutions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.errors import InputError, explain
from fanin.laws.sides import sides
from fanin.records.axes import Axes
from fanin.records.draw import Identity
from fanin.schemes.base import Entry, checked_gain

__all__ = ["SCHEMES", "IdentityScheme", "dirac", "identity"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class IdentityScheme:
    """A gain where an output meets the input of its number, zeros elsewhere."""

    name: str
    gain: float
    convolution: bool
    references: tuple[str, ...] = ()

    @property
    def law(self) -> str:
        """The law in one line."""
        where = " at the kernel's centre" if self.convolution else ""
        return f"W = {'' if self.gain == 1.0 else f'{self.gain:.6g} '}I{where}, 0 elsewhere"

    @property
    def formula(self) -> str:
        """The standard deviation of the entries of a weight."""
        return f"{self.gain:.6g} × sqrt(p (1 - p)), p = 1 / (max(out, in) × receptive)"

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Identity:
        """Find the moments of the entries from the share of those that are not zero."""
        found = sides(shape, axes)
        if found.taps > 1 and not self.convolution:
            raise InputError(
                explain(
                    "The identity is a matrix, and this is a kernel",
                    received=f"shape {tuple(shape)}: {found.taps} taps",
                    rule="The dimensions play the roles batch, group, out and in",
                    remedy="Use dirac() for convolutions",
                )
            )
        share = min(found.outputs, found.inputs) / (found.outputs * found.columns)
        return Identity(
            gain=self.gain, mean=self.gain * share, std=self.gain * math.sqrt(share * (1.0 - share))
        )

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"


def identity(gain: float = 1.0) -> IdentityScheme:
    """Identity matrix times a gain: each output is the input of its number.

    ``W[o, i] = gain`` if ``o = i``, else 0. A matrix that is not square leaves the inputs, or outputs, that
    have no partner at zero. Groups, and the copies of a *batch* or *group* dimension, are each one.

    Parameters
    ----------
    gain
        Value on the diagonal.

    Returns
    -------
    IdentityScheme
        A scheme; its `draw` raises InputError for kernels of convolutions.

    Raises
    ------
    InputError
        A gain that is not positive and finite.

    Examples
    --------
    >>> identity().draw((4, 4)).mean
    0.25

    References
    ----------
    Q. V. Le, N. Jaitly, G. E. Hinton, A simple way to initialize recurrent networks of rectified linear
    units, 2015, section 1.
    """
    return IdentityScheme(
        name="identity",
        gain=checked_gain("identity", gain),
        convolution=False,
        references=("Le, Jaitly and Hinton 2015, section 1",),
    )


def dirac(gain: float = 1.0) -> IdentityScheme:
    """Convolution that passes its input on, times a gain: an identity at the kernel's centre.

    ``W[o, i, t] = gain`` if ``o = i`` and t is the centre, tap ``k // 2`` of a dimension of size k; else 0.
    Each group passes its own channels on. With the padding ``k // 2`` the output is the input.

    Parameters
    ----------
    gain
        Factor on the input.

    Returns
    -------
    IdentityScheme
        A scheme.

    Raises
    ------
    InputError
        A gain that is not positive and finite.

    Examples
    --------
    >>> round(dirac().draw((4, 4, 3, 3)).mean * 9, 12)
    0.25

    References
    ----------
    S. Zagoruyko, N. Komodakis, DiracNets: training very deep neural networks without skip-connections,
    2017, section 3.
    """
    return IdentityScheme(
        name="dirac",
        gain=checked_gain("dirac", gain),
        convolution=True,
        references=("Zagoruyko and Komodakis 2017, section 3",),
    )


SCHEMES = (
    Entry(factory=identity, aliases=("eye", "irnn"), examples=({}, {"gain": 0.5})),
    Entry(factory=dirac, examples=({}, {"gain": 0.5})),
)
