"""FAN111: attention that has made up its mind before it learned anything."""

from __future__ import annotations

import math

from fanin.checks.causes import init_verb, loud_biases, named, weights_cause
from fanin.checks.places import called
from fanin.checks.rule import Outcome, Passed, Rule, Skipped
from fanin.checks.weights import weighed
from fanin.records.finding import Finding, Severity
from fanin.records.graph import Graph, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.trace import Trace

__all__ = ["RULE"]

_ENTROPY = 0.5
_SCORES = 3.0
_LARGE = 3.0
"""A std this many times the plan's is no usual law's: those differ by sqrt 2, or sqrt 6."""
_THROUGH = {OpKind.POINTWISE, OpKind.ADD, OpKind.DROPOUT}
"""What scores may pass on their way to the softmax."""


def _check(graph: Graph, plan: Plan, trace: Trace) -> Outcome:
    ends = set(graph.outputs) | {u.node for p in graph.parameters for u in p.uses if u.head}
    ahead = {i for node in graph.nodes for i in node.inputs}
    seen = [
        m for m in trace.measurements
        if m.entropy is not None and m.score_std is not None and m.node not in ends and m.node in ahead
    ]  # fmt: skip
    if not seen:
        return Skipped(reason="no attention whose weights could be read")
    worst = min(seen, key=lambda m: m.entropy or 0.0)
    entropy, spread = worst.entropy or 0.0, worst.score_std or 0.0
    sharp = [m for m in seen if (m.entropy or 0.0) < _ENTROPY and (m.score_std or 0.0) > _SCORES]
    if not sharp:
        return Passed(
            reason=f"{len(seen)} attentions; the sharpest has entropy {entropy:.2f} of 1 and scores with std "
            f"{spread:.2g}"
        )
    scaled = [u for p in graph.parameters for u in p.uses if u.kind == UseKind.EMBEDDING]
    also = ", or embeddings that are not normalised before it" if scaled else ""
    cause = (
        f"queries and keys too large, or a product that lacks the factor 1/sqrt(d){also}: a softmax of "
        "scores with a large std is nearly an argmax, and passes back nearly no gradient"
    )
    fix = (
        f"Multiply the std of the query's and the key's weights by {spread**-0.5:.3g} each, which gives "
        f"scores with std 1; or {init_verb(graph)}"
    )
    makers = _makers(graph, worst.node)
    if makers:
        # One layer's outputs are the scores: a router of experts, a pooling, no product of queries and keys.
        loud = {name: size for name, size in loud_biases(graph, plan, trace) if name in makers}
        names = tuple(loud) or tuple(name for name in makers if name in _weights(graph))
        cause = (
            f"{named(names)} has numbers of size {max(loud.values()):.3g}, the same for every input: it "
            "alone decides, and what the other places would say gets nearly no gradient"
            if loud
            else f"the outputs of {named(names)} are the scores, and too large: a softmax of scores with a "
            "large std is nearly an argmax, and passes back nearly no gradient"
        )
        fix = (
            f"Start {named(names)} at zero: {init_verb(graph)}"
            if loud
            else f"Multiply the std of {named(names)} by {1.0 / spread:.3g}, which gives scores with std 1; "
            f"or {init_verb(graph)}"
        )
    every = [w for w in weighed(graph, plan, trace) if w.ratio]
    large = [w for w in every if (w.ratio or 0.0) > _LARGE]
    where = tuple(dict.fromkeys(m.module or m.op for m in sharp))
    common = weights_cause(graph, every, 2.0 * math.log(_LARGE)) if 2 * len(large) > len(every) else None
    if common is not None and not makers:
        # Not only queries and keys: what is wrong with most weights is one fault.
        cause, fix, where = common.cause, common.fix, common.where
    learned = _temperature(graph, worst.node)
    if learned is not None:
        cause = (
            f"queries and keys have a norm each, so that their weights' scale plays no part; what multiplies "
            f"their product ({named(learned) if learned else 'a constant, or none'}) makes the scores large"
        )
        fix = (
            f"Nothing, if that sharpness is meant: it is learned; else start {named(learned)} so that scores "
            f"are {1.0 / spread:.3g} times as large"
            if learned
            else f"Multiply the product of queries and keys by {1.0 / spread:.3g}: scores then have std 1"
        )
    return Finding(
        code=RULE.code,
        name="sharp attention",
        severity=Severity.INFO if learned else Severity.WARNING,
        summary=f"In {len(sharp)} of {len(seen)} attentions each row puts its weight on few places: at "
        f"{called(worst.module, worst.op)} entropy {entropy:.2f} where 1 is equal weights, scores with "
        f"std {spread:.3g}",
        cause=cause,
        fix=fix,
        where=where,
        evidence=(("entropy", entropy), ("score std", spread), ("attentions", float(len(sharp)))),
    )


def _temperature(graph: Graph, softmax: int) -> tuple[str, ...] | None:
    """Parameters that multiply a product of normed queries and keys; None where these are not normed."""
    nodes = {node.id: node for node in graph.nodes}
    waiting: list[tuple[tuple[int, ...], tuple[str, ...]]] = []
    if nodes[softmax].kind == OpKind.SOFTMAX:
        waiting.append((nodes[softmax].inputs, ()))
    while waiting:
        inputs, names = waiting.pop()
        for node in (nodes[i] for i in inputs if i in nodes):
            signals = [nodes[i].kind for i in dict.fromkeys(node.inputs) if i in nodes]
            if node.kind == OpKind.PRODUCT and len(signals) > 1:
                return names if set(signals) == {OpKind.NORM} else None
            if node.kind in _THROUGH or node.kind == OpKind.PRODUCT:
                scales = node.parameters if node.kind == OpKind.PRODUCT else ()
                waiting.append((node.inputs, (*names, *scales)))
    return None


def _weights(graph: Graph) -> frozenset[str]:
    return frozenset(p.name for p in graph.parameters if any(use.kind == UseKind.WEIGHT for use in p.uses))


def _makers(graph: Graph, softmax: int) -> tuple[str, ...]:
    """Parameters of the one layer whose outputs are a softmax's scores; () where these are a product."""
    nodes = {node.id: node for node in graph.nodes}
    weights = _weights(graph)
    node = nodes[softmax]
    if node.kind != OpKind.SOFTMAX:
        return ()  # (an attention that runs as one operation makes its scores itself)
    while True:
        before = [nodes[i] for i in dict.fromkeys(node.inputs) if i in nodes]
        if len(before) != 1:
            return ()
        node = before[0]
        if node.kind not in _THROUGH:
            alone = node.kind == OpKind.CONTRACTION and weights & set(node.parameters)
            return node.parameters if alone else ()


RULE = Rule(
    code="FAN111",
    name="attention",
    definition="entropy of the rows of an attention over the logarithm of their length, and the std of "
    "the scores in "
    "a row",
    threshold="a warning when the entropy is below 0.5 and the scores' std above 3: with unit queries and "
    "keys and "
    "the factor 1/sqrt(d) the std is 1 and the entropy of 64 places 0.88",
    advice="Scale by 1/sqrt(d), and give queries and keys unit variance or less",
    symptom_of=("FAN101", "FAN105", "FAN106", "FAN401"),
    references=(
        "S. Zhai et al., Stabilizing Transformer Training by Preventing Attention Entropy Collapse, 2023",
    ),
    check=_check,
)
