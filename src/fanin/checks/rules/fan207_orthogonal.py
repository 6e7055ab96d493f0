"""FAN207: orthogonal matrices that are not drawn evenly from all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
_ODD = 1e-3


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
    leaning = _before_one_sided(graph)
    harmless = not any(w.name in leaning for w in raw)
    return Finding(
        code=RULE.code,
        name="uneven orthogonal draw",
        severity=Severity.INFO if harmless else Severity.WARNING,
        summary=f"{len(raw)} orthogonal weights ({named([w.name for w in raw])}) come from a QR "
        "decomposition whose "
        f"signs were left as they are: the mean sign of diag(R) is {worst.measure.signs:.2f} where an "
        "even draw has 0",
        cause="LAPACK's reflections give Q with signs that follow its first entries; rows then lean to "
        "one side, "
        + (
            "which a linear map does not mind"
            if harmless
            else "and a deep ReLU network loses a half to three quarters of its power"
        ),
        fix=f"Multiply each column of Q by the sign of R's diagonal, or {init_verb(graph)} with an "
        "orthogonal scheme",
        where=tuple(w.name for w in raw),
        evidence=(("mean sign", worst.measure.signs or 0.0), ("weights", float(len(raw)))),
    )


def _before_one_sided(graph: Graph) -> frozenset[str]:
    """Weights whose outputs an activation reads that has a mean: rows that lean to one side shift it."""
    leaning = {place for place, f in enumerate(graph.activations) if not _odd(f.values)}
    return frozenset(p.name for p in graph.parameters for u in p.uses if u.activation in leaning)


def _odd(values: Sequence[float]) -> bool:
    pairs = zip(values, reversed(values), strict=True)
    return all(abs(a + b) <= _ODD * max(abs(a), abs(b)) for a, b in pairs)


RULE = Rule(
    code="FAN207",
    name="orthogonal draw",
    definition="for weights with orthogonal rows or columns (cosines below 1e-3): mean sign of diag(R) of "
    "their own QR "
    "decomposition",
    threshold="6 standard errors of 1 / sqrt(n): a Haar draw has mean 0, the raw Q of LAPACK 1 or -1. "
    "A remark where no activation with a mean of its own follows: a 1-by-1 convolution of a flow, a tanh",
    advice="Correct the signs",
    references=(
        "F. Mezzadri, How to Generate Random Matrices from the Classical Compact Groups, 2007, section 5",
        "tensorflow/tensorflow pull request 9429",
    ),
    check=_check,
)
