"""A scheme from its words, such as ``normal(std=0.02)``; nothing of it is executed."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from fanin.errors import InputError, explain
from fanin.schemes import registry
from fanin.schemes.base import Scheme
from fanin.schemes.dialects.dialect import dialect
from fanin.schemes.dialects.stored import elsewhere

__all__ = ["scheme"]


def scheme(text: str) -> Scheme:
    """A scheme from its name and literal arguments, such as ``normal(std=0.02)``.

    Parameters
    ----------
    text
        A name or alias, with arguments where it takes any; or that of another system's function, as
        ``keras:he_normal``, which is told the roles of a tensor's dimensions wherever these lie.

    Raises
    ------
    InputError
        Text of another form, an unknown scheme, or arguments that it does not take.

    Examples
    --------
    >>> print(scheme("normal(std=0.02)").draw((256, 784), "out in"))
    N(0, 0.02²)
    """
    malformed = explain(
        "A scheme is not understood",
        received=repr(text),
        rule="It is a name, with literal arguments where it takes any: normal(std=0.02)",
    )
    system, colon, call = text.strip().partition(":")
    peer = dialect(system) if colon and system.replace("-", "").replace(".", "").isalnum() else None
    try:
        tree = ast.parse(call if peer is not None else text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(malformed) from None
    if isinstance(tree, ast.Name):
        return registry.get(tree.id) if peer is None else elsewhere(peer.get(tree.id))
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)):
        raise InputError(malformed)
    name = tree.func.id
    signature = (
        registry.entry(name).signature
        if peer is None
        else inspect.signature(peer.functions[peer.known(name)].make)
    )
    names = list(signature.parameters)
    if len(tree.args) > len(names) or any(word.arg is None for word in tree.keywords):
        raise InputError(malformed)
    arguments: dict[str, Any] = {}
    try:
        arguments |= {key: ast.literal_eval(value) for key, value in zip(names, tree.args, strict=False)}
        arguments |= {str(word.arg): ast.literal_eval(word.value) for word in tree.keywords}
    except (ValueError, TypeError):
        raise InputError(malformed) from None
    return registry.get(name, **arguments) if peer is None else elsewhere(peer.get(name, **arguments))
