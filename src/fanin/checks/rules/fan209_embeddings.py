"""FAN209: embeddings that drown each other, or a tied table too large for a head."""

from __future__ import annotations

import math

from fanin.checks.causes import init_verb
from fanin.checks.figures import times
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, Node, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_RATIO = 100.0
_LOGITS = 2.5


def _tables(node: Node, nodes: dict[int, Node], depth: int = 3) -> list[Node]:
    """Embeddings whose values reach a node through sums and scalings only."""
    if node.kind == OpKind.EMBEDDING:
        return [node]
    if node.kind not in (OpKind.ADD, OpKind.POINTWISE) or depth == 0:
        return []
    return [t for i in node.inputs if i in nodes for t in _tables(nodes[i], nodes, depth - 1)]


def _check(graph: Graph, _plan: Plan, trace: Trace) -> Outcome:
    nodes = {node.id: node for node in graph.nodes}
    powers = {m.node: m.power for m in trace.measurements if m.finite}
    stds = {p.name: p.std for p in trace.parameters}
    tied = [
        p for p in graph.parameters
        if any(u.kind == UseKind.EMBEDDING for u in p.uses) and any(u.head for u in p.uses) and p.name in stds
    ]  # fmt: skip
    for p in tied:
        behind = [u.node for u in p.uses if u.head and _normalised(graph, u.node)]
        # As measured: a model may scale what the head reads (T5 does, by 1/√d).
        logits = max(
            (
                _after(graph, i)
                * (math.sqrt(powers[i]) if i in powers else stds[p.name] * math.sqrt(p.shape[-1]))
                for i in behind
            ),
            default=0.0,
        )
        if logits > _LOGITS:
            return _loud(graph, p.name, stds[p.name], p.shape[-1], logits)
    pairs = []
    for node in graph.nodes:
        if node.kind != OpKind.ADD:
            continue
        parts = [
            i for i in node.inputs if i in nodes and _tables(nodes[i], nodes) and powers.get(i, 0.0) > 0.0
        ]
        pairs += [(powers[a] / powers[b], a, b) for a in parts for b in parts if a != b]
    drowned = _drowned(graph, nodes, powers)
    if drowned is not None:
        return drowned
    if not pairs:
        why = "no sum of embeddings, and no table that is the head too"
        return (
            Passed(reason=f"{len(tied)} tied tables of a size that suits a head")
            if tied
            else Skipped(reason=why)
        )
    ratio, loud, quiet = max(pairs)
    if ratio <= _RATIO:
        return Passed(reason=f"embeddings that are added differ by at most {times(math.sqrt(ratio))} in size")
    names = [
        next((n for t in _tables(nodes[i], nodes) for n in t.parameters), nodes[i].op) for i in (loud, quiet)
    ]
    return Finding(
        code=RULE.code,
        name="one embedding drowns another",
        severity=Severity.WARNING,
        summary=f"{names[0]} is {times(math.sqrt(ratio))} times as large as {names[1]}, to which it is "
        "added: of the "
        "sum the second is less than a hundredth",
        cause="tables with stds that were chosen apart from each other",
        fix=f"Give both the same std: {init_verb(graph)}",
        where=tuple(names),
        evidence=(("ratio of root mean squares", math.sqrt(ratio)),),
    )


def _drowned(graph: Graph, nodes: dict[int, Node], powers: dict[int, float]) -> Finding | None:
    """A table beside numbers that are no table (waves of places): by the power of the sum."""
    for node in graph.nodes:
        part = node.inputs[0] if node.kind == OpKind.ADD and len(node.inputs) == 1 else -1
        if part not in nodes or not node.parameters or not powers.get(part, 0.0) > 0.0:
            continue
        tables, ratio = _tables(nodes[part], nodes), powers.get(node.id, 0.0) / powers[part]
        if not tables or not tables[0].parameters or ratio <= _RATIO:
            continue
        quiet, loud, size = tables[0].parameters[0], node.parameters[0], math.sqrt(ratio - 1.0)
        return Finding(
            code=RULE.code,
            name="one embedding drowns another",
            severity=Severity.WARNING,
            summary=f"{loud} is {times(size)} times as large as {quiet}, to which it is added: of the sum "
            "the second is less than a hundredth",
            cause=f"a std of {quiet} that was chosen apart from what is added to it",
            fix=f"Multiply the std of {quiet} by {size:.3g} (a factor sqrt(d) behind the table, for waves), "
            f"or make {loud} smaller",
            where=(quiet, loud),
            evidence=(("ratio of root mean squares", size),),
        )
    return None


def _after(graph: Graph, head: int) -> float:
    """Product of the constants that a head's outputs are multiplied by before anything else reads them."""
    product, here = 1.0, head
    while True:
        after = [node for node in graph.nodes if here in node.inputs]
        if len(after) != 1 or after[0].factor is None or len(after[0].inputs) != 1:
            return product
        product, here = product * abs(after[0].factor), after[0].id


def _normalised(graph: Graph, head: int) -> bool:
    nodes = {node.id: node for node in graph.nodes}
    here = nodes.get(head)
    for _ in range(3):
        if here is None or not here.inputs or here.inputs[0] not in nodes:
            return False
        here = nodes[here.inputs[0]]
        if here.kind == OpKind.NORM:
            return True
    return False


def _loud(graph: Graph, name: str, std: float, width: int, logits: float) -> Finding:
    return Finding(
        code=RULE.code,
        name="tied table too large for a head",
        severity=Severity.WARNING,
        summary=f"{name} is embedding and head at once, with std {std:.3g}: behind a norm of {width} "
        "features the "
        f"logits have std {logits:.3g}, and the first loss is far above ln C",
        cause=f"a law for embeddings (std {std:.3g}) on a table that is the head too",
        fix=f"Multiply its std by {0.5 / logits:.3g}, which gives logits with std 0.5; or {init_verb(graph)}",
        where=(name,),
        evidence=(("logit std", logits), ("std", std)),
    )


RULE = Rule(
    code="FAN209",
    name="embeddings",
    definition="ratio of the root mean squares of embeddings that are added, and of what is added to one; "
    "std of the logits of a table that is the head too and reads a norm's output",
    threshold="a ratio of 10; logits with std 2.5, at which the first loss is 3 nats above ln C",
    advice="One std for tables that are added; 0.5 / sqrt(d) or less for one that is tied to the head",
    symptom_of=(),
    references=("fastai/fastai pull request 2090 (a first loss of 95)",),
    check=_check,
)
