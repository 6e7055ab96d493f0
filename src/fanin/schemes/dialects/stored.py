"""A peer's law for a tensor that is stored in another order than the peer would store it in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, Role, as_axes
from fanin.records.draw import Draw
from fanin.schemes.dialects.law import Made, PeerScheme

__all__ = ["Elsewhere", "elsewhere"]

_HERE = ("torch", "timm")
"""Systems that store a tensor of PyTorch as PyTorch does: they read its fans from where they lie."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Elsewhere:
    """A peer's scheme that is told a tensor's roles, and reads the shape as the peer would store it."""

    scheme: PeerScheme

    @property
    def name(self) -> str:
        """The peer's name of the law."""
        return self.scheme.name

    @property
    def law(self) -> str:
        """The law in one line."""
        return self.scheme.law

    @property
    def references(self) -> tuple[str, ...]:
        """Which release of the peer was read."""
        return self.scheme.references

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Draw:
        """What the peer draws for the same layer.

        Raises
        ------
        InputError
            A tensor with roles for which the peer's layout has no place.
        """
        sizes = tuple(int(n) for n in shape)
        if axes is None or isinstance(self.scheme.rule, Made) or self.name.partition(":")[0] in _HERE:
            return self.scheme.draw(sizes, axes)
        mine = as_axes(axes, sizes)
        theirs = self.scheme.axes(sizes)
        roles = mine.roles if mine is not None else ()
        if theirs is None or Counter(roles) != Counter(theirs.roles):
            raise InputError(
                explain(
                    f"{self.name} has no fans for this tensor",
                    received=f"shape {sizes}, axes '{mine}'",
                    rule="It counts them from the position of the dimensions, which have other roles there",
                )
            )
        waiting = {role: [n for n, r in zip(sizes, roles, strict=True) if r == role] for role in Role}
        return self.scheme.draw([waiting[role].pop(0) for role in theirs.roles])

    def __repr__(self) -> str:
        return repr(self.scheme)


def elsewhere(scheme: PeerScheme) -> Elsewhere:
    """The peer's scheme for tensors of a framework that stores them in another order.

    Keras reads the fan_in of a matrix from its first dimension, where PyTorch has fan_out: told the roles,
    the shape is turned before the peer reads it.

    Parameters
    ----------
    scheme
        A dialect's scheme.

    Examples
    --------
    >>> from fanin.schemes.dialects.dialect import dialect
    >>> he = dialect("keras").he_uniform()
    >>> print(he.draw((256, 784)), elsewhere(he).draw((256, 784), "out in"))
    U(±0.1531) U(±0.08748)
    """
    return Elsewhere(scheme=scheme)
