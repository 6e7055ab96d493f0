"""What a rule is, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from fanin.predictions.forecast import Forecast
from fanin.records.finding import Finding
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["Outcome", "Passed", "Rule", "Skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """The rule was applied and found no fault; `reason` has the figures."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """The rule could not be applied, and why."""

    reason: str


Outcome: TypeAlias = Finding | Passed | Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault that can be found at step zero.

    Parameters
    ----------
    code, name
        Stable code such as "FAN101", and the words it goes by.
    definition
        What is measured, as a formula where there is one.
    threshold
        Where the line is drawn, and why there.
    advice
        What to do when it is crossed.
    check
        Pure function of graph, plan and trace.
    against
        The same with what the laws predict for this pass, where a rule compares with it.
    symptom_of
        Codes of faults that bring this one about. When one of them is found, this one is named in
        it and not reported by itself.
    remark_of
        Codes of faults beside which a mere remark of this one says nothing new.
    references
        Where it is published.
    """

    code: str
    name: str
    definition: str
    threshold: str
    advice: str
    check: Callable[[Graph, Plan, Trace], Outcome]
    against: Callable[[Graph, Plan, Trace, Forecast], Outcome] | None = None
    symptom_of: tuple[str, ...] = ()
    remark_of: tuple[str, ...] = ()
    references: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [
            f"{self.code} {self.name}",
            f"  measured   {self.definition}",
            f"  threshold  {self.threshold}",
            f"  advice     {self.advice}",
        ]
        parts += [f"  follows    {', '.join(self.symptom_of)}"] if self.symptom_of else []
        parts += [f"  source     {text}" for text in self.references]
        return "\n".join(parts)
