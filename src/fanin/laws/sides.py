"""The matrices that a weight consists of, and their sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.errors import InputError, explain
from fanin.laws.fans import fans
from fanin.records.axes import Axes, Role, as_axes

__all__ = ["Sides", "check_room", "sides"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """A weight as `count` linear maps from ``inputs x taps`` numbers to `outputs`.

    Parameters
    ----------
    count
        Maps: copies of batch and group dimensions, times the groups packed into one dimension.
    outputs, inputs
        Units and inputs of one map.
    taps
        Positions of a convolution's kernel.
    """

    count: int
    outputs: int
    inputs: int
    taps: int

    @property
    def columns(self) -> int:
        """What one unit sums over: inputs at every tap."""
        return self.inputs * self.taps


def sides(shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Sides:
    """Count the maps of a weight, and the rows and columns of each.

    Parameters
    ----------
    shape, axes
        As for `fanin.laws.fans.fans`.

    Raises
    ------
    InputError
        A shape without fans, or one without elements.

    Examples
    --------
    >>> sides((64, 32, 3, 3))
    Sides(count=1, outputs=64, inputs=32, taps=9)
    """
    sizes = tuple(int(n) for n in shape)
    fans(sizes, axes)  # refuses what is no matrix
    roles = as_axes(axes, sizes) or Axes(roles=())
    copies = roles.size(sizes, Role.BATCH) * roles.size(sizes, Role.GROUP)
    if copies == 0:
        raise InputError(explain("A weight without elements holds no matrix", received=f"shape {sizes}"))
    outputs, inputs = roles.size(sizes, Role.OUT), roles.size(sizes, Role.IN)
    if roles.transposed:
        inputs //= roles.groups
    else:
        outputs //= roles.groups
    taps = roles.size(sizes, Role.RECEPTIVE)
    return Sides(count=copies * roles.groups, outputs=outputs, inputs=inputs, taps=taps)


def check_room(what: str, found: Sides) -> None:
    """Refuse more inputs than outputs, for maps that keep the length of every input.

    Raises
    ------
    InputError
        Fewer outputs than inputs.
    """
    if found.outputs < found.inputs:
        raise InputError(
            explain(
                f"{what} keeps the length of its input, so it needs an output for each input",
                received=f"{found.outputs} outputs, {found.inputs} inputs (of each group)",
                rule="outputs >= inputs",
                remedy="Use orthogonal(), or a layer with more outputs",
            )
        )
