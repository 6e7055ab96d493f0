"""The noun of this room: a rule, what it is asked and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fanin.errors import InputError, explain
from fanin.laws.fans import Fans, fans
from fanin.plans.facts import Facts
from fanin.records.axes import Axes
from fanin.records.draw import Draw
from fanin.records.graph import Node, Parameter, Use
from fanin.records.plan import Scheme, Status

__all__ = ["Case", "Claim", "Modifier", "Policy", "Rule", "count_fans"]


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
    """What a rule says of a parameter; the fields are those of `fanin.records.plan.Entry`.

    `law` is asked again for each block of a packed tensor, where its draw depends on more than fan_in.
    """

    scheme: str
    reason: str
    status: Status = Status.CLAIMED
    draw: Draw | None = None
    axes: Axes | None = None
    gain: float | None = None
    evidence: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    law: Scheme | None = None
    deep: bool = False
    """Whether the depth of the residual stream is paid for in the draw already."""
    parts: tuple[Draw, ...] = ()
    """Draws of equal parts along the first dimension, where each is a constant of its own."""
    whole: bool = False
    """Whether it is one map whose output is cut, and not several that are packed."""

    def noting(self, *evidence: str) -> Claim:
        """The same claim with more evidence."""
        return replace(self, evidence=(*self.evidence, *evidence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A named rule: what it says of a case, or None where it does not apply."""

    name: str
    claim: Callable[[Case], Claim | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Modifier:
    """What is changed in another policy's claims: ``he+zero-out`` is `he` and the modifier `zero-out`.

    Parameters
    ----------
    name, summary
        Its name, and one line on what it does.
    change
        What becomes of another rule's claim on a case; None where it stands.
    check
        Called with a model's facts before anything is planned.
        Raises InputError where the model has nothing that the modifier is for.
    """

    name: str
    summary: str
    change: Callable[[Case, Claim], Claim | None]
    check: Callable[[Facts], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An ordered set of rules; the first that applies counts, and modifiers change what it says.

    Policies are values: ``policies.get("he") + policies.modifier("zero-out")`` is
    ``policies.get("he+zero-out")``.

    Parameters
    ----------
    name, summary
        Its name, and one line on what it does.
    tensors
        Rules asked about a whole parameter, before
    uses
        those asked about each of its uses. The last one answers every case.
    modifiers
        What changes the answers of `uses`, in order.
    forward
        Whether uses in a derivative that the run takes are left out, where there are others.
    """

    name: str
    summary: str
    tensors: tuple[Rule, ...]
    uses: tuple[Rule, ...]
    modifiers: tuple[Modifier, ...] = ()
    forward: bool = False

    def __add__(self, modifier: Modifier) -> Policy:
        """The policy with one more modifier."""
        if not isinstance(modifier, Modifier):
            raise InputError(
                explain(
                    f"Nothing but a modifier can be added to the policy '{self.name}'",
                    received=getattr(modifier, "name", type(modifier).__name__),
                    rule="A policy is one base and any number of modifiers, such as 'he+zero-out'",
                )
            )
        if modifier.name in self.name.split("+"):
            raise InputError(explain(f"The modifier '{modifier.name}' is added twice", received=self.name))
        return replace(
            self,
            name=f"{self.name}+{modifier.name}",
            summary=f"{self.summary}; {modifier.summary}",
            modifiers=(*self.modifiers, modifier),
        )


def count_fans(shape: tuple[int, ...], axes: Axes | None) -> Fans | None:
    """Fans of a shape, or None where its roles give none."""
    if axes is None:
        return None
    try:
        return fans(shape, axes)
    except InputError:
        return None
