"""Weights as they are beside what a plan or a convention declares, tensor by tensor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fanin.errors import nearest
from fanin.records import codec
from fanin.records.finding import Severity
from fanin.records.table import NUMBER, Row, folded, render

__all__ = ["Audit", "Comparison", "Match", "Test", "folded_name", "grouped"]


class Match(StrEnum):
    """How a tensor compares with what is declared for it."""

    EXACT = "same bits"
    """Its numbers are those that the plan's seed draws."""
    AGREES = "agrees"
    """No test finds it odd under the declared law."""
    DIFFERS = "differs"
    """A test that would be wrong less often than stated says that it has another law."""
    KEPT = "kept"
    """The plan declares no law for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One question put to a tensor, or to one block of a packed one.

    Parameters
    ----------
    name
        What is compared: "std", "mean", "distribution", "bounds", "value", "orthonormality".
    block
        Name of the block; "" for a whole tensor.
    measured, declared
        The two figures.
    chance
        Of a measured figure as far off, or farther, if the tensor has the declared law; 0 where that
        cannot happen.
    """

    __test__ = False  # not for pytest

    name: str
    block: str = ""
    measured: float
    declared: float
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One tensor's line in an audit.

    Parameters
    ----------
    name, aliases, shape, dtype
        Of the tensor.
    match, severity
        How it compares, and how bad that is; None where nothing is wrong.
    declared, declared_mean, declared_std
        The law in words and its moments; "" and None where the plan keeps the tensor.
    rule
        Name of the rule that declares it.
    mean, std, low, high
        As measured.
    law
        Usual law that the tensor seems to follow; "" where none is known.
    faults
        Words for what is wrong: "std", "mean", "distribution", "bounds", "value", "orthonormality",
        "zeros", "constant", "not finite", "garbage", "identical".
    finding
        What is wrong, with figures and the likely cause; "" where nothing is.
    tests
        Every question that was put to it.
    """

    name: str
    aliases: tuple[str, ...] = ()
    shape: tuple[int, ...]
    dtype: str
    match: Match
    severity: Severity | None = None
    declared: str = ""
    declared_mean: float | None = None
    declared_std: float | None = None
    rule: str = ""
    mean: float
    std: float
    low: float
    high: float
    law: str = ""
    faults: tuple[str, ...] = ()
    finding: str = ""
    tests: tuple[Test, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Measured over declared std; None where nothing random is declared."""
        return self.std / self.declared_std if self.declared_std else None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Audit:
    """What comparing a model's weights with a declaration found.

    Parameters
    ----------
    model, framework
        What was looked at.
    against
        What it was compared with, in words.
    level
        Chance that any tensor at all is called different although all have the declared laws.
    comparisons
        One line a tensor, in the plan's order.
    """

    model: str
    framework: str
    against: str
    level: float
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Comparison:
        """The line of a tensor, by its name or by one tied to it."""
        for line in self.comparisons:
            if name == line.name or name in line.aliases:
                return line
        raise nearest(name, (line.name for line in self.comparisons), kind="tensor in this audit")

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.table()

    @property
    def faulty(self) -> tuple[Comparison, ...]:
        """Lines with something wrong, the gravest first."""
        order = (Severity.FAILURE, Severity.WARNING, Severity.INFO)
        found = [line for line in self.comparisons if line.severity is not None]
        return tuple(sorted(found, key=lambda line: order.index(line.severity or Severity.INFO)))

    @property
    def agrees(self) -> bool:
        """Whether nothing was found that is a warning or a failure."""
        return all(line.severity == Severity.INFO for line in self.faulty)

    @property
    def verdict(self) -> str:
        """One sentence: whether the model follows the declaration, and where it does not."""
        compared = [line for line in self.comparisons if line.match != Match.KEPT]
        exact = sum(line.match == Match.EXACT for line in compared)
        same = f", {exact} of them to the last bit" if exact else ""
        kept = len(self.comparisons) - len(compared)
        beside = f"; {kept} kept ones are not compared" if kept else ""
        wrong = [line for line in self.faulty if line.severity != Severity.INFO]
        if not wrong:
            if not compared:
                return f"{self.model}: {self.against} declares no law for any of {kept} tensors."
            return f"{self.model} follows {self.against}: {_tensors(len(compared))} agree{same}{beside}."
        counts: dict[str, int] = {}
        for line in wrong:
            counts[line.faults[0]] = counts.get(line.faults[0], 0) + 1
        said = ", ".join(f"{count} {fault}" for fault, count in counts.items())
        share = f"{len(wrong)} of {_tensors(len(self.comparisons))} are not as declared ({said})"
        return f"{self.model} does not follow {self.against}: {share}{beside}."

    def table(self, *, fold: bool = True, width: int | None = None) -> str:
        """The audit as plain text: every tensor, then what is wrong, then the verdict.

        Repeated blocks are one line unless `fold` is false.
        """
        groups = grouped(self.comparisons) if fold else [[line] for line in self.comparisons]
        rows = [(folded_name(group), *_cells(group)) for group in groups]
        header = ("tensor", "shape", "declared", "std declared", "std is", "ratio", "verdict")
        body = render(header, rows, width=width)
        told = [
            f"{str(group[0].severity).upper()}  {folded_name(group)}: {group[0].finding}"
            for group in grouped(self.faulty)
        ]
        return "\n".join([body, *told, *(f"note: {note}" for note in self.notes), self.verdict])

    def why(self, name: str) -> str:
        """Everything behind one line: what is declared, what was measured, each test and its chance."""
        line = self[name]
        lines = [f"{line.name}: {line.match}" + (f" ({line.severity})" if line.severity else "")]
        lines += [f"  finding   {line.finding}"] if line.finding else []
        lines += [f"  declared  {line.declared} by rule '{line.rule}'"] if line.declared else []
        lines += [
            f"  measured  mean {line.mean:.6g}, std {line.std:.6g}, from {line.low:.6g} to {line.high:.6g}"
        ]
        lines += [f"  follows   {line.law}"] if line.law else []
        for test in line.tests:
            block = f" of block {test.block}" if test.block else ""
            figures = f"{test.measured:.6g}, declared {test.declared:.6g}"
            lines.append(f"  test      {test.name}{block}: {figures}, chance {test.chance:.3g}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """The audit as a JSON document."""
        return codec.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Audit:
        """The audit that a JSON document holds."""
        return codec.from_json(text, cls)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the audit to a JSON file."""
        return codec.write(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Audit:
        """Read an audit from a JSON file."""
        return codec.read(path, cls)


def grouped(lines: Sequence[Comparison]) -> list[list[Comparison]]:
    """Lines that differ in the numbers of their names and in what was measured, at the place of the first."""
    groups: dict[tuple[object, ...], list[Comparison]] = {}
    for line in lines:
        key = (NUMBER.sub("#", line.name), line.shape, line.declared, line.match, line.severity, line.faults)
        groups.setdefault(key, []).append(line)
    return list(groups.values())


def folded_name(group: Sequence[Comparison]) -> str:
    """One name for a group's tensors: ``layers.0-31.weight ×32``."""
    return folded(Row(key=line.name, cells=()) for line in group)[0][0]


def _tensors(count: int) -> str:
    return f"{count} tensor" + ("s" if count != 1 else "")


def _cells(group: Sequence[Comparison]) -> tuple[str, ...]:
    first = group[0]
    shape = "×".join(map(str, first.shape)) if first.shape else "scalar"
    declared = "" if first.declared_std is None else f"{first.declared_std:.4g}"
    ratios = [line.ratio for line in group if line.ratio is not None]
    word = str(first.match) if first.severity is None else ", ".join(first.faults)
    return (
        shape,
        first.declared or "kept",
        declared,
        _between([line.std for line in group]),
        _between(ratios, digits=3),
        word if first.severity is None else f"{word} ({first.severity})",
    )


def _between(values: Sequence[float], digits: int = 4) -> str:
    if not values:
        return ""
    low, high = f"{min(values):.{digits}g}", f"{max(values):.{digits}g}"
    return low if low == high else f"{low}-{high}"
