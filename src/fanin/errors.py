"""Every error fanin raises on purpose.

A message answers four questions: what was wrong, which value was received, what the rule is, and
what to do about it. `explain` puts them together, so that all messages read alike.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

__all__ = [
    "FaninError",
    "InputError",
    "MissingError",
    "ModelError",
    "OutputError",
    "PrecisionWarning",
    "TargetError",
    "UnknownNameError",
    "explain",
    "finite",
    "missing",
    "nearest",
]


class FaninError(Exception):
    """Base of all errors raised by fanin."""


class InputError(FaninError, ValueError):
    """A value that no law, scheme or plan can serve."""


class UnknownNameError(InputError):
    """A name that is not in the catalogue; the message suggests the nearest."""


class ModelError(FaninError, RuntimeError):
    """The user's model failed, or cannot be read; the message names the module."""


class TargetError(FaninError):
    """A command line TARGET that cannot be imported or holds no model."""


class OutputError(FaninError, OSError):
    """A file that cannot be written; nothing was left behind."""


class MissingError(FaninError, ModuleNotFoundError):
    """A library that a part of fanin is for, and that is not installed."""


class PrecisionWarning(UserWarning):
    """A format whose numbers are too coarse for a draw; the message has the figures."""


def explain(what: str, *, received: object = None, rule: str = "", remedy: str = "") -> str:
    """Compose one message, of one line: what is wrong, the value received, the rule, the remedy."""
    parts = [_line(what).rstrip(".") + "."]
    if received is not None:
        parts.append(f"Received: {_line(str(received)).rstrip('.')}.")
    parts.extend(text.rstrip(".") + "." for text in (rule, remedy) if text)
    return " ".join(parts)


def _line(text: str) -> str:
    """A text with its lines one after the other: a framework's message may have many."""
    return " ".join(part.strip() for part in text.splitlines() if part.strip()) if "\n" in text else text


def finite(value: object) -> bool:
    """Whether a value is a finite real number; words, switches and complex numbers are none."""
    if isinstance(value, str | bytes | bool | complex):
        return False
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def missing(part: str, error: ModuleNotFoundError, *, extra: str, remedy: str = "") -> MissingError:
    """Build the error for a part of fanin whose library is not installed; `extra` is what brings it."""
    library = (error.name or "").partition(".")[0]
    text = explain(
        f"{part} needs {library}, which is not installed",
        remedy=remedy or f"python -m pip install 'fanin[{extra}]'",
    )
    return MissingError(text, name=library)


def nearest(name: str, known: Iterable[str], *, kind: str) -> UnknownNameError:
    """Build the error for an unknown name, with the closest known names."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    remedy = f"Did you mean {' or '.join(map(repr, close))}?" if close else ""
    shown = ", ".join(options[:40]) + (", ..." if len(options) > 40 else "")
    text = f"Unknown {kind}. Received: {name!r}. Known: {shown}."
    return UnknownNameError(f"{text} {remedy}".rstrip())
