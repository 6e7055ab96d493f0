"""What a scheme is, and the two shapes that all built-in ones have.

A scheme turns a shape and the roles of its dimensions into a draw. It holds no array and no
random state: the same scheme serves every tensor of a model.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from fanin.errors import InputError, explain, finite, nearest
from fanin.laws import moments
from fanin.laws.fans import fans
from fanin.records.axes import Axes
from fanin.records.draw import Constant, Draw, Normal

__all__ = ["DISTRIBUTIONS", "MODES", "Entry", "FanScaled", "Fixed", "Scheme", "checked_gain"]

MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
DISTRIBUTIONS = ("uniform", "normal", "truncated_normal")


@runtime_checkable
class Scheme(Protocol):
    """Anything that knows what to draw for a shape; user classes need nothing but this."""

    @property
    def name(self) -> str:
        """Name in the registry."""
        ...

    @property
    def law(self) -> str:
        """The law in one line."""
        ...

    @property
    def references(self) -> tuple[str, ...]:
        """Paper and equation of the law."""
        ...

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Draw:
        """Say what to draw for a tensor of this shape and these roles."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FanScaled:
    """Zero mean and a variance that is inverse to a fan: ``Var[w] = variance / fan``."""

    name: str
    variance: float
    mode: str
    distribution: str
    references: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (finite(self.variance) and self.variance > 0):
            raise InputError(
                explain(
                    f"{self.name} needs a variance that is positive and finite",
                    received=f"variance={self.variance}",
                    rule=f"Var[w] = variance / {self.mode}",
                    remedy="Use zeros() for weights that do not vary" if self.variance == 0 else "",
                )
            )
        if self.mode not in MODES:
            raise nearest(str(self.mode), MODES, kind="mode")
        if self.distribution not in DISTRIBUTIONS:
            raise nearest(str(self.distribution), DISTRIBUTIONS, kind="distribution")

    @property
    def law(self) -> str:
        """The law in one line."""
        return f"Var[w] = {self.variance:.6g} / {self.mode}, {self.distribution.replace('_', ' ')}"

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Draw:
        """Divide the variance by the fan of this shape."""
        fan: float = getattr(fans(shape, axes), self.mode)
        std = math.sqrt(self.variance / fan)
        if self.distribution == "uniform":
            return moments.uniform(std=std)
        if self.distribution == "normal":
            return Normal(std=std)
        return moments.truncated_normal(std=std)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Fixed:
    """The same draw for every shape."""

    name: str
    spec: Draw
    references: tuple[str, ...] = ()

    @property
    def law(self) -> str:
        """The law in one line."""
        return f"w = {self.spec}" if isinstance(self.spec, Constant) else f"w ~ {self.spec}"

    def draw(
        self,
        shape: Sequence[int],  # noqa: ARG002 - the protocol of all schemes
        axes: Axes | str | Iterable[str] | None = None,  # noqa: ARG002
    ) -> Draw:
        """Return the draw, whatever the shape."""
        return self.spec

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a scheme file tells the registry about one factory.

    Parameters
    ----------
    factory
        Function that returns a scheme; its name is the scheme's.
    aliases
        Other names of the same law.
    examples
        Arguments to show and to test it with; the first is shown first.
    """

    factory: Callable[..., Scheme]
    aliases: tuple[str, ...] = ()
    examples: tuple[Mapping[str, Any], ...] = ({},)

    @property
    def name(self) -> str:
        """Name of the factory."""
        return self.factory.__name__

    @property
    def summary(self) -> str:
        """First line of the factory's docstring."""
        return (inspect.getdoc(self.factory) or "").partition("\n")[0]

    @property
    def signature(self) -> inspect.Signature:
        """Parameters of the factory."""
        return inspect.signature(self.factory)


def checked_gain(name: str, gain: float) -> float:
    """A gain as a float, or an error that names the scheme."""
    if not (finite(gain) and gain > 0):
        raise InputError(
            explain(
                f"{name} needs a gain that is positive and finite",
                received=f"gain={gain}",
                remedy="Use zeros() for weights that do not vary" if gain == 0 else "",
            )
        )
    return float(gain)
