"""Policies, found by folder: each module here holds one as `POLICY`."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping

from fanin.errors import nearest
from fanin.plans.rule import Policy

__all__ = ["catalogue", "get", "names"]


@functools.cache
def catalogue() -> Mapping[str, Policy]:
    """Every policy by name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    found: dict[str, Policy] = {}
    for module in modules:
        policy = module.POLICY
        if policy.name in found:
            raise LookupError(f"Two policies are named {policy.name!r}")
        found[policy.name] = policy
    return found


def names() -> tuple[str, ...]:
    """Names of all policies, ``auto`` first."""
    return tuple(sorted(catalogue(), key=lambda name: (name != "auto", name)))


def get(name: str) -> Policy:
    """The policy of that name.

    Raises
    ------
    UnknownNameError
        There is none; the message names the nearest.
    """
    found = catalogue().get(name) if isinstance(name, str) else None
    if found is None:
        raise nearest(str(name), catalogue(), kind="policy")
    return found
