"""The rows of the page's tables: layers, weights and plan, folded where there are many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from fanin.records.finding import Diagnosis
from fanin.records.plan import Entry, Status
from fanin.records.trace import Measurement, Spread
from fanin.reports.figures import count, fold, pattern, percent, science, span
from fanin.reports.markup import Cell
from fanin.reports.view import Weight, grouped, layer_name, operation, weights

__all__ = ["LAYERS", "PLAN", "layer_rows", "plan_rows"]

LAYERS = (
    "layer", "operation", "shape", "forward power", "backward power",
    "mean", "dead", "saturated", "zeros", "cosine", "entropy", "other mode", "over draws",
)  # fmt: skip
PLAN = ("tensor", "shape", "fan in → out", "gain", "draw", "std planned", "std now", "ratio", "why")

T = TypeVar("T")

_SINGLE = 150
"""Up to so many rows each has its own; beyond, repeated blocks share one."""

_ROWS = 400
"""The most rows of a table: a page stays small for any model, and the JSON has the rest."""


def layer_rows(diagnosis: Diagnosis) -> tuple[list[list[Cell]], str]:
    """Rows of the table of layers, and a note on what was folded or left out ("" if nothing)."""
    trace = sorted(diagnosis.trace.measurements, key=lambda m: m.node)
    groups = _groups(trace, lambda m: (pattern(m.module), m.op, m.shape))
    drawn = {s.node: s for s in diagnosis.trace.spreads}
    return [_layer(group, drawn) for group in groups[:_ROWS]], _note(len(trace), groups)


def _groups(items: Sequence[T], key: Callable[[T], tuple[object, ...]]) -> list[list[T]]:
    return grouped(items, key, at_least=len(items) + 1 if len(items) <= _SINGLE else 2)


def _note(total: int, groups: Sequence[Sequence[object]]) -> str:
    notes = []
    if len(groups) < total:
        notes.append(
            f"{total} rows are folded into {len(groups)}: repeated blocks share one, from first to last."
        )
    if len(groups) > _ROWS:
        notes.append(f"The first {_ROWS} rows are shown.")
    return " ".join([*notes, "The JSON report holds every one."]) if notes else ""


def _layer(group: Sequence[Measurement], drawn: Mapping[int, Spread]) -> list[Cell]:
    first = group[0]
    title = layer_name(first) if len(group) == 1 else _title([m.module or operation(m) for m in group])
    ahead, back = [m.power for m in group], [m.gradient_power for m in group]
    power = _figure(ahead)
    return [
        Cell(text=title, css="name", value=None),
        Cell(text=operation(first)),
        Cell(text="×".join(map(str, first.shape))),
        Cell(text=power.text, value=power.value, css="n" if all(m.finite for m in group) else "n off"),
        _figure(back),
        _figure([m.mean for m in group]),
        _share(m.dead for m in group),
        _share(m.saturated for m in group),
        _share(m.zeros or None for m in group),
        _figure([m.cosine for m in group]),
        _figure([m.entropy for m in group]),
        _figure([m.other_power for m in group]),
        _range([drawn[m.node] for m in group if m.node in drawn]),
    ]


def _range(spreads: Sequence[Spread]) -> Cell:
    """Smallest and largest forward power over draws of the weights."""
    if not spreads:
        return Cell(text="", css="n")
    low, high = min(s.low for s in spreads), max(s.high for s in spreads)
    return Cell(text=span(science(low), science(high), arrow=" – "), value=high, css="n")


def _title(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    if len(distinct) == len(names):
        return fold(distinct)
    return f"{fold(distinct).rpartition(' ×')[0] or distinct[0]} ×{len(names)}"


def _figure(values: Sequence[float | None]) -> Cell:
    known = [v for v in values if v is not None]
    if not known:
        return Cell(text="", css="n")
    value = known[0] if math.isfinite(known[0]) else None
    return Cell(text=span(science(known[0], 3), science(known[-1], 3), arrow=" → "), value=value, css="n")


def _share(values: Iterable[float | None]) -> Cell:
    known = [v for v in values if v is not None]
    if not known:
        return Cell(text="", css="n")
    return Cell(text=span(percent(min(known)), percent(max(known)), arrow="–"), value=max(known), css="n")


def plan_rows(diagnosis: Diagnosis) -> tuple[list[list[Cell]], str]:
    """Rows of the table of the plan beside the weights as they are, and a note as in `layer_rows`."""
    measured = {w.entry.name: w for w in weights(diagnosis) if w.entry}
    entries = diagnosis.plan.entries
    groups = _groups(entries, lambda e: (pattern(e.name), e.shape, e.scheme, e.draw, e.status, e.reason))
    rows = [_entry(group, [measured.get(e.name) for e in group]) for group in groups[:_ROWS]]
    return rows, _note(len(entries), groups)


def _fan(value: float) -> str:
    return count(int(value)) if value == int(value) else science(value, 4)


def _entry(group: Sequence[Entry], found: Sequence[Weight | None]) -> list[Cell]:
    e = group[0]
    name = fold([entry.name for entry in group]) if len(group) > 1 else e.name
    tied = f" = {', '.join(e.aliases)}" if e.aliases and len(group) == 1 else ""
    actual = [w.measured.std for w in found if w is not None]
    ratios = [w.ratio for w in found if w is not None and w.ratio is not None]
    planned = e.std
    return [
        Cell(text=name + tied, css="name"),
        Cell(text="×".join(map(str, e.shape)) or "scalar"),
        Cell(
            text=f"{_fan(e.fan_in)} → {_fan(e.fan_out)}" if e.fan_in and e.fan_out else "",
            css="n",
        ),
        Cell(text=science(e.gain, 4), value=e.gain, css="n"),
        Cell(text=str(e.draw) if e.draw else str(e.status)),
        Cell(text=science(planned, 3), value=planned, css="n"),
        _figure(actual),
        _figure(ratios),
        Cell(text=e.reason if e.status != Status.UNRECOGNISED else f"Unrecognised: {e.reason}", css="wide"),
    ]
