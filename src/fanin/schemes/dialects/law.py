"""A peer's function as data: the fan it divides by, the distribution, and how it is cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fanin.errors import InputError, explain, finite, nearest
from fanin.laws import moments
from fanin.records.axes import Axes, as_axes
from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.schemes.base import DISTRIBUTIONS, MODES, Scheme
from fanin.schemes.dialects.layout import Layout

__all__ = ["Function", "Made", "PeerScheme", "Rule", "Same", "Scaled", "between", "cut", "gaussian"]

CUT = "parent_cut"
"""Distribution of a normal cut at ±2 of its standard deviation, which nobody makes good for the cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Same:
    """The same draw for every shape."""

    draw: Draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """``variance / fan``: of the samples, or for "parent_cut" of the normal that is then cut at ±2.

    `mode` is one of fanin's, or "size" for the number of elements.
    """

    variance: float
    mode: str
    distribution: str

    def __post_init__(self) -> None:
        if not (finite(self.variance) and self.variance > 0):
            raise InputError(
                explain(
                    "The variance of a law is positive and finite",
                    received=f"{self.variance} / {self.mode}",
                    remedy="Use zeros() for weights that do not vary" if self.variance == 0 else "",
                )
            )
        if self.mode not in (*MODES, "size"):
            raise nearest(str(self.mode), MODES, kind="mode")
        if self.distribution not in (*DISTRIBUTIONS, CUT):
            raise nearest(str(self.distribution), DISTRIBUTIONS, kind="distribution")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One of our schemes, for the roles that the dimensions have there."""

    scheme: Scheme


Rule: TypeAlias = Same | Scaled | Made


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PeerScheme:
    """A function of another system, called with its parameters; a scheme like ours.

    Parameters
    ----------
    name
        ``"keras:he_normal"``.
    rule, layout
        The law, and how the system counts fans from the shape alone.
    note
        Where it differs from what its name promises.
    """

    name: str
    rule: Rule
    layout: Layout
    note: str = ""
    references: tuple[str, ...] = ()

    @property
    def law(self) -> str:
        """The law in one line."""
        match self.rule:
            case Same():
                return f"w ~ {self.rule.draw}"
            case Made():
                return self.rule.scheme.law
            case Scaled():
                words = self.rule.distribution.replace("_", " ")
                parent = " of the parent" if self.rule.distribution == CUT else ""
                words = "normal cut at ±2σ" if self.rule.distribution == CUT else words
                return f"Var[w]{parent} = {self.rule.variance:.6g} / {self.rule.mode}, {words}"

    def axes(self, shape: Sequence[int]) -> Axes | None:
        """Roles that the system takes the dimensions to have; its layout."""
        return self.layout.axes(tuple(shape))

    def draw(self, shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Draw:
        """Say what the peer draws for a tensor of this shape.

        Parameters
        ----------
        shape
            As the system stores the tensor.
        axes
            Roles for matrices (orthogonal, identity). Fans come from the shape: the peer sees no more.

        Raises
        ------
        InputError
            A shape that the peer refuses too.
        """
        sizes = tuple(int(n) for n in shape)
        match self.rule:
            case Same():
                return self.rule.draw
            case Made():
                return self.rule.scheme.draw(sizes, as_axes(axes, sizes) if axes else self.axes(sizes))
            case Scaled():
                return self._scaled(self.rule, sizes)

    def _scaled(self, rule: Scaled, sizes: tuple[int, ...]) -> Draw:
        if rule.mode == "size":
            fan = float(math.prod(sizes))
        else:
            fan = getattr(self.layout.fans(sizes, of=self.name), rule.mode)
        std = math.sqrt(rule.variance / fan)
        match rule.distribution:
            case "uniform":
                return moments.uniform(std=std)
            case "normal":
                return Normal(std=std)
            case "truncated_normal":
                return moments.truncated_normal(std=std)
            case _:
                return cut(0.0, std)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.law}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A name in a dialect: its parameters (those of `make`) and what they give.

    `make` returns the rule, or the rule and the layout where a parameter changes it.
    """

    make: Callable[..., Rule | tuple[Rule, Layout]]
    note: str = ""
    examples: tuple[dict[str, Any], ...] = field(default=({},))


def gaussian(mean: float, std: float) -> Same:
    """Plain normal."""
    _positive(std)
    if not finite(mean):
        raise InputError(explain("The mean is no number that is finite", received=f"mean={mean!r}"))
    return Same(draw=Normal(mean=float(mean), std=float(std)))


def between(low: float, high: float) -> Same:
    """Uniform between two bounds."""
    if not (finite(low) and finite(high) and low < high):
        raise InputError(
            explain(
                "The bounds of a uniform hold no interval",
                received=f"low={low}, high={high}",
                rule="low < high, both finite",
            )
        )
    return Same(draw=Uniform(low=float(low), high=float(high)))


def cut(mean: float, std: float, lower: float = -2.0, upper: float = 2.0) -> TruncatedNormal:
    """Normal with the parent's mean and std given, cut at bounds in units of the parent's std."""
    _positive(std)
    return moments.truncated_from_parent(mean, std, mean + lower * std, mean + upper * std)


def _positive(std: float) -> None:
    if not (finite(std) and std > 0):
        raise InputError(
            explain(
                "The standard deviation is not positive and finite", received=f"std={std}", rule="std > 0"
            )
        )
