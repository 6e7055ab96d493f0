"""The weights of a model in four groups, and a plan whose weights are multiplied group by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from fanin.errors import InputError, explain, finite, nearest
from fanin.plans.facts import Facts
from fanin.plans.scaled import scaled
from fanin.records.draw import Draw
from fanin.records.graph import Graph, Parameter, UseKind
from fanin.records.plan import Entry, Plan

__all__ = ["GROUPS", "groups", "multiplied"]

GROUPS = ("all", "body", "branches", "head", "embeddings")
"""What a factor may be for; "all" is every weight that is summed over: body, branches and head."""

_SUMMED = (UseKind.WEIGHT, UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE)


def groups(graph: Graph) -> Mapping[str, str]:
    """The group of each weight of a model, by the tensor's name.

    A table that rows are looked up in is one of the "embeddings", also where it is tied to the head; a
    weight after which only the output follows is the "head"; the last one of a residual branch is one of
    the "branches"; what else is summed over is the "body". Biases and norms are in no group.

    Parameters
    ----------
    graph
        A model's computation.

    Returns
    -------
    Mapping of str to str
        Names of weights, in the model's order, each with its group.

    Examples
    --------
    >>> empty = Graph(
    ...     model="",
    ...     framework="",
    ...     engine="",
    ...     nodes=(),
    ...     outputs=(),
    ...     path=(),
    ...     parameters=(),
    ...     activations=(),
    ...     branches=(),
    ... )
    >>> dict(groups(empty))
    {}
    """
    facts = Facts(graph=graph)
    found = {parameter.name: _group(facts, parameter) for parameter in graph.parameters}
    return MappingProxyType({name: group for name, group in found.items() if group})


def _group(facts: Facts, parameter: Parameter) -> str:
    if parameter.buffer or len(parameter.shape) < 2:
        return ""
    kinds = {use.kind for use in parameter.uses}
    if UseKind.EMBEDDING in kinds:
        return "embeddings"
    summed = [use for use in parameter.uses if use.kind in _SUMMED]
    if not summed:
        return ""
    if any(use.head for use in summed):
        return "head"
    return "branches" if any(facts.residual(use) is not None for use in summed) else "body"


def multiplied(plan: Plan, group_of: Mapping[str, str], factors: Mapping[str, float]) -> Plan:
    """A plan whose random weights are multiplied: ``std' = factor * std``; constants stay what they are.

    Parameters
    ----------
    plan
        The plan.
    group_of
        The group of each weight, as `groups` gives it.
    factors
        A positive factor for each group that is changed; "all" is body, branches and head. A weight that
        two of them are for gets both.

    Returns
    -------
    Plan
        The same plan where every factor is 1.

    Raises
    ------
    InputError
        A factor that is not positive and finite, a group without random weights, or a law by formula,
        which has no factor.
    UnknownNameError
        There is no such group.
    """
    for group, factor in factors.items():
        if group not in GROUPS:
            raise nearest(str(group), GROUPS, kind="group of weights")
        if not (finite(factor) and factor > 0.0):
            raise InputError(
                explain("A factor on weights is positive and finite", received=f"{group} * {factor}")
            )
        if factor != 1.0 and not any(
            _drawn(e) and _within(group_of.get(e.name), group) for e in plan.entries
        ):
            known = ", ".join(dict.fromkeys(group_of.values())) or "none"
            raise InputError(
                explain(
                    f"The plan draws no random weight of the group '{group}'",
                    received=plan.summary(),
                    rule=f"The model's weights are of the groups: {known}",
                )
            )
    entries = tuple(_entry(entry, group_of.get(entry.name), factors) for entry in plan.entries)
    return replace(plan, entries=entries)


def _drawn(entry: Entry) -> bool:
    return entry.draw is not None and entry.draw.std > 0.0


def _within(mine: str | None, group: str) -> bool:
    return mine is not None and (mine == group or (group == "all" and mine != "embeddings"))


def _entry(entry: Entry, mine: str | None, factors: Mapping[str, float]) -> Entry:
    factor = 1.0
    for group, one in factors.items():
        if _within(mine, group):
            factor *= one
    if factor == 1.0 or entry.draw is None or not _drawn(entry):
        return entry
    return replace(
        entry,
        draw=_times(entry, entry.draw, factor),
        blocks=tuple(replace(block, draw=_times(entry, block.draw, factor)) for block in entry.blocks),
        gain=None if entry.gain is None else entry.gain * factor,
        reason=f"{entry.reason}; times {factor:.4g}",
    )


def _times(entry: Entry, draw: Draw, factor: float) -> Draw:
    found = scaled(draw, factor)
    if found is None:
        raise InputError(
            explain(
                f"'{entry.name}' cannot be multiplied",
                received=f"{entry.scheme}, times {factor:g}",
                rule="A law by formula has no factor",
                remedy="Leave its group out",
            )
        )
    return found
