"""FAN207: orthogonal matrices that are not drawn evenly from all of them."""

from __future__ import annotations

import math

from fanin.checks.causes import init_verb, named
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.weights import weighed
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_COSINE = 1e-3
_FLAT = 12.0
_ERRORS = 6.0


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    found = [
        w for w in weighed(graph, plan, trace)
        # Identities and permutations are orthogonal as well; nearly all of their numbers are 0.
        if w.measure.signs is not None and (w.measure.correlation or 0.0) < _COSINE
        and (w.measure.kurtosis or _FLAT) < _FLAT
    ]  # fmt: skip
    if not found:
        return Skipped(reason="no orthogonal weight")
    raw = [w for w in found if abs(w.measure.signs or 0.0) * math.sqrt(min(w.entry.shape[:2])) > _ERRORS]
    if not raw:
        return Passed(reason=f"{len(found)} orthogonal weights with signs as in an even draw")
    worst = max(raw, key=lambda w: abs(w.measure.signs or 0.0))
    return Finding(
        code=RULE.code,
        name="uneven orthogonal draw",
        severity=Severity.WARNING,
        summary=f"{len(raw)} orthogonal weights ({named([w.name for w in raw])}) come from a QR "
        "decomposition whose "
        f"signs were left as they are: the mean sign of diag(R) is {worst.measure.signs:.2f} where an "
        "even draw has 0",
        cause="LAPACK's reflections give Q with signs that follow its first entries; rows then lean to "
        "one side, "
        "and a deep ReLU network loses a half to three quarters of its power",
        fix=f"Multiply each column of Q by the sign of R's diagonal, or {init_verb(graph)} with an "
        "orthogonal scheme",
        where=tuple(w.name for w in raw),
        evidence=(("mean sign", worst.measure.signs or 0.0), ("weights", float(len(raw)))),
    )


RULE = Rule(
    code="FAN207",
    name="orthogonal draw",
    definition="for weights with orthogonal rows or columns (cosines below 1e-3): mean sign of diag(R) of "
    "their own QR "
    "decomposition",
    threshold="6 standard errors of 1 / sqrt(n): a Haar draw has mean 0, the raw Q of LAPACK exactly 1 or -1",
    advice="Correct the signs",
    references=(
        "F. Mezzadri, How to Generate Random Matrices from the Classical Compact Groups, 2007, section 5",
        "tensorflow/tensorflow pull request 9429",
    ),
    check=_check,
)
