"""Schemes by name. A scheme file announces itself by its ``SCHEMES``; there is no list to edit."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import fanin.schemes
from fanin.errors import InputError, explain, nearest
from fanin.schemes.base import Entry, Scheme
from fanin.schemes.dialects.dialect import dialect

__all__ = ["aliases", "entries", "entry", "get", "names"]

_NO_FAMILY = {"base", "by_formula", "fit", "parse", "registry", "sample"}


@lru_cache(maxsize=1)
def entries() -> Mapping[str, Entry]:
    """Every scheme by its own name, in alphabetical order."""
    found: dict[str, Entry] = {}
    for module in pkgutil.iter_modules(fanin.schemes.__path__):
        if not module.ispkg and module.name not in _NO_FAMILY:
            family = importlib.import_module(f"fanin.schemes.{module.name}")
            found |= {one.name: one for one in family.SCHEMES}
    return MappingProxyType(dict(sorted(found.items())))


def names() -> tuple[str, ...]:
    """Names of all schemes, without aliases.

    Examples
    --------
    >>> "he_normal" in names()
    True
    """
    return tuple(entries())


@lru_cache(maxsize=1)
def aliases() -> Mapping[str, str]:
    """Other names, and the name each stands for.

    Examples
    --------
    >>> aliases()["kaiming_normal"]
    'he_normal'
    """
    pairs = {alias: one.name for one in entries().values() for alias in one.aliases}
    return MappingProxyType(dict(sorted(pairs.items())))


def entry(name: str) -> Entry:
    """Look up a scheme's factory, aliases and examples by any of its names.

    Raises
    ------
    UnknownNameError
        A name that no scheme has; the message has the nearest.
    """
    known = aliases().get(name, name)
    if known not in entries():
        raise nearest(name, [*entries(), *aliases()], kind="scheme")
    return entries()[known]


def get(name: str, **parameters: Any) -> Scheme:
    """Make a scheme from its name and parameters.

    Parameters
    ----------
    name
        Name or alias; or that of another system's function, as ``"keras:he_normal"``.
    **parameters
        Those of the factory, by keyword.

    Returns
    -------
    Scheme
        What the factory of that name returns.

    Raises
    ------
    UnknownNameError
        A name that no scheme has.
    InputError
        Parameters that the factory does not take, or values out of range.

    Examples
    --------
    >>> get("variance_scaling", variance=0.5, mode="fan_out")
    <variance_scaling: Var[w] = 0.5 / fan_out, normal>
    """
    system, colon, function = name.partition(":")
    if colon:
        return dialect(system).get(function, **parameters)
    found = entry(name)
    try:
        found.signature.bind(**parameters)
    except TypeError as error:
        raise InputError(
            explain(
                f"Parameters do not fit {found.name}",
                received=", ".join(f"{key}={value!r}" for key, value in parameters.items()) or "none",
                rule=f"It is {_call(found)} ({error})",
            )
        ) from None
    return found.factory(**parameters)


def _call(found: Entry) -> str:
    """A factory with its parameters and defaults, without annotations."""
    empty = inspect.Parameter.empty
    bare = [one.replace(annotation=empty) for one in found.signature.parameters.values()]
    return f"{found.name}{inspect.Signature(bare)}"
