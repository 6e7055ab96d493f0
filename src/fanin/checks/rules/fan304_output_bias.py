"""FAN304: an output that starts far from the mean of its targets."""

from __future__ import annotations

import math

from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_OFFSET = 2.0
_NATS = 0.5
_RARE = 3.0


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    loss = trace.loss
    if loss is None:
        return Skipped(reason="no target was given")
    heads = tuple(p.name for p in graph.parameters for u in p.uses if u.head and u.kind == UseKind.BIAS)
    where = heads or tuple(p.name for p in graph.parameters for u in p.uses if u.head) or (loss.name,)
    if loss.offset is not None:
        if loss.offset <= _OFFSET:
            return Passed(
                reason=f"outputs start within {loss.offset:.2g} standard deviations of the targets' means"
            )
        return _finding(
            where,
            f"An output starts {loss.offset:.3g} standard deviations of its target from the target's mean",
            "Set the output's bias to the mean of the targets, or standardise them",
            ("distance / std", loss.offset),
        )
    if loss.prior is not None and loss.classes is not None and loss.rarity is not None:
        gain = math.log(loss.classes) - loss.prior
        if gain <= _NATS or loss.rarity <= _RARE or trace.batch < 4 * loss.classes:
            return Passed(
                reason=f"knowing how frequent the classes are would take {gain:.2g} nats off the first loss"
            )
        return _finding(
            where,
            f"The most frequent class has {loss.rarity:.3g} times its equal share: knowing the "
            "frequencies alone takes "
            f"{gain:.2g} nats off the first loss",
            "Set the output's bias to the logarithm of the classes' frequencies",
            ("nats", gain),
        )
    return Skipped(reason=f"what '{loss.name}' says of its targets is not known")


def _finding(where: tuple[str, ...], summary: str, fix: str, figure: tuple[str, float]) -> Finding:
    return Finding(
        code=RULE.code,
        name="output far from its targets",
        severity=Severity.INFO,
        summary=summary + ": the first steps go into that alone",
        cause="a bias of zero where the targets have another mean",
        fix=fix,
        where=where,
        evidence=(figure,),
    )


RULE = Rule(
    code="FAN304",
    name="output bias",
    definition="distance of each mean output from its target's mean in the target's standard deviations; "
    "for classes "
    "ln C - H(p), p their frequencies in the batch",
    threshold="2 standard deviations; half a nat where the most frequent class has 3 times its share and "
    "the batch 4 "
    "samples a class. A remark: it costs the first steps only",
    advice="Start the output's bias at the mean of the targets, or at the logarithm of the classes' "
    "frequencies",
    symptom_of=("FAN101", "FAN106", "FAN301", "FAN401"),
    references=("A. Karpathy, A Recipe for Training Neural Networks, 2019",),
    check=_check,
)
