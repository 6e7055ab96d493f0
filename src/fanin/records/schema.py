"""The layout of the JSON documents as JSON Schema, from the records' own annotations."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from typing import Any

from fanin.records.codec import SCHEMA

__all__ = ["json_schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    # JSON has no infinity: a float that is not finite travels as text.
    float: {"anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}]},
    type(None): {"type": "null"},
}


def json_schema(record: type) -> dict[str, Any]:
    """Describe the documents that hold one record of a type.

    Parameters
    ----------
    record
        A record, such as `fanin.records.finding.Diagnosis`: what ``fanin check --format json`` prints.

    Returns
    -------
    dict
        A JSON Schema (draft 2020-12), in plain JSON types.

    Examples
    --------
    >>> from fanin.records.finding import Finding
    >>> json_schema(Finding)["$defs"]["Severity"]
    {'enum': ['info', 'warning', 'failure']}

    References
    ----------
    JSON Schema, draft 2020-12, https://json-schema.org/draft/2020-12
    """
    known: dict[str, dict[str, Any]] = {}
    _described(record, known)
    body = dict(known.pop(record.__name__))
    return {
        "$schema": _DIALECT,
        "title": record.__name__,
        "description": (record.__doc__ or "").strip().split("\n")[0],
        **body,
        "properties": {"schema_version": {"const": SCHEMA}, **body["properties"]},
        "required": ["schema_version", *body["required"]],
        "$defs": dict(sorted(known.items())),
    }


def _described(kind: Any, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The schema of a value of an annotated type; records and enums are gathered in `known`."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_described(option, known) for option in arguments]}
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "array", "items": _described(arguments[0], known)}
    if origin is tuple:
        parts = [_described(part, known) for part in arguments]
        return {"type": "array", "prefixItems": parts, "minItems": len(parts), "items": False}
    name = kind.__name__
    if name not in known:
        known[name] = {}
        known[name] |= (
            {"enum": [member.value for member in kind]} if issubclass(kind, Enum) else _object(kind, known)
        )
    return {"$ref": f"#/$defs/{name}"}


def _object(record: type, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    annotations = typing.get_type_hints(record)
    fields = dataclasses.fields(record)
    needed = [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return {
        "type": "object",
        "properties": {
            "record": {"const": record.__name__},
            **{field.name: _described(annotations[field.name], known) for field in fields},
        },
        "required": ["record", *needed],
        "additionalProperties": False,
    }
