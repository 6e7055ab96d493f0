"""A study's file: what it is about, then a line for each run that came to its end.

A line is written at once and flushed to the disk, so that a study that was interrupted, or a machine that
failed, loses the runs under way and no other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fanin.errors import InputError, OutputError, explain
from fanin.records import codec
from fanin.records.study import Curve

__all__ = ["append", "begin", "resumed"]

_NAME = "fanin study"


def begin(path: Path, about: Mapping[str, str]) -> None:
    """Start a file.

    Parameters
    ----------
    path
        A file that does not exist yet.
    about
        Everything that decides the results, as name and value.

    Raises
    ------
    OutputError
        There is a file already, or it cannot be written.
    """
    if path.exists():
        raise OutputError(
            explain(
                "The study's file exists",
                received=path,
                remedy="Go on with it (resume), or choose another name",
            )
        )
    codec.write_text(path, _line({"file": _NAME, "schema_version": codec.SCHEMA, "about": dict(about)}))


def append(path: Path, key: str, curve: Curve) -> None:
    """Add a run.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    line = _line({"key": key, "curve": codec.encode(curve)})
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise OutputError(
            explain("The study's file cannot be written", received=f"{path} ({error.strerror})")
        ) from error


def resumed(path: Path, about: Mapping[str, str]) -> dict[str, Curve]:
    """The runs of a file, which are not made again.

    A last line without its end is what a failing machine leaves behind: it is cut off.

    Parameters
    ----------
    path, about
        As for `begin`.

    Returns
    -------
    dict
        Runs by their keys.

    Raises
    ------
    InputError
        No such file, the file of another study (the message says what differs), or a line that is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(explain("The study's file cannot be read", received=f"{path} ({error})")) from None
    whole, _, torn = text.rpartition("\n")
    lines = whole.split("\n") if whole else []
    header: dict[str, Any] = _read(path, 1, lines[0]) if lines else {}
    if header.get("file") != _NAME or not isinstance(header.get("about"), dict):
        raise InputError(
            explain(
                "The file holds no study",
                received=path,
                rule="It begins with a line that says what it is about",
            )
        )
    if header.get("schema_version") != codec.SCHEMA:
        raise InputError(
            explain("The study's file is of another version", received=header.get("schema_version"),
                    rule=f"This fanin reads version {codec.SCHEMA}")
        )  # fmt: skip
    was = header["about"]
    differ = [name for name in dict.fromkeys([*was, *about]) if was.get(name) != about.get(name)]
    if differ:
        told = "; ".join(
            f"{name}: {_short(was.get(name))} there, {_short(about.get(name))} here" for name in differ
        )
        raise InputError(
            explain("The file is of another study", received=f"{path} ({told})", remedy="Choose another file")
        )
    found: dict[str, Curve] = {}
    for number, line in enumerate(lines[1:], 2):
        row = _read(path, number, line)
        try:
            found[row["key"]] = codec.decode(row["curve"], Curve)
        except (KeyError, TypeError, InputError) as error:
            raise _damaged(path, number, str(error)) from None
    if torn:
        codec.write_text(path, whole + "\n")
    return found


def _line(row: Mapping[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def _read(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, number, str(error)) from None
    if not isinstance(row, dict):
        raise _damaged(path, number, f"a {type(row).__name__}")
    return row


def _damaged(path: Path, number: int, told: str) -> InputError:
    return InputError(
        explain(
            "The study's file is damaged",
            received=f"{path}, line {number} ({told})",
            rule="Every line is one run",
            remedy="Delete that line: its run is made again",
        )
    )


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
