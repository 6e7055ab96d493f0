"""``--set 'PATTERN=scheme(name=value)'`` as rules of a plan; nothing of it is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from fanin.errors import InputError, explain
from fanin.records.plan import Plan
from fanin.schemes import registry
from fanin.schemes.base import Scheme

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


def scheme(text: str) -> Scheme:
    """A scheme from its name and literal arguments, such as ``normal(std=0.02)``.

    Raises
    ------
    InputError
        Text of another form, an unknown scheme, or arguments that it does not take.
    """
    malformed = explain(
        "A scheme is not understood",
        received=repr(text),
        rule="It is a name, with literal arguments where it takes any: normal(std=0.02)",
    )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(malformed) from None
    if isinstance(tree, ast.Name):
        return registry.get(tree.id)
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)):
        raise InputError(malformed)
    names = list(registry.entry(tree.func.id).signature.parameters)
    if len(tree.args) > len(names) or any(word.arg is None for word in tree.keywords):
        raise InputError(malformed)
    arguments: dict[str, Any] = {}
    try:
        arguments |= {name: ast.literal_eval(value) for name, value in zip(names, tree.args, strict=False)}
        arguments |= {str(word.arg): ast.literal_eval(word.value) for word in tree.keywords}
    except (ValueError, TypeError):
        raise InputError(malformed) from None
    return registry.get(tree.func.id, **arguments)
