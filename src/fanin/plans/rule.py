"""The noun of this room: a rule, what it is asked and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fanin.errors import InputError
from fanin.laws.fans import Fans, fans
from fanin.plans.facts import Facts
from fanin.records.axes import Axes
from fanin.records.draw import Draw
from fanin.records.graph import Node, Parameter, Use
from fanin.records.plan import Status

__all__ = ["Case", "Claim", "Policy", "Rule", "count_fans"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a rule is asked about: a parameter, and one of its uses (None: all of them at once)."""

    facts: Facts
    parameter: Parameter
    use: Use | None = None

    @property
    def role(self) -> Use:
        """The use, for rules that are only asked about uses."""
        if self.use is None:
            raise LookupError("This case is about a whole tensor")
        return self.use

    @property
    def axes(self) -> Axes | None:
        """Roles of the parameter's dimensions in this use."""
        return self.use.axes if self.use is not None else None

    @property
    def fans(self) -> Fans | None:
        """Fans in this use, where the roles of its dimensions are known."""
        return count_fans(self.parameter.shape, self.axes)

    @property
    def place(self) -> str:
        """Where this use is, in words."""
        node = self.node
        if node is None:
            return f"node {self.role.node}"
        call = f", call {node.call + 1}" if node.call else ""
        return f"{node.module or 'the model itself'} ({node.op}{call})"

    @property
    def node(self) -> Node | None:
        """The node of this use."""
        return self.facts.nodes.get(self.role.node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a rule says of a parameter; the fields are those of `fanin.records.plan.Entry`."""

    scheme: str
    reason: str
    status: Status = Status.CLAIMED
    draw: Draw | None = None
    axes: Axes | None = None
    gain: float | None = None
    evidence: tuple[str, ...] = ()
    references: tuple[str, ...] = ()

    def noting(self, *evidence: str) -> Claim:
        """The same claim with more evidence."""
        return replace(self, evidence=(*self.evidence, *evidence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A named rule: what it says of a case, or None where it does not apply."""

    name: str
    claim: Callable[[Case], Claim | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An ordered set of rules; the first that applies counts.

    Parameters
    ----------
    name, summary
        Its name, and one line on what it does.
    tensors
        Rules asked about a whole parameter, before
    uses
        those asked about each of its uses. The last one answers every case.
    """

    name: str
    summary: str
    tensors: tuple[Rule, ...]
    uses: tuple[Rule, ...]


def count_fans(shape: tuple[int, ...], axes: Axes | None) -> Fans | None:
    """Fans of a shape, or None where its roles give none."""
    if axes is None:
        return None
    try:
        return fans(shape, axes)
    except InputError:
        return None
