"""Few connections for each unit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.errors import InputError, explain, finite
from fanin.laws.sides import sides
from fanin.records.axes import Axes
from fanin.records.draw import Sparse
from fanin.schemes.base import Entry

__all__ = ["SCHEMES", "SparseScheme", "sparse"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SparseScheme:
    """Normal at a few random inputs of each unit, zeros elsewhere."""

    std: float
    connections: int | None
    sparsity: float | None
    references: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name in the registry."""
        return "sparse"

    @property
    def law(self) -> str:
        """The law in one line."""
        if self.sparsity is not None:
            return f"w ~ N(0, {self.std:.4g}²), 0 at {self.sparsity:.6g} of each unit's inputs"
        return f"w ~ N(0, {self.std:.4g}²) at {self.connections} inputs of each unit, 0 elsewhere"

    @property
    def formula(self) -> str:
        """The standard deviation of a weight."""
        if self.sparsity is not None:
            return f"{self.std * math.sqrt(1.0 - self.sparsity):.6g}"
        return f"{self.std * math.sqrt(self.connections or 0):.6g} / sqrt(in × receptive)"

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Sparse:
        """Count a unit's connections, and find the standard deviation of an entry, zeros counted."""
        fan = sides(shape, axes).columns
        kept = self.connections if self.sparsity is None else fan - math.ceil(self.sparsity * fan)
        if kept is None or not 0 < kept <= fan:
            raise InputError(
                explain(
                    "A unit cannot have so many connections",
                    received=f"{kept} of {fan} inputs ({self.law})",
                    rule="A unit has at least one connection, and no more than inputs (at every tap)",
                    remedy="Use normal(std) to join all, zeros() to join none",
                )
            )
        return Sparse(parent_std=self.std, kept=kept, std=self.std * math.sqrt(kept / fan))

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"


def sparse(
    connections: int | None = None, *, sparsity: float | None = None, std: float = 1.0
) -> SparseScheme:
    """Each unit is joined to the same number of its inputs, chosen at random.

    ``w ~ N(0, std²)`` at exactly `connections` places of each unit (in and receptive), 0 at all others. The
    input power that a unit meets then does not grow with the number of its inputs. Places and values
    follow from the seed; the values are those that ``normal(std)`` has there.

    Parameters
    ----------
    connections
        Inputs of each unit that are not zero; 15 in the paper.
    sparsity
        Instead of `connections`: share of each unit's inputs that is zero, ``ceil(sparsity * inputs)`` of
        them. (PyTorch counts along each input, so over units; Lasagne gives the share that is not zero.)
    std
        Of the values that are not zero.

    Returns
    -------
    SparseScheme
        A scheme; its `draw` raises InputError where a unit has fewer inputs than that, or would keep none.

    Raises
    ------
    InputError
        Both or neither of `connections` and `sparsity`, one out of range, or a std that is not positive.

    Examples
    --------
    >>> sparse(15).draw((100, 60)).std
    0.5
    >>> sparse(sparsity=0.75, std=0.01).draw((10, 40)).kept
    10

    References
    ----------
    J. Martens, Deep learning via Hessian-free optimization, ICML 2010, section 5.
    """
    if (connections is None) == (sparsity is None):
        raise InputError(
            explain(
                "sparse takes a number of connections, or a share of zeros",
                received=f"connections={connections}, sparsity={sparsity}",
                remedy="Say sparse(15) or sparse(sparsity=0.9)",
            )
        )
    whole = connections is None or (finite(connections) and connections == int(connections))
    if connections is not None and (not whole or connections < 1):
        raise InputError(
            explain(
                "A unit needs a connection",
                received=f"connections={connections!r}",
                rule="A whole number of at least 1",
            )
        )
    if sparsity is not None and not (finite(sparsity) and 0.0 <= sparsity < 1.0):
        raise InputError(
            explain("The sparsity is no share", received=f"sparsity={sparsity}", rule="0 <= sparsity < 1")
        )
    if not (finite(std) and std > 0):
        raise InputError(
            explain("sparse needs a standard deviation that is positive and finite", received=f"std={std}")
        )
    return SparseScheme(
        std=float(std),
        connections=connections,
        sparsity=None if sparsity is None else float(sparsity),
        references=("Martens 2010, section 5",),
    )


SCHEMES = (
    Entry(
        factory=sparse,
        examples=({"connections": 15}, {"sparsity": 0.9, "std": 0.01}),
    ),
)
