"""Findings that are known and accepted: a file that says which, so that only new ones count."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from fanin.checks.registry import rules
from fanin.errors import InputError, explain
from fanin.records.codec import write_text
from fanin.records.finding import Diagnosis, Finding

__all__ = ["accept", "read", "stale", "stale_said", "write"]

_VERSION = 1
_LARGEST = 16_000_000
_SHOWN = 6


def accept(diagnosis: Diagnosis, known: frozenset[tuple[str, str]]) -> Diagnosis:
    """Move findings that a baseline knows to `Diagnosis.accepted`.

    A finding is known when its code is, at every place that it names; one that spreads to a new layer is
    new. What the baseline knows and nobody finds any more is told in a note.

    Parameters
    ----------
    diagnosis
        As the rules made it.
    known
        Pairs of code and place, as `read` returns them.

    Examples
    --------
    >>> from fanin.records.graph import Graph
    >>> accept.__name__
    'accept'
    """
    old = tuple(f for f in diagnosis.findings if _pairs([f]) <= known)
    new = tuple(f for f in diagnosis.findings if f not in old)
    trace = diagnosis.trace
    if gone := stale(diagnosis, known):
        trace = replace(trace, notes=(*trace.notes, stale_said(gone)))
    return replace(diagnosis, findings=new, accepted=(*diagnosis.accepted, *old), trace=trace)


def stale(diagnosis: Diagnosis, known: frozenset[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What a baseline knows and a check has looked for in vain, in order.

    A check that was not made, or was left out, says nothing about what it would find; nor does one whose
    finding is a symptom of another now. A code that no check has is found by nobody.

    Parameters
    ----------
    diagnosis
        With or without what is accepted.
    known
        Pairs of code and place.
    """
    findings = (*diagnosis.findings, *diagnosis.accepted)
    looked = {code for code, _ in diagnosis.passed} | {f.code for f in findings}
    every = {rule.code for rule in rules()}
    return tuple(
        sorted(pair for pair in known - _pairs(findings) if pair[0] in looked or pair[0] not in every)
    )


def stale_said(gone: Sequence[tuple[str, str]]) -> str:
    """A sentence about entries that are stale.

    Examples
    --------
    >>> stale_said([("FAN102", "0.weight")])
    '1 entry of the baseline is not found any more: FAN102 at 0.weight'
    """
    shown = ", ".join(f"{code} at {place}" if place else code for code, place in gone[:_SHOWN])
    more = f", and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
    many = "entry of the baseline is" if len(gone) == 1 else "entries of the baseline are"
    return f"{len(gone)} {many} not found any more: {shown}{more}"


def _pairs(findings: Iterable[Finding]) -> set[tuple[str, str]]:
    return {(f.code, place) for f in findings for place in (f.where or ("",))}


def write(path: str | os.PathLike[str], diagnosis: Diagnosis) -> Path:
    """Write all of a diagnosis's findings, accepted ones too, as the new baseline.

    Raises
    ------
    OutputError
        A place that cannot be written.
    """
    pairs = sorted(_pairs((*diagnosis.findings, *diagnosis.accepted)))
    body = {"baseline": _VERSION, "findings": [{"code": code, "place": place} for code, place in pairs]}
    return write_text(Path(path), json.dumps(body, indent=1, ensure_ascii=False) + "\n")


def read(path: str | os.PathLike[str]) -> frozenset[tuple[str, str]]:
    """Read a baseline.

    Raises
    ------
    InputError
        A file that cannot be read, or is no baseline.
    """
    place = Path(path)
    try:
        if place.stat().st_size <= _LARGEST:
            body = json.loads(place.read_text(encoding="utf-8"))
            if body["baseline"] == _VERSION:
                return frozenset((str(entry["code"]), str(entry["place"])) for entry in body["findings"])
        raise InputError(
            explain(
                "A baseline cannot be read",
                received=str(path),
                rule=f"It is a file of version {_VERSION}, of at most {_LARGEST} bytes",
                remedy="Write one with --update-baseline",
            )
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            explain(
                "A baseline cannot be read",
                received=f"{path}: {type(error).__name__}: {error}",
                remedy="Write one with --update-baseline",
            )
        ) from error
