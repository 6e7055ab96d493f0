"""What every tensor of a model will get, and why.

A plan is data: it prints, saves, loads, diffs, and can be edited by rules before anything is
written to the model.
"""

from __future__ import annotations

import fnmatch
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from fanin.errors import InputError, explain, nearest
from fanin.records import codec
from fanin.records.axes import Axes, Role
from fanin.records.draw import Draw, Structured
from fanin.records.seeds import checked_seed
from fanin.records.table import Row, folded, render, visible

__all__ = ["Block", "Change", "Difference", "Entry", "Plan", "Scheme", "Status"]


class Scheme(Protocol):
    """Anything that can say what to draw for a shape whose axes are known."""

    @property
    def name(self) -> str:
        """Name under which the scheme is listed."""
        ...

    def draw(self, shape: tuple[int, ...], axes: Axes | None) -> Draw:
        """The distribution for a tensor of this shape."""
        ...


class Status(StrEnum):
    """What a plan does with a tensor."""

    CLAIMED = "claimed"
    """A rule knows what the tensor is for and draws it."""
    KEPT = "kept"
    """Left as it is, for the stated reason (frozen, loaded, a buffer of its owner)."""
    UNRECOGNISED = "unrecognised"
    """No rule explains it: a safe law is used, or it is kept, and it is flagged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One part of a packed tensor (query, key and value; gate and up; gates): a tensor of its own.

    Parameters
    ----------
    name
        Second part of the name of its random stream, after the entry's: its place, counted from 0.
    start, size
        Units of the out dimension that it holds.
    fan_in, fan_out
        Of this part alone.
    draw
        What it will be filled with, as if it were not packed.
    """

    name: str
    start: int
    size: int
    fan_in: float | None = None
    fan_out: float | None = None
    draw: Draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One tensor's line in a plan.

    Parameters
    ----------
    name, aliases
        Canonical name, which is also the name of its random stream, and the names tied to it.
    axes, fan_in, fan_out
        Roles of its dimensions and the fans that follow, where it has any.
    gain
        Factor on the std that the next activation asks for; None where no gain plays a part.
    draw
        What it will be filled with; None when it is kept. Of a packed tensor that of the first block.
    scheme
        Name of the law.
    rule
        Name of the rule that claimed it.
    reason, evidence, references
        Why: one sentence; what in the graph says so; where it is published.
    zeroed
        Row of the first dimension that is set to zero after the draw (an embedding's padding).
    blocks
        Parts of a packed tensor, in their order along the out dimension; empty where there is one part.
    """

    name: str
    aliases: tuple[str, ...] = ()
    shape: tuple[int, ...]
    dtype: str
    buffer: bool = False
    axes: Axes | None = None
    fan_in: float | None = None
    fan_out: float | None = None
    gain: float | None = None
    status: Status
    draw: Draw | None = None
    scheme: str
    rule: str
    reason: str
    evidence: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    zeroed: int | None = None
    blocks: tuple[Block, ...] = ()

    @property
    def std(self) -> float | None:
        """Standard deviation of all elements together; None when the tensor is kept."""
        if self.draw is None or not self.blocks:
            return None if self.draw is None else self.draw.std
        # Blocks differ in size, and laws of weights have mean 0.
        power = sum(block.size * block.draw.std**2 for block in self.blocks)
        return math.sqrt(power / sum(block.size for block in self.blocks))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field of one entry that differs between two plans; None where there is no such entry."""

    name: str
    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How one plan differs from another: empty when they do the same."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        if not self.changes:
            return "no difference"
        rows = [
            Row(key=c.name, cells=(c.field, _or_absent(c.before), _or_absent(c.after))) for c in self.changes
        ]
        return render(("tensor", "field", "before", "after"), folded(rows))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Plan:
    """What a whole model gets, line by line.

    Parameters
    ----------
    stream
        Version of the random streams; with `seed` and an entry's name it fixes every number.
    """

    model: str
    framework: str
    policy: str
    seed: int
    stream: int
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # NumPy's whole numbers become plain ones: a plan is written as JSON.
        object.__setattr__(self, "seed", checked_seed(self.seed))

    def __getitem__(self, name: str) -> Entry:
        """The entry of a tensor, by its name or by one tied to it."""
        for entry in self.entries:
            if name == entry.name or name in entry.aliases:
                return entry
        raise nearest(name, (e.name for e in self.entries), kind="tensor in this plan")

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.table()

    @property
    def unrecognised(self) -> tuple[Entry, ...]:
        """The entries that no rule explains."""
        return tuple(e for e in self.entries if e.status == Status.UNRECOGNISED)

    def summary(self) -> str:
        """One line: the model, the policy, and how many tensors are claimed, kept, unrecognised."""
        tensors = {s: [e for e in self.entries if e.status == s] for s in Status}
        counts = [f"{len(found)} {s}" for s, found in tensors.items() if found]
        told = f" ({', '.join(counts)})" if counts else ""
        return visible(
            f"{self.model}: {len(self.entries)} tensors{told}; "
            f"policy {self.policy}, seed {self.seed}, stream {self.stream}"
        )

    def table(self, *, fold: bool = True, width: int | None = None) -> str:
        """The plan as a plain text table; repeated blocks are one line unless `fold` is false."""
        rows = [Row(key=entry.name, cells=_cells(entry)) for entry in self.entries]
        lines = folded(rows) if fold else [(row.key, *row.cells) for row in rows]
        header = ("tensor", "shape", "axes", "fans", "gain", "draw", "std", "why")
        body = render(header, lines, width=width)
        ties = [f"tied: {e.name} = {', '.join(e.aliases)}" for e in self.entries if e.aliases]
        rest = [*ties, *(f"note: {note}" for note in self.notes), self.summary()]
        return "\n".join([body, *map(visible, rest)])

    def why(self, name: str) -> str:
        """Everything behind one line: rule, reason, evidence, numbers, references."""
        e = self[name]
        numbers = [f"shape {_shape(e.shape)}", f"dtype {e.dtype}"]
        numbers += [f"axes {e.axes}"] if e.axes else []
        numbers += [f"fan_in {e.fan_in:g}, fan_out {e.fan_out:g}"] if e.fan_in and e.fan_out else []
        numbers += [f"gain {e.gain:.6g}"] if e.gain is not None else []
        numbers += [f"draw {e.draw}, std {e.draw.std:.6g}"] if e.draw and not e.blocks else []
        numbers += [_told(e, block) for block in e.blocks]
        lines = [f"{e.name}: {e.scheme} ({e.status} by rule '{e.rule}')", f"  why       {e.reason}"]
        lines += [f"  evidence  {text}" for text in e.evidence]
        lines += [f"  numbers   {text}" for text in numbers]
        lines += [f"  source    {text}" for text in e.references]
        return "\n".join(lines)

    def override(self, rules: Mapping[str, Scheme | Draw]) -> Plan:
        """A plan in which the tensors whose names match get another scheme.

        Parameters
        ----------
        rules
            Shell-style patterns (``*.embed.weight``) on whole names, each with a scheme or a draw.
            Where several match, the last one counts.

        Raises
        ------
        InputError
            A pattern that matches no tensor, or a scheme that cannot serve a matched tensor.
        """
        entries = list(self.entries)
        for pattern, scheme in rules.items():
            matched = [
                place
                for place, entry in enumerate(entries)
                if any(fnmatch.fnmatchcase(name, pattern) for name in (entry.name, *entry.aliases))
            ]
            if not matched:
                error = nearest(pattern, (e.name for e in entries), kind="tensor pattern")
                raise InputError(f"A pattern matches no tensor of the plan. {error}")
            for place in matched:
                entries[place] = _overridden(entries[place], pattern, scheme)
        return replace(self, entries=tuple(entries))

    def diff(self, other: Plan) -> Difference:
        """How `other` differs from this plan, tensor by tensor."""
        changes: list[Change] = []
        if self.stream != other.stream or self.seed != other.seed:
            pairs = (("seed", self.seed, other.seed), ("stream", self.stream, other.stream))
            changes += [
                Change(name="(plan)", field=field, before=str(a), after=str(b))
                for field, a, b in pairs
                if a != b
            ]
        mine, theirs = ({e.name: e for e in plan.entries} for plan in (self, other))
        for name in dict.fromkeys([*mine, *theirs]):
            a, b = mine.get(name), theirs.get(name)
            if a is None or b is None:
                texts = [None if e is None else str(e.draw) for e in (a, b)]
                changes.append(Change(name=name, field="tensor", before=texts[0], after=texts[1]))
                continue
            changes += [
                Change(name=name, field=field, before=str(getattr(a, field)), after=str(getattr(b, field)))
                for field in ("shape", "dtype", "axes", "status", "draw", "blocks", "zeroed", "aliases")
                if getattr(a, field) != getattr(b, field)
            ]
        return Difference(changes=tuple(changes))

    def to_json(self) -> str:
        """The plan as a JSON document."""
        return codec.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that a JSON document holds."""
        return codec.from_json(text, cls)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the plan to a JSON file."""
        return codec.write(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Read a plan from a JSON file."""
        return codec.read(path, cls)


def _overridden(entry: Entry, pattern: str, scheme: Scheme | Draw) -> Entry:
    if isinstance(scheme, Draw):
        drawn: Draw = scheme
        name = type(scheme).__name__
        # A structured draw was made for one shape, and that is the whole one.
        split = () if isinstance(scheme, Structured) else entry.blocks
        blocks = tuple(replace(block, draw=scheme) for block in split)
    elif callable(getattr(scheme, "draw", None)):
        name = scheme.name
        try:
            blocks = _redrawn(entry, scheme)
            drawn = blocks[0].draw if blocks else scheme.draw(entry.shape, entry.axes)
        except InputError as error:
            raise InputError(
                f"Pattern '{pattern}' cannot be carried out on '{entry.name}'. {error}"
            ) from None
    else:
        raise InputError(
            explain(
                f"Pattern '{pattern}' has no scheme",
                received=repr(scheme),
                rule="A rule gives a scheme or a draw",
                remedy="For example {'*.weight': fanin.normal(std=0.02)}",
            )
        )
    return replace(
        entry,
        status=Status.CLAIMED,
        draw=drawn,
        blocks=blocks,
        scheme=name,
        gain=None,
        rule="override",
        reason=f"the user's rule '{pattern}'",
        evidence=(),
        references=(),
    )


def _redrawn(entry: Entry, scheme: Scheme) -> tuple[Block, ...]:
    """The blocks under another scheme; none where it serves the whole tensor only (given values)."""
    try:
        return tuple(replace(block, draw=scheme.draw(*_alone(entry, block.size))) for block in entry.blocks)
    except InputError:
        return ()


def _alone(entry: Entry, size: int) -> tuple[tuple[int, ...], Axes | None]:
    """Shape and axes of a block of `size` units by itself."""
    if entry.axes is None:
        return (size, *entry.shape[1:]), None
    shape = tuple(size if r == Role.OUT else n for n, r in zip(entry.shape, entry.axes.roles, strict=True))
    return shape, replace(entry.axes, groups=1)


def _told(entry: Entry, block: Block) -> str:
    fans = f", fans {block.fan_in:g} → {block.fan_out:g}" if block.fan_in and block.fan_out else ""
    units = f"units {block.start} to {block.start + block.size - 1}"
    stream = f"stream ('{entry.name}', '{block.name}')"
    return f"block {block.name}: {units}{fans}, draw {block.draw}, std {block.draw.std:.6g}, {stream}"


def _or_absent(text: str | None) -> str:
    return "(absent)" if text is None else text


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) if shape else "scalar"


def _cells(entry: Entry) -> tuple[str, ...]:
    parts = entry.blocks or (entry,)
    fans = _each(f"{p.fan_in:.6g} → {p.fan_out:.6g}" if p.fan_in and p.fan_out else "" for p in parts)
    draw, std = str(entry.status), ""
    if entry.draw is not None:
        draw = _each(str(part.draw) for part in parts)
        std = _each("" if part.draw is None else f"{part.draw.std:.4g}" for part in parts)
    why = entry.reason if entry.status != Status.UNRECOGNISED else f"UNRECOGNISED: {entry.reason}"
    gain = "" if entry.gain is None else f"{entry.gain:.4g}"
    axes = str(entry.axes or "")
    if entry.blocks and (entry.axes is None or entry.axes.groups == 1):
        axes += f", {len(entry.blocks)} blocks"
    return _shape(entry.shape), axes, fans, gain, draw, std, why


def _each(texts: Iterable[str]) -> str:
    """What all blocks share once, what differs one after another."""
    return " | ".join(dict.fromkeys(texts))
