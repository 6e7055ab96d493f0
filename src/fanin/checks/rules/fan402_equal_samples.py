"""FAN402: a batch whose samples are the same."""

from __future__ import annotations

from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]


def _check(_graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    batched = [i for i in trace.inputs if i.samples >= 1]
    if not batched:
        return Skipped(reason="no input was measured")
    if trace.batch == 1:
        return Finding(
            code=RULE.code,
            name="batch of one",
            severity=Severity.INFO,
            summary="The batch holds one sample: how alike samples become and which units never fire "
            "cannot be said",
            cause="a batch of one",
            fix="Check with 64 samples or more",
            where=("the batch",),
            evidence=(("samples", 1.0),),
        )
    # A mask may be the same for all samples: what counts is that no input tells them apart.
    again = min(i.repeated for i in batched)
    if again == 0:
        return Passed(reason=f"{trace.batch} samples, no two alike")
    whole = again >= trace.batch - 1
    return Finding(
        code=RULE.code,
        name="equal samples",
        severity=Severity.WARNING if whole else Severity.INFO,
        summary=f"{'All' if whole else f'{again} of'} {trace.batch} samples of the batch equal "
        + ("each other: a network cannot tell apart what is the same" if whole else "an earlier one"),
        cause="the data, not the model: a constant made up as a batch, or a loader that repeats itself",
        fix="Check with a batch of real, different samples",
        where=("the batch",),
        evidence=(("repeated samples", float(again)), ("samples", float(trace.batch))),
    )


RULE = Rule(
    code="FAN402",
    name="equal samples",
    definition="samples that equal an earlier one in every input, bit for bit",
    threshold="a warning when all are equal, a remark for any, and for a batch of one",
    advice="A batch of real samples, 64 or more",
    symptom_of=(),
    check=_check,
)
