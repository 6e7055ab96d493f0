"""Finds the rules: every module of `fanin.checks.rules` that has a `RULE`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from fanin.checks import rules as package
from fanin.checks.rule import Rule
from fanin.errors import nearest

__all__ = ["get", "rules"]


@cache
def rules() -> tuple[Rule, ...]:
    """All rules in the order of their codes.

    Examples
    --------
    >>> rules()[0].code
    'FAN101'
    """
    found = [
        importlib.import_module(f"{package.__name__}.{entry.name}").RULE
        for entry in pkgutil.iter_modules(package.__path__)
    ]
    return tuple(sorted(found, key=lambda rule: rule.code))


def get(code: str) -> Rule:
    """Look up the rule of a code, in either case.

    Raises
    ------
    UnknownNameError
        A code that no rule has.
    """
    for rule in rules():
        if rule.code == code.strip().upper():
            return rule
    raise nearest(code, (rule.code for rule in rules()), kind="finding code")
