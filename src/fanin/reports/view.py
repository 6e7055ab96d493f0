"""What a report shows of a diagnosis: rows and series, before any layout.

Everything here is a pure function of the record, shared by the text and the HTML.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fanin.records.finding import Diagnosis, Finding, Severity
from fanin.records.graph import OpKind
from fanin.records.plan import Entry
from fanin.records.trace import Measurement, ParameterMeasurement
from fanin.reports.figures import pattern

__all__ = [
    "Weight",
    "chain",
    "fold_findings_where",
    "grouped",
    "layer_name",
    "operation",
    "ranked",
    "thinned",
    "weights",
]

_CARRIERS = frozenset(
    {
        OpKind.CONTRACTION,
        OpKind.CONVOLUTION,
        OpKind.EMBEDDING,
        OpKind.RECURRENCE,
        OpKind.ATTENTION,
        OpKind.ADD,
    }
)
"""Nodes whose power tells how a signal travels. An activation halves it by design, and a
normalisation resets it, so a line through all nodes would only zigzag."""

_PLAIN_WORDS = {
    OpKind.CONTRACTION: "linear",
    OpKind.CONVOLUTION: "convolution",
    OpKind.EMBEDDING: "embedding",
    OpKind.NORM: "norm",
    OpKind.SOFTMAX: "softmax",
    OpKind.ATTENTION: "attention",
    OpKind.DROPOUT: "dropout",
}
"""Words for what frameworks spell in many ways."""

_ORDER = {Severity.FAILURE: 0, Severity.WARNING: 1, Severity.INFO: 2}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One parameter as measured, beside what the plan would give it (None where it has no entry)."""

    measured: ParameterMeasurement
    entry: Entry | None

    @property
    def planned(self) -> float | None:
        """Standard deviation that the plan would give; None where the plan keeps the tensor."""
        return self.entry.std if self.entry else None

    @property
    def ratio(self) -> float | None:
        """Measured over planned standard deviation; None where either says nothing."""
        if not self.planned or not math.isfinite(self.measured.std):
            return None
        return self.measured.std / self.planned


def layer_name(measurement: Measurement) -> str:
    """Name the module a node ran under (its operation, where that is the model itself), and which call."""
    name = measurement.module or operation(measurement)
    return f"{name} (call {measurement.call + 1})" if measurement.call else name


def operation(measurement: Measurement) -> str:
    """Name what a node computes in a word: ``linear`` rather than ``aten.addmm.default``."""
    if measurement.kind in _PLAIN_WORDS:
        return _PLAIN_WORDS[measurement.kind]
    return measurement.op.removeprefix("aten.").partition(".")[0].strip("_")


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Put the worst findings first, otherwise keep the order given."""
    return tuple(sorted(findings, key=lambda f: _ORDER[f.severity]))


def weights(diagnosis: Diagnosis) -> tuple[Weight, ...]:
    """Every measured parameter with its entry in the plan, in the order of the trace."""
    entries = {name: e for e in diagnosis.plan.entries for name in (e.name, *e.aliases)}
    return tuple(Weight(measured=p, entry=entries.get(p.name)) for p in diagnosis.trace.parameters)


def chain(diagnosis: Diagnosis) -> tuple[tuple[Measurement, ...], ...]:
    """Cut the trace into the layers of the main path.

    Each part starts at a node of `Graph.path` that carries the signal (a weighted layer or a residual
    join) and holds everything measured up to the next one. With fewer than two such nodes every
    measured node of the path starts a part. The head and what follows are left out: the loss decides
    how large an output should be, not the law of the signal.
    """
    heads = {use.node for p in diagnosis.graph.parameters for use in p.uses if use.head}
    on_path = set(diagnosis.graph.path) - heads
    trace = sorted(diagnosis.trace.measurements, key=lambda m: m.node)
    starts = {m.node for m in trace if m.node in on_path and m.kind in _CARRIERS}
    if len(starts) < 2:
        starts = {m.node for m in trace if m.node in on_path}
    parts: list[list[Measurement]] = []
    inside = False
    for measurement in trace:
        if measurement.node in starts:
            parts.append([])
            inside = True
        elif measurement.node in heads:
            inside = False
        if inside:
            parts[-1].append(measurement)
    return tuple(map(tuple, parts))


def grouped(
    items: Sequence[T], key: Callable[[T], tuple[object, ...]], *, at_least: int = 3
) -> list[list[T]]:
    """Gather items with equal keys at the place of the first; groups below `at_least` stay apart."""
    groups: dict[tuple[object, ...], list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    split = ([group] if len(group) >= at_least else [[item] for item in group] for group in groups.values())
    order = {id(item): place for place, item in enumerate(items)}
    return sorted(itertools.chain.from_iterable(split), key=lambda group: order[id(group[0])])


def thinned(items: Sequence[T], limit: int, *, worst: Callable[[T], float]) -> list[T]:
    """At most `limit` items in their order: one of each stretch of equal length, the worst of it."""
    if len(items) <= limit:
        return list(items)
    edges = [round(i * len(items) / limit) for i in range(limit + 1)]
    return [max(items[a:b], key=worst) for a, b in itertools.pairwise(edges)]


def fold_findings_where(where: Sequence[str]) -> list[list[str]]:
    """Names of a finding, those of repeated blocks together."""
    return grouped(where, lambda name: (pattern(name),), at_least=2)
