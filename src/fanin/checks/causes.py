"""Why a power strays along the path, and the exact act that holds it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fanin.checks.figures import times
from fanin.checks.stations import Drift, Station
from fanin.checks.weights import Weighed, weighed
from fanin.laws.gains import gain_from_values
from fanin.records.graph import Branch, Graph, OpKind, UseKind
from fanin.records.plan import Plan
from fanin.records.table import fold_names
from fanin.records.trace import Trace

__all__ = ["Cause", "apply_verb", "init_verb", "loud_biases", "named", "scale_cause", "weights_cause"]

_OFF = math.log(1.2)
"""A std within a factor 1.2 of the plan's is no cause: 50 such layers change a power 10^8-fold only
if all err to the same side, and then their sum is found as a whole."""

_LONG_LIST = re.compile(r"(\d+)(?:-\d+)?(?:,\d+(?:-\d+)?){3,},(?:\d+-)?(\d+)")
"""More numbers in a folded name than a reader wants to see; the count behind it says how many there are."""

_SHARE = 0.5
"""A cause has to account for half of the drift."""

_GONE = -2.0 * math.log(2.0**-149)
"""Logarithm of a power of which nothing is left in float32: that of the square of its smallest number."""

_BRANCHES = math.log(10.0)
"""What a branch of healthy weights adds is of the stream's size; ten times as much is another's."""

_LARGE = 3.0
"""A std this many times the plan's is no usual law's: those differ by sqrt 2, or sqrt 6."""

_LOSSY = 0.5
"""An activation that passes on less than half of the gradient's power when it keeps the signal's: sigmoid
0.15, softplus 0.32; ReLU 1, tanh 1.18."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What brings a fault about, what cures it, where, and the figures."""

    cause: str
    fix: str
    where: tuple[str, ...]
    evidence: tuple[tuple[str, float], ...] = ()


def init_verb(graph: Graph) -> str:
    """The call that initialises a whole model."""
    room = _room(graph)
    # What cannot be changed in place is returned anew.
    return f"fanin.{room}.{'init(function, params, batch)' if room == 'jax' else 'init_(model, batch)'}"


def apply_verb(graph: Graph) -> str:
    """The call that carries a plan out."""
    room = _room(graph)
    return f"fanin.{room}.{'apply_plan(params, plan)' if room == 'jax' else 'apply_(model, plan)'}"


def _room(graph: Graph) -> str:
    return graph.framework.split()[0]  # (its version may follow)


def named(names: Sequence[str], limit: int = 3) -> str:
    """Folded names, the first few of them."""
    lines = [_short(line) for line in fold_names(names)]
    more = f", and {len(lines) - limit} more" if len(lines) > limit else ""
    return ", ".join(lines[:limit]) + more


def _short(line: str) -> str:
    """Write a long list of numbers as its range, as the tables do: "2-58.weight ×29"."""
    return _LONG_LIST.sub(r"\1-\2", line)


def loud_biases(graph: Graph, plan: Plan, trace: Trace) -> tuple[tuple[str, float], ...]:
    """Biases of more than a unit's power where the plan has a constant: names, and root mean squares."""
    constant = {e.name for e in plan.entries if e.draw is not None and e.draw.std == 0.0}
    kinds = {p.name: {use.kind for use in p.uses} for p in graph.parameters}
    found = [
        (p.name, math.hypot(p.std, p.mean))
        for p in trace.parameters
        if p.name in constant and UseKind.BIAS in kinds.get(p.name, set()) and p.finite
    ]
    return tuple((name, size) for name, size in found if size > 1.0)


def scale_cause(
    graph: Graph, plan: Plan, trace: Trace, drift: Drift, chain: tuple[Station, ...], steps: Sequence[float]
) -> Cause:
    """Find what makes a power drift along a chain.

    Parameters
    ----------
    drift
        The drift as measured, positive when the power grows in its direction of travel.
    chain
        The stations that it passes.
    steps
        Logarithm of the factor from each station to the next in forward order (one less than
        stations); they add up to the drift.
    """
    low, high = drift.first.node.id, drift.last.node.id
    nodes = {node.id: node for node in graph.nodes}
    norms = [i for i in graph.path if low < i < high and i in nodes and nodes[i].kind == OpKind.NORM]
    joins = {b.join: b for b in graph.branches if low < b.join <= high and b.join in set(graph.path)}
    if drift.log > 0 and not joins and 2 * len(norms) >= drift.layers:
        return _norms(drift, chain, len(norms))
    everywhere = weighed(graph, plan, trace)
    normed = _normed(graph)
    inside = [w for w in everywhere if w.name not in normed and any(low < n <= high for n in w.nodes)]
    bare = [b for b in joins.values() if not b.normalised]
    summed = drift.log > 0 and 2 * len(bare) >= drift.layers > 1
    if summed and _adds_up(drift, bare, inside) and not _all_large(bare, inside):
        return _joins(graph, plan, drift, bare, inside)
    # A weight that is used again and again, as in a loop over time, has its part in every step.
    used = {w.name: sum(low < n <= high for n in w.nodes) for w in inside}
    cause = weights_cause(graph, inside, drift.log, everywhere, used)
    if cause is not None:
        return cause
    scales = {name for name, nodes in normed.values() if any(low < n <= high for n in nodes)}
    return (
        _scales_cause(graph, plan, trace, scales, drift.log)
        or _activation(graph, drift)
        or _place(graph, drift, chain, steps)
    )


def weights_cause(
    graph: Graph,
    weights: Sequence[Weighed],
    log: float,
    others: Sequence[Weighed] = (),
    used: Mapping[str, int] | None = None,
) -> Cause | None:
    """Blame weights whose std differs from the plan's, if that accounts for half of the drift.

    `used` says how often a weight multiplies on the way, where that is more than once.

    Of the `others`, those that have the law and the fault of the guilty are named with them: the
    first layer of a chain sets where the drift starts, and has no part in it.
    """
    zero = [w for w in weights if w.ratio == 0.0]
    if zero and log < 0:
        return Cause(
            cause=f"{_count(zero)} zero or constant, so nothing of the signal passes "
            f"({named([w.name for w in zero])})",
            fix=f"Draw them at random: {init_verb(graph)}",
            where=tuple(w.name for w in zero),
        )
    known = [w for w in weights if w.ratio is not None and w.ratio > 0.0]
    logs = {w.name: 2.0 * math.log(w.ratio or 1.0) for w in known}
    total = sum(value * max(1, (used or {}).get(name, 1)) for name, value in logs.items())
    same_way = [w for w in known if logs[w.name] * log > 0 and abs(logs[w.name]) > 2.0 * w.tolerance]
    if total * log <= 0 or abs(total) < _SHARE * min(abs(log), _GONE) or not same_way:
        return None
    guilty = [w for w in same_way if abs(logs[w.name]) > 2.0 * _OFF] or list(same_way)
    laws = {w.law for w in guilty if w.law is not None}
    named_already = {w.name for w in guilty}
    alike = [w for w in others if w.law in laws and not w.head and w.name not in named_already]
    guilty += [w for w in alike if w.ratio and 2.0 * math.log(w.ratio) * log > 2.0 * _OFF * abs(log)]
    order = {w.name: place for place, w in enumerate(others)}
    guilty.sort(key=lambda w: order.get(w.name, 0))
    logs |= {w.name: 2.0 * math.log(w.ratio or 1.0) for w in guilty}
    groups: dict[str, list[Weighed]] = {}
    for w in guilty:
        groups.setdefault(_kind(w), []).append(w)
    mean = math.exp(sum(logs[w.name] for w in guilty) / len(guilty) / 2.0)
    reasons = [_blame(members) for members in sorted(groups.values(), key=len, reverse=True)[:2]]
    word = "each multiplies" if len(guilty) > 1 else "it multiplies"
    names = [w.name for w in guilty]
    factors = sorted(1.0 / (w.ratio or 1.0) for w in guilty)
    by = f"{1.0 / mean:.4g}" if factors[-1] < 1.1 * factors[0] else f"{factors[0]:.3g} to {factors[-1]:.3g}"
    count = f"{len(guilty)} weights" if len(guilty) > 1 else "the weight"
    return Cause(
        cause=f"{'; '.join(reasons)}; {word} the power by {times(mean * mean)} ",
        fix=f"Multiply the std of {count} ({named(names)}) by {by}, or initialise the model with "
        f"{init_verb(graph)}",
        where=tuple(names),
        evidence=(("measured std / planned std", mean), ("weights concerned", float(len(guilty)))),
    )


def _normed(graph: Graph) -> dict[str, tuple[str, frozenset[int]]]:
    """Weights of which only the direction counts (weight normalisation), with what sets their size."""
    scales = {u.node: p.name for p in graph.parameters for u in p.uses if u.kind == UseKind.SCALE}
    found: dict[str, tuple[str, frozenset[int]]] = {}
    for p in graph.parameters:
        nodes = frozenset(u.node for u in p.uses if u.kind == UseKind.WEIGHT and u.spread is not None)
        name = next((scales[n] for n in sorted(nodes) if n in scales), None)
        if name is not None:
            found[p.name] = name, nodes
    return found


def _scales_cause(graph: Graph, plan: Plan, trace: Trace, names: Collection[str], log: float) -> Cause | None:
    """Blame the scales of normalised weights, if they account for half of the drift."""
    planned = {e.name: abs(e.draw.mean) for e in plan.entries if e.draw is not None and e.draw.std == 0.0}
    sizes = {p.name: math.hypot(p.std, p.mean) for p in trace.parameters if p.name in names}
    logs = {
        name: 2.0 * math.log(size / planned[name])
        for name, size in sizes.items()
        if size > 0.0 and planned.get(name, 0.0) > 0.0
    }
    logs = {name: value for name, value in logs.items() if value * log > 0 and abs(value) > 2.0 * _OFF}
    if not logs or abs(sum(logs.values())) < _SHARE * min(abs(log), _GONE):
        return None
    mean = math.exp(sum(logs.values()) / len(logs) / 2.0)
    have = f"{len(logs)} scales have" if len(logs) > 1 else "A scale has"
    first = next(iter(logs))
    return Cause(
        cause=f"{have} size {sizes[first]:.3g} where {planned[first]:.4g} is planned ({named(tuple(logs))}): "
        "the weight behind it is normalised, so that the scale alone is its size; each multiplies the power "
        f"by {times(mean * mean)}",
        fix=f"Multiply {named(tuple(logs))} by {1.0 / mean:.4g}, or initialise the model with "
        f"{init_verb(graph)}",
        where=tuple(logs),
        evidence=(("measured size / planned size", mean), ("scales concerned", float(len(logs)))),
    )


def _all_large(bare: Sequence[Branch], inside: Sequence[Weighed]) -> bool:
    """Whether branches start with weights of no usual law, and too large: their ends are not the cause."""
    finals = {name for b in bare for name in b.final}
    others = [w for w in inside if w.name not in finals and w.ratio]
    return 2 * sum(w.law is None and (w.ratio or 0.0) > _LARGE for w in others) > len(others) > 0


def _adds_up(drift: Drift, bare: Sequence[Branch], inside: Sequence[Weighed]) -> bool:
    """Whether branches of the weights that they have can bring about this growth a step."""
    finals = {name for b in bare for name in b.final}
    ratios = [2.0 * math.log(w.ratio) for w in inside if w.ratio and w.ratio > 1.0]
    most = max((2.0 * math.log(w.ratio) for w in inside if w.name in finals and w.ratio), default=0.0)
    each = sum(ratios) / max(1, len(bare))
    return not math.isfinite(drift.log) or drift.log / drift.layers <= _BRANCHES + max(most, each, 0.0)


def _count(weights: Sequence[Weighed]) -> str:
    return f"{len(weights)} weights are" if len(weights) > 1 else "A weight is"


def _kind(w: Weighed) -> str:
    return w.law or "no usual law"


def _blame(members: list[Weighed]) -> str:
    # The first layer of a chain often has a gain of its own; the middle one speaks for the others.
    first = members[len(members) // 2]
    have = f"{len(members)} weights have" if len(members) > 1 else f"{first.name} has"
    law = first.law or (
        f"std {first.measure.std:.4g}" if len(members) == 1 else "stds that follow no usual law"
    )
    gain, planned = first.gain, first.planned_gain
    if gain is None or planned is None:
        return f"{have} {law}"
    wants = first.activation or "a linear layer"
    return f"{have} {law}: gain {gain:.3g} where {wants} needs {planned:.4g}"


def _norms(drift: Drift, chain: tuple[Station, ...], norms: int) -> Cause:
    return Cause(
        cause=f"{norms} normalisations without skip connections: each rescales the gradient by more than "
        f"its layer loses, so it grows by a factor of {times(drift.factor)} a layer whatever the weights are",
        fix="No scale of the weights cures this: put skip connections around the blocks, or leave out the "
        "normalisation and use the plan's weights",
        where=tuple(s.label for s in chain),
        evidence=(("normalisations without skip", float(norms)),),
    )


def _joins(
    graph: Graph, plan: Plan, drift: Drift, bare: Sequence[Branch], inside: Sequence[Weighed]
) -> Cause:
    """Residual branches whose powers add up."""
    entries = {entry.name: entry for entry in plan.entries}
    finals = [name for b in bare for name in b.final]
    ratios = [w.ratio for w in inside if w.name in finals and w.ratio]
    factor = (
        math.exp(-sum(math.log(r) for r in ratios) / len(ratios)) if ratios else 1.0 / math.sqrt(len(bare))
    )
    planned = next((entries[n].reason for n in finals if n in entries and entries[n].draw), "")
    why = f" ({planned})" if planned else ""
    return Cause(
        cause=f"{len(bare)} residual branches without a norm each add their power to the stream, which "
        f"grows by a factor of {times(drift.factor)} a step",
        fix=f"Multiply the std of the last weight of every branch ({named(finals)}) by {factor:.3g}{why}, or "
        f"initialise the model with {init_verb(graph)}",
        where=tuple(finals),
        evidence=(("branches without a norm", float(len(bare))),),
    )


def _activation(graph: Graph, drift: Drift) -> Cause | None:
    """An activation that takes more of the gradient's power than any scale gives back."""
    low, high = drift.first.node.id, drift.last.node.id
    path = set(graph.path)
    passed = Counter(
        node.activation
        for node in graph.nodes
        if low < node.id < high and node.id in path and node.activation is not None
    )
    if drift.log > 0 or not passed:
        return None
    place, count = passed.most_common(1)[0]
    function = graph.activations[place]
    gain = gain_from_values(function.values)
    if not 0.0 < gain.chi < _LOSSY or 2 * count < drift.layers:
        return None
    return Cause(
        cause=f"{count} times {function.name}: at the scale that keeps the signal each passes on "
        f"{gain.chi:.2g} of the gradient's power (E f'^2 / E f^2), because most of its output is a constant",
        fix="No scale of the weights cures this: use an activation that is zero at zero (tanh, ReLU), norms "
        "with skip connections, or fewer layers",
        where=(drift.first.label, drift.last.label),
        evidence=(("E f'^2 / E f^2", gain.chi),),
    )


def _place(graph: Graph, drift: Drift, chain: tuple[Station, ...], steps: Sequence[float]) -> Cause:
    """No weight is to blame: name the step that contributes most."""
    ranked = sorted(range(len(steps)), key=lambda i: -abs(steps[i]) if steps[i] * drift.log > 0 else 0.0)
    most = ranked[0]
    share = steps[most] / drift.log if math.isfinite(drift.log) and drift.log else 1.0
    pair = f"{chain[most].called} and {chain[most + 1].called}"
    inner = [
        node.op
        for node in graph.nodes
        if chain[most].node.id < node.id < chain[most + 1].node.id and node.kind != OpKind.ACTIVATION
    ]
    between = f" ({', '.join(dict.fromkeys(inner[:4]))} in between)" if inner else ""
    if share >= _SHARE or drift.layers == 1:
        text = f"Most of it arises between {pair}{between}"
    else:
        text = f"It is spread over {drift.layers} layers"
    return Cause(
        cause=f"{text}; the stds of the weights are not what brings it about",
        fix=f"Look at what the model computes between {pair}; {init_verb(graph)} gives the weights the "
        "scale that the activations ask for",
        where=(chain[most].label, chain[most + 1].label),
        evidence=(("largest step, decades", steps[most] / math.log(10.0)),),
    )
