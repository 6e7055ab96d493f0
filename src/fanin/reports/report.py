"""The report: a diagnosis that prints, shows itself in a notebook, and saves."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanin.records import codec
from fanin.records.finding import Cure, Diagnosis, Finding, Severity
from fanin.records.plan import Plan
from fanin.reports.forms import save
from fanin.reports.sarif import sarif
from fanin.reports.text import lines, plain
from fanin.reports.verdict import verdict

__all__ = ["Report"]


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What a check found, to read, keep and pass on.

    Parameters
    ----------
    diagnosis
        The record that everything here shows: graph, plan, trace, findings.

    Examples
    --------
    >>> from fanin.records.finding import Diagnosis
    >>> from fanin.records.graph import Graph
    >>> from fanin.records.plan import Plan
    >>> from fanin.records.trace import Trace
    >>> from fanin.reports import Report
    >>> graph = Graph(
    ...     model="Net",
    ...     framework="torch",
    ...     engine="fake tensors",
    ...     nodes=(),
    ...     outputs=(),
    ...     path=(),
    ...     parameters=(),
    ...     activations=(),
    ...     branches=(),
    ... )
    >>> plan = Plan(model="Net", framework="torch", policy="auto", seed=0, stream=1, entries=())
    >>> trace = Trace(batch=8, source="given", mode="train", measurements=(), parameters=())
    >>> report = Report(
    ...     Diagnosis(graph=graph, plan=plan, trace=trace, findings=(), passed=(("FAN101", "finite"),))
    ... )
    >>> report.verdict
    'Net is healthy at step zero: 1 check passed.'
    """

    diagnosis: Diagnosis

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, in the order of the checks."""
        return self.diagnosis.findings

    @property
    def healthy(self) -> bool:
        """Whether nothing was found that is a warning or a failure."""
        return all(finding.severity == Severity.INFO for finding in self.findings)

    @property
    def cure(self) -> Cure | None:
        """Which findings the plan cures, and which it does not; None where that was not tried."""
        return self.diagnosis.cure

    def plan(self) -> Plan:
        """Hand over what cures the model as far as weights can: to edit, save, or carry out with ``apply_``.

        It is fanin's plan for the whole model, not for the tensors at fault alone: weights are right
        together or not at all. `Plan.diff` compares it with another one.
        """
        return self.diagnosis.plan

    @property
    def verdict(self) -> str:
        """One sentence: how the model is, and why."""
        return verdict(self.diagnosis)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return plain(self.diagnosis)

    def __rich__(self) -> Any:
        return importlib.import_module("fanin.reports.terminal").as_rich(lines(self.diagnosis))

    def _repr_html_(self) -> str:
        fragment: str = importlib.import_module("fanin.reports.notebook").fragment(self.diagnosis)
        return fragment

    def to_json(self) -> str:
        """Write the diagnosis as a JSON document; `fanin.records.codec.from_json` reads it back."""
        return codec.to_json(self.diagnosis)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report, in the form that the name's suffix asks for.

        Parameters
        ----------
        path
            ``.html`` for one self-contained page (needs the extra ``report``), ``.json`` for the
            record, ``.sarif`` for code hosts, ``.txt`` for plain text. The file appears whole or not at all.

        Returns
        -------
        pathlib.Path
            Where it was written.

        Raises
        ------
        InputError
            A suffix that stands for no form, or a form whose library is not installed.
        OutputError
            A place that cannot be written.
        """
        forms: dict[str, Callable[[], str]] = {
            ".html": lambda: str(importlib.import_module("fanin.reports.html").page(self.diagnosis)),
            ".json": self.to_json,
            ".sarif": lambda: sarif(self.diagnosis),
            ".txt": lambda: plain(self.diagnosis, width=100) + "\n",
        }
        return save(path, "A report", forms)
