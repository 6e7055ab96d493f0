"""Records to JSON and back, with a schema version and a canonical hash.

Types come from the records' own annotations, so a new field needs no code here. JSON is strict:
a float that is not finite travels as the text "nan", "inf" or "-inf".
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import tempfile
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from fanin.errors import InputError, OutputError, explain

__all__ = ["SCHEMA", "decode", "digest", "encode", "from_json", "read", "to_json", "write", "write_text"]

SCHEMA = 1
"""Version of the JSON layout; a reader refuses documents that are newer than itself."""

_TAG = "record"
"""Key under which an object says which record it is; no record has a field of this name."""

R = TypeVar("R")


def encode(value: Any) -> Any:
    """Turn a record, or a value inside one, into plain JSON types."""
    if is_dataclass(value) and not isinstance(value, type):
        body = {field.name: encode(getattr(value, field.name)) for field in fields(value)}
        return {_TAG: type(value).__name__, **body}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    return value


@functools.cache
def _annotations(record: type) -> dict[str, Any]:
    return typing.get_type_hints(record)


def decode(value: Any, expected: Any) -> Any:
    """Rebuild the value that `encode` flattened, checking it against the annotation `expected`.

    Raises
    ------
    InputError
        A missing or unknown field, or a value of another type.
    """
    origin = typing.get_origin(expected)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(value, typing.get_args(expected))
    if origin is tuple:
        arguments = typing.get_args(expected)
        if not isinstance(value, list):
            raise _mismatch(value, expected)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(decode(item, arguments[0]) for item in value)
        if len(arguments) != len(value):
            raise _mismatch(value, expected)
        return tuple(decode(item, kind) for item, kind in zip(value, arguments, strict=True))
    if is_dataclass(expected) and isinstance(expected, type):
        return _decode_record(value, expected)
    if isinstance(expected, type) and issubclass(expected, Enum):
        try:
            return expected(value)
        except ValueError:
            raise _mismatch(value, expected) from None
    if expected is float:
        if isinstance(value, str) and value in ("nan", "inf", "-inf"):
            return float(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise _mismatch(value, expected)
    if expected is type(None) and value is None:
        return None
    if isinstance(expected, type) and type(value) is expected:
        return value
    raise _mismatch(value, expected)


def _decode_union(value: Any, options: tuple[Any, ...]) -> Any:
    if isinstance(value, dict):
        named = [o.__name__ for o in options if isinstance(o, type) and is_dataclass(o)]
        options = tuple(o for o in options if getattr(o, "__name__", "") == value.get(_TAG))
        if not options:
            raise InputError(
                explain(
                    "The document holds no such record", received=f"{value!r:.80}",
                    rule=f"Its {_TAG!r} is one of {', '.join(named)}",
                )
            )  # fmt: skip
    for option in options:
        try:
            return decode(value, option)
        except InputError:
            if len(options) == 1:
                raise
    raise _mismatch(value, " | ".join(getattr(o, "__name__", str(o)) for o in options))


def _decode_record(value: Any, record: type) -> Any:
    if not isinstance(value, dict) or value.get(_TAG) != record.__name__:
        raise _mismatch(value, record)
    known = _annotations(record)
    names = {field.name for field in fields(record)}
    unknown = set(value) - names - {_TAG}
    if unknown:
        raise InputError(
            explain(
                f"A {record.__name__} has no such field",
                received=", ".join(sorted(unknown)),
                rule="Fields are " + ", ".join(sorted(names)),
            )
        )
    body = {name: decode(value[name], known[name]) for name in names if name in value}
    try:
        return record(**body)
    except TypeError as error:
        raise InputError(explain(f"A {record.__name__} is incomplete", received=str(error))) from None


def _mismatch(value: Any, expected: Any) -> InputError:
    shown = repr(value)
    return InputError(
        explain(
            "The document does not hold what was expected",
            received=shown if len(shown) <= 120 else shown[:117] + "...",
            rule=f"Expected {getattr(expected, '__name__', expected)}",
        )
    )


def to_json(record: object) -> str:
    """Write a record as a JSON document."""
    return json.dumps({"schema_version": SCHEMA, **encode(record)}, indent=1, ensure_ascii=False) + "\n"


def from_json(text: str, record: type[R]) -> R:
    """Read a JSON document that holds one record of the given type.

    Raises
    ------
    InputError
        Text that is no JSON, a newer schema, another kind of record, or a wrong field.
    """
    try:
        document = json.loads(text)
    # ValueError: no JSON, or a number of more digits than Python reads.
    except (ValueError, RecursionError) as error:
        raise InputError(explain("The document is not JSON", received=str(error))) from None
    if not isinstance(document, dict):
        raise _mismatch(document, record)
    version = document.pop("schema_version", None)
    if version != SCHEMA:
        raise InputError(
            explain(
                "The document has another schema version",
                received=repr(version),
                rule=f"This fanin reads version {SCHEMA}",
                remedy="Read it with the fanin that wrote it",
            )
        )
    decoded: R = decode(document, record)
    return decoded


def digest(record: object) -> str:
    """SHA-256 of the canonical JSON of a record: equal exactly when the records are equal."""
    canonical = json.dumps(encode(record), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_text(path: str | os.PathLike[str], text: str, *, overwrite: bool = True) -> Path:
    """Write a file under a temporary name and rename it, so that no half file is ever seen.

    A link is followed; what is no file (a pipe, a terminal, ``/dev/stdout``) is written to as it is.

    Raises
    ------
    OutputError
        The place cannot be written, or the file exists and `overwrite` is false.
    """
    target = Path(path)
    try:
        there, place = target.exists(), Path(os.path.realpath(target))
    # A name that no file system takes: too long, or with a null byte.
    except (OSError, ValueError) as error:
        raise _unwritable(target, error) from error
    if there and not overwrite:
        raise OutputError(
            explain("The output exists", received=target, remedy="Choose another name, or use --force")
        )
    try:
        if place.exists() and not place.is_file() and not place.is_dir():
            with place.open("w", encoding="utf-8") as stream:
                stream.write(text)
            return target
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            umask = os.umask(0)
            os.umask(umask)
            Path(temporary).chmod(0o666 & ~umask)
            Path(temporary).replace(place)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    # ValueError: a text with half a surrogate pair.
    except (OSError, ValueError) as error:
        raise _unwritable(target, error) from error
    return target


def _unwritable(target: Path, error: OSError | ValueError) -> OutputError:
    reason = error.strerror if isinstance(error, OSError) else error
    return OutputError(explain("The output cannot be written", received=f"{target!s:.300} ({reason})"))


def write(path: str | os.PathLike[str], record: object, *, overwrite: bool = True) -> Path:
    """Save a record as a JSON file."""
    return write_text(path, to_json(record), overwrite=overwrite)


def read(path: str | os.PathLike[str], record: type[R]) -> R:
    """Load a record from a JSON file.

    Raises
    ------
    InputError
        The file cannot be read or does not hold such a record.
    """
    try:
        # Editors on Windows begin a file with a mark that is no part of it.
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(explain("The file cannot be read", received=f"{path} ({error})")) from None
    return from_json(text, record)
