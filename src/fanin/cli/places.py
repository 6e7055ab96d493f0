"""Where in its file the name in a TARGET stands, as an editor or a code host would show it."""

from __future__ import annotations

import ast
import contextlib
import sys
from pathlib import Path

from fanin.records.finding import Origin
from fanin.records.origin import uri

__all__ = ["origin"]


def origin(target: str) -> Origin | None:
    """The file of a TARGET that was loaded, and the line that defines its name.

    Parameters
    ----------
    target
        ``module:callable``, ``file.py:callable`` or ``hf:CONFIG``.

    Returns
    -------
    Origin or None
        None where a module has no file.
    """
    place, _, name = target.rpartition(":")
    if target.startswith("hf:"):
        path = Path(target[3:])
        return Origin(uri=uri(path / "config.json" if path.is_dir() else path))
    file = place if place.endswith(".py") else getattr(sys.modules.get(place), "__file__", None)
    if file is None or not Path(file).is_file():
        return None
    return Origin(uri=uri(Path(file)), line=_line(Path(file), name.partition(".")[0]))


def _line(file: Path, name: str) -> int:
    """Where a name is defined first; 1 where it is not seen."""
    with contextlib.suppress(OSError, ValueError, SyntaxError, RecursionError):
        for node in ast.walk(ast.parse(file.read_bytes())):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name == name:
                    return node.lineno
                case ast.Name(id=found, ctx=ast.Store()) if found == name:
                    return node.lineno
                case ast.alias() if (node.asname or node.name) == name:
                    return node.lineno
    return 1
