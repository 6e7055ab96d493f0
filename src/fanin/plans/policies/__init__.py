"""Policies, found by folder: each module here holds one, or a modifier, as `POLICY`."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping

from fanin.errors import InputError, explain, nearest
from fanin.plans.rule import Modifier, Policy

__all__ = ["catalogue", "get", "modifier", "modifiers", "names"]


@functools.cache
def catalogue() -> Mapping[str, Policy | Modifier]:
    """Every policy and every modifier by name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    found: dict[str, Policy | Modifier] = {}
    for module in modules:
        policy = module.POLICY
        if policy.name in found:
            raise LookupError(f"Two policies are named {policy.name!r}")
        found[policy.name] = policy
    return found


def names() -> tuple[str, ...]:
    """Names of the policies that stand alone, ``auto`` first."""
    found = (name for name, policy in catalogue().items() if isinstance(policy, Policy))
    return tuple(sorted(found, key=lambda name: (name != "auto", name)))


def modifiers() -> tuple[str, ...]:
    """Names of the modifiers, which follow a policy after a plus sign."""
    return tuple(sorted(name for name, found in catalogue().items() if isinstance(found, Modifier)))


def modifier(name: str) -> Modifier:
    """The modifier of that name.

    Raises
    ------
    UnknownNameError
        There is none; the message names the nearest.
    """
    found = catalogue().get(name)
    if not isinstance(found, Modifier):
        raise nearest(name, modifiers(), kind="modifier of a policy")
    return found


def get(name: str | Policy) -> Policy:
    """The policy of that name, such as ``"he"`` or ``"he+zero-out"``; a policy is given back as it is.

    Raises
    ------
    UnknownNameError
        There is none; the message names the nearest.
    InputError
        A modifier without a policy, a second policy behind the plus sign, or no name at all.

    Examples
    --------
    >>> get("he+zero-out") == get("he") + modifier("zero-out")
    True
    """
    if isinstance(name, Policy):
        return name
    if not isinstance(name, str):
        raise InputError(
            explain(
                "There is no such policy",
                received=f"{type(name).__name__}: {name!r:.80}",
                rule=f"It is a name ({', '.join(names())}) or a fanin.plans.rule.Policy",
            )
        )
    first, *rest = (part.strip() for part in name.split("+"))
    policy = catalogue().get(first)
    if isinstance(policy, Modifier):
        raise InputError(
            explain(
                f"'{first}' changes another policy and is none by itself",
                received=repr(name),
                remedy=f"For example 'auto+{first}'",
            )
        )
    if policy is None:
        raise nearest(first, catalogue(), kind="policy")
    for text in rest:
        if isinstance(catalogue().get(text), Policy):
            raise InputError(
                explain(
                    "Two policies cannot both decide",
                    received=repr(name),
                    rule="Behind the plus sign come modifiers: " + ", ".join(modifiers()),
                )
            )
        policy = policy + modifier(text)
    return policy
