"""stdout is data, stderr is talk, and progress is for people at a terminal only."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from fanin.records.table import visible
from fanin.reports.lines import to_ascii

__all__ = ["data", "note", "progress", "said_size", "table_width", "talk"]


def data(text: str) -> None:
    """Write a result, in ASCII where stdout's encoding knows no more."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        text = to_ascii(text)
    click.echo(text)


@contextlib.contextmanager
def talk() -> Iterator[None]:
    """What a user's own code prints is no result: it goes to stderr, and stdout stays data."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def note(text: str) -> None:
    """Tell the user something that is no result."""
    click.echo(visible(text), err=True)


def progress(text: str) -> None:
    """Show what is going on, on one line that the next one replaces; "" clears it."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r{text[:width]:{width}}\r", err=True, nl=False)


def table_width() -> int | None:
    """Columns of a terminal; None for a pipe, where lines must stay whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def said_size(path: Path) -> str:
    """A file's name and size."""
    size = path.stat().st_size
    return f"{path} ({size / 1e6:.1f} MB)" if size >= 1e6 else f"{path} ({max(1, round(size / 1e3))} kB)"
