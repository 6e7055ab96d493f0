"""``--set 'PATTERN=scheme(name=value)'`` as rules of a plan; nothing of it is executed."""

from __future__ import annotations

from collections.abc import Iterable

from fanin.errors import InputError, explain
from fanin.records.plan import Plan
from fanin.schemes.parse import scheme

__all__ = ["apply", "scheme"]


def apply(plan: Plan, rules: Iterable[str]) -> Plan:
    """A plan with the user's rules carried out, in their order."""
    found = {}
    for rule in rules:
        pattern, equals, text = rule.partition("=")
        if not (pattern.strip() and equals and text.strip()):
            raise InputError(
                explain("A --set is not understood", received=repr(rule), rule="It is PATTERN=SCHEME")
            )
        found[pattern.strip()] = scheme(text)
    return plan.override(found) if found else plan
