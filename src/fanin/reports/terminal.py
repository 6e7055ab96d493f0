"""The text report in colour, where rich is installed and the output is a terminal."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from fanin.records.finding import Diagnosis
from fanin.reports.lines import Line, Piece, to_ascii
from fanin.reports.text import head, lines

__all__ = ["as_rich", "brief", "show", "write_lines"]

_STYLES = {
    "bold": "bold",
    "dim": "dim",
    "fix": "green",
    "healthy": "bold green",
    "failure": "bold red",
    "warning": "bold yellow",
    "info": "bold blue",
}

_LEAST, _NARROW, _WIDE = 40, 80, 120
"""The fewest columns, those of a pipe, and the most that a report uses of a wide terminal."""


def as_rich(report: Sequence[Line]) -> Any:
    """Styled lines as a ``rich.text.Text``."""
    text = importlib.import_module("rich.text").Text(no_wrap=True)
    for place, line in enumerate(report):
        text.append("\n" if place else "")
        for piece in line:
            text.append(piece.text, style=_STYLES.get(piece.style, ""))
    return text


def show(diagnosis: Diagnosis, stream: TextIO) -> None:
    """Write the report to an open text stream, as rich as that stream can show it.

    A terminal gets its width and, where rich is installed and NO_COLOR is not set, colour; a pipe
    gets 80 plain columns. Characters that the stream's encoding lacks are replaced by ASCII.
    """
    write_lines(lambda width: lines(diagnosis, width=width), stream)


def brief(diagnosis: Diagnosis, stream: TextIO, *, margin: str = "") -> None:
    """Write the verdict and the findings only, each line behind a margin."""
    indented = [(Piece(margin), *line) for line in head(diagnosis, width=_width(stream) - len(margin))]
    _write(indented, stream)


def write_lines(laid_out: Callable[[int], Sequence[Line]], stream: TextIO) -> None:
    """Write what a function lays out for a width, as rich as the stream can show it; see `show`."""
    width = _width(stream)
    report, room = laid_out(width), width
    # ASCII needs more room for some signs: sqrt for √. Lines stay within the width all the same.
    while (over := _excess(report, stream, width)) > 0 and room > _LEAST:
        room = max(_LEAST, room - over)
        report = laid_out(room)
    _write(report, stream)


def _excess(report: Sequence[Line], stream: TextIO, width: int) -> int:
    written = ["".join(piece.text for piece in line).rstrip() for line in report]
    if _can_say(stream, "\n".join(written)):
        return 0
    return max((len(to_ascii(line)) for line in written), default=0) - width


def _width(stream: TextIO) -> int:
    return max(_LEAST, min(shutil.get_terminal_size().columns, _WIDE)) if stream.isatty() else _NARROW


def _write(report: Sequence[Line], stream: TextIO) -> None:
    coloured = (stream.isatty() or os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR")
    if coloured and _can_say(stream, "▁█→×✗"):
        try:
            rich = importlib.import_module("rich.console")
        except ImportError:
            pass
        else:
            rich.Console(file=stream, highlight=False).print(as_rich(report), soft_wrap=True)
            return
    text = "\n".join("".join(piece.text for piece in line).rstrip() for line in report) + "\n"
    stream.write(text if _can_say(stream, text) else to_ascii(text))


def _can_say(stream: TextIO, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
