"""One class a scheme, made from the registry and known to Keras by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import keras

from fanin.keras.base import SchemeInitializer
from fanin.schemes import registry
from fanin.schemes.base import Entry

__all__ = ["camel_case", "classes"]


def camel_case(name: str) -> str:
    """Keras' name of a class: ``he_normal`` is ``HeNormal``.

    Examples
    --------
    >>> camel_case("glorot_truncated_normal")
    'GlorotTruncatedNormal'
    """
    return "".join(word.capitalize() for word in name.split("_"))


@lru_cache(maxsize=1)
def classes() -> Mapping[str, type[SchemeInitializer]]:
    """Every class by all its names: CamelCase, snake_case, and both of each alias.

    Making them registers them with Keras under ``fanin>`` and each of these names.

    Examples
    --------
    >>> classes()["HeNormal"] is classes()["kaiming_normal"]
    True
    """
    found: dict[str, type[SchemeInitializer]] = {}
    for entry in registry.entries().values():
        made = _made(entry)
        names = [form for name in (*entry.aliases, entry.name) for form in (name, camel_case(name))]
        for name in names:
            # The last one, HeNormal, is what a config says.
            keras.saving.register_keras_serializable(package="fanin", name=name)(made)
        found |= dict.fromkeys(names, made)
    return MappingProxyType(dict(sorted(found.items())))


def _made(entry: Entry) -> type[SchemeInitializer]:
    name = camel_case(entry.name)
    shared = inspect.signature(SchemeInitializer.__init__).parameters.values()
    how = [one for one in shared if one.kind == one.KEYWORD_ONLY]
    doc = (
        f"{entry.summary}\n\n"
        f"Its parameters are those of `fanin.{entry.name}`, and those of `SchemeInitializer`."
    )
    return type(
        name,
        (SchemeInitializer,),
        {
            "__doc__": doc,
            "__module__": "fanin.keras",
            "__signature__": inspect.Signature([*entry.signature.parameters.values(), *how]),
            "entry": entry,
        },
    )
