"""Questions that people ask, found by folder: each module here holds one as `TOPIC`."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping

from fanin.errors import InputError, explain, nearest
from fanin.explanations.topic import Topic
from fanin.records.explanation import Explanation

__all__ = ["built", "catalogue", "get"]

_DEEPEST = 100_000


@functools.cache
def catalogue() -> Mapping[str, Topic]:
    """Every topic by name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    return {module.TOPIC.name: module.TOPIC for module in modules}


def get(name: str, *, depth: int = 50) -> Explanation:
    """Answer the question of that name, for a network of `depth` layers where depth matters.

    Raises
    ------
    UnknownNameError
        There is no such topic; the message has the nearest.
    InputError
        A depth below 1, or beyond what anyone builds.
    """
    found = catalogue().get(name)
    if found is None:
        raise nearest(name, catalogue(), kind="topic")
    return built(found, depth)


def built(found: Topic, depth: int) -> Explanation:
    """The page of a topic, or of a law, for a depth that anyone builds.

    Raises
    ------
    InputError
        A depth below 1, or beyond what anyone builds.
    """
    if not 1 <= depth <= _DEEPEST:
        raise InputError(
            explain("The depth is out of range", received=depth, rule=f"1 to {_DEEPEST:,} layers")
        )
    return found.build(found, depth)
