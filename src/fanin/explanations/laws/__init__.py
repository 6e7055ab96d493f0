"""Pages of the laws, found by folder: each module here holds one as `TOPIC`."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping

from fanin.errors import nearest
from fanin.explanations.topic import Topic
from fanin.explanations.topics import built
from fanin.records.explanation import Explanation

__all__ = ["catalogue", "get"]


@functools.cache
def catalogue() -> Mapping[str, Topic]:
    """Every law by name."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    return {module.TOPIC.name: module.TOPIC for module in modules}


def get(name: str, *, depth: int = 50) -> Explanation:
    """Explain the law of that name, for a network of `depth` layers where depth matters.

    Raises
    ------
    UnknownNameError
        There is no such law; the message has the nearest.
    InputError
        A depth below 1, or beyond what anyone builds.
    """
    found = catalogue().get(name)
    if found is None:
        raise nearest(name, catalogue(), kind="law")
    return built(found, depth)
