"""What is wrong, where, why, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.prediction import Prediction
from fanin.records.trace import Trace

__all__ = ["Cure", "Diagnosis", "Finding", "Origin", "Severity", "SkippedCheck"]


class Severity(StrEnum):
    """How bad a finding is: info, warning (training will suffer), failure (it will not train)."""

    INFO = "info"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault with one cause.

    Parameters
    ----------
    code, name
        Stable code such as "FAN201" and its words, such as "vanishing gradients".
    summary
        One sentence with the figures.
    cause, fix
        What brings it about; the exact act that cures it.
    where
        Modules or parameters concerned, in execution order.
    evidence
        Named figures, measured and expected.
    """

    code: str
    name: str
    severity: Severity
    summary: str
    cause: str
    fix: str
    where: tuple[str, ...] = ()
    evidence: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedCheck:
    """A check that could not be made, and why."""

    code: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cure:
    """What became of each finding when the plan was carried out on trial, and taken back again.

    Parameters
    ----------
    cured
        Codes of findings that were gone.
    left
        Codes of findings that stayed: no initialisation cures them.
    new
        Codes of warnings and failures that were not there before.
    """

    cured: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    new: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a model's code stands.

    Parameters
    ----------
    uri
        Of the file: relative to the working directory where it lies there, as code hosts want it.
    line
        Counted from 1.
    """

    uri: str
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything a check found out: the findings and what they rest on.

    `plan` is what fanin would do to this model: the yardstick for the weights that were measured.
    `environment` names versions, device and seed, for the report's reader to repeat the run. `accepted` are
    findings that a baseline knows already; `cure` says what the plan would do about the others, if it was
    tried. `prediction` is what the laws say of the weights as they are, `planned` of the plan's. `origin` is
    where the model's code stands, if that is known.
    """

    graph: Graph
    plan: Plan
    trace: Trace
    findings: tuple[Finding, ...]
    skipped: tuple[SkippedCheck, ...] = ()
    passed: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    accepted: tuple[Finding, ...] = ()
    cure: Cure | None = None
    prediction: Prediction | None = None
    planned: Prediction | None = None
    origin: Origin | None = None
