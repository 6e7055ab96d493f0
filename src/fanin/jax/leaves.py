"""Leaves of a tree of parameters, with the names that their streams have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax

from fanin.errors import InputError, explain

__all__ = ["Leaf", "Names", "leaf_names", "named"]

Names: TypeAlias = Mapping[str, str] | Callable[[str], str] | None
"""From a leaf's path to the name of its stream: paths that a mapping lacks keep their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One array of a tree.

    Parameters
    ----------
    path
        Its keys, joined by dots.
    name
        Of its random stream; the path unless the user says another.
    value
        The array, or its shape and dtype.
    buffer
        Whether it is no parameter (running statistics, counters).
    role
        What a buffer is for.
    """

    path: str
    name: str
    value: Any
    buffer: bool = False
    role: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.value.shape)

    @property
    def dtype(self) -> str:
        """Name of its dtype."""
        return str(self.value.dtype)

    @property
    def owner(self) -> str:
        """The path without its last key."""
        return self.path.rpartition("." if "." in self.path else "/")[0]


def leaf_names(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[tuple[str, Any], ...]:
    """Paths and leaves of a tree, in JAX's order.

    Examples
    --------
    >>> [path for path, _ in leaf_names({"Dense_0": {"kernel": 1, "bias": 2}})]
    ['Dense_0.bias', 'Dense_0.kernel']
    """
    found, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)
    return tuple((".".join(_key(key) for key in path), leaf) for path, leaf in found)


def _key(key: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key).strip(".[]'\"")


def named(leaves: Sequence[Leaf], names: Names) -> tuple[Leaf, ...]:
    """Leaves with the names that the user gives them.

    Raises
    ------
    InputError
        A mapping with a path that no leaf has, a name that is no text, or one name for two leaves.
    """
    if names is None:
        found = tuple(leaves)
    elif callable(names):
        found = tuple(replace(leaf, name=names(leaf.path)) for leaf in leaves)
    elif not isinstance(names, Mapping):
        raise InputError(
            explain(
                "names= is not understood",
                received=f"{names!r} ({type(names).__name__})"[:200],
                rule="It maps paths of leaves to names of streams: a mapping, or a function",
            )
        )
    else:
        strangers = sorted(set(names) - {leaf.path for leaf in leaves})
        if strangers:
            raise InputError(
                explain(
                    "names= has a path that is not in the parameters",
                    received=", ".join(strangers[:4]),
                    rule="It maps paths of leaves, their keys joined by dots, to names of streams",
                    remedy="The paths are "
                    + ", ".join([leaf.path for leaf in leaves[:4]] + ["..."] * (len(leaves) > 4)),
                )
            )
        found = tuple(replace(leaf, name=names.get(leaf.path, leaf.name)) for leaf in leaves)
    seen: dict[str, str] = {}
    for leaf in found:
        if not isinstance(leaf.name, str) or not leaf.name:
            raise InputError(explain("A stream's name is a text", received=f"{leaf.name!r} for {leaf.path}"))
        if leaf.name in seen:
            raise InputError(
                explain(
                    "Two leaves have one name",
                    received=f"'{leaf.name}' for {seen[leaf.name]} and {leaf.path}",
                    rule="Equal names have equal numbers, so each leaf has a name of its own",
                    remedy="Rename a key of the tree" if leaf.path == seen[leaf.name] else "",
                )
            )
        seen[leaf.name] = leaf.path
    return found
