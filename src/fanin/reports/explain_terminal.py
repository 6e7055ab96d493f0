"""An explanation on a stream: coloured on a terminal that can, plain elsewhere."""

from __future__ import annotations

import importlib
import os
import shutil
from typing import TextIO

from fanin.records.explanation import Explanation
from fanin.reports.explain_text import explanation_lines, explanation_text
from fanin.reports.terminal import as_rich

__all__ = ["show_explanation"]

_NARROW, _WIDE, _PIPE = 60, 110, 100


def show_explanation(told: Explanation, stream: TextIO) -> None:
    """Write an explanation to an open text stream.

    A terminal gets its width and, where rich is installed and NO_COLOR is not set, colour; a pipe gets
    plain lines of 100 columns.
    """
    terminal = stream.isatty()
    width = max(_NARROW, min(shutil.get_terminal_size().columns, _WIDE)) if terminal else _PIPE
    if (terminal or os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR"):
        try:
            rich = importlib.import_module("rich.console")
        except ImportError:
            pass
        else:
            text = as_rich(explanation_lines(told, width=width))
            if _can_say(stream, text.plain):
                rich.Console(file=stream, highlight=False).print(text, soft_wrap=True)
                return
    stream.write(explanation_text(told, width=width, stream=stream) + "\n")


def _can_say(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
