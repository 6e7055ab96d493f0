"""Where code stands: a file as a URI that code hosts understand, and a line."""

from __future__ import annotations

from pathlib import Path
from types import CodeType
from urllib.parse import quote

from fanin.records.finding import Origin

__all__ = ["of_code", "uri"]


def uri(path: Path) -> str:
    """A file as a URI: relative to the working directory if it lies there, else absolute.

    Examples
    --------
    >>> uri(Path("nets/my net.py"))
    'nets/my%20net.py'
    """
    whole = path.resolve()
    here = Path.cwd().resolve()
    return quote(whole.relative_to(here).as_posix()) if whole.is_relative_to(here) else whole.as_uri()


def of_code(code: CodeType) -> Origin | None:
    """Where a function was written, if that is a file in the working directory.

    Code elsewhere (of a library, of a notebook) is not what its user would mend.
    """
    path = Path(code.co_filename)
    if not path.is_file() or not path.resolve().is_relative_to(Path.cwd().resolve()):
        return None
    if "site-packages" in path.parts:
        return None
    return Origin(uri=uri(path), line=max(code.co_firstlineno, 1))
