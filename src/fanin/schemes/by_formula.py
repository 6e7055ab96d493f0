"""The shape of all schemes whose values a formula gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.laws.formulas import FORMULAS, formula
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Formula
from fanin.schemes.fit import check_memory

__all__ = ["FormulaScheme"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FormulaScheme:
    """A formula of `fanin.laws.formulas` with its numbers; the moments follow from the shape."""

    name: str
    law: str
    source: str
    numbers: tuple[float, ...] = ()
    given: tuple[int, ...] = ()
    references: tuple[str, ...] = ()

    @property
    def formula(self) -> str:
        """The standard deviation of a weight."""
        return "of the values, by shape"

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Formula:
        """Evaluate the formula's moments for this shape."""
        sizes = tuple(int(n) for n in shape)
        roles = as_axes(axes, sizes)
        if self.source in FORMULAS and FORMULAS[self.source].spread is None:
            # Moments are those of the values, in float64, with two more such arrays on the way.
            check_memory(sizes, 3 * 8)
        return formula(self.source, sizes, roles, numbers=self.numbers, given=self.given)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"
