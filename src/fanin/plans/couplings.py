"""Rules for couplings: the last weight of what makes the log of a scale and a shift of another part.

``y = (b + t(a)) exp(s(a))`` or ``b exp(s(a)) + t(a)``, or the inverse of either, ``(b - t(a)) exp(-s(a))``.
With s of power 1 a coupling multiplies the power by ``E exp(2 s) = e^2``, and a dozen of them the logarithm
of a density by thousands; at zero each is the identity, as the flows' authors start them. A learned bound of
s then starts at 1: two zeros, one behind the other, would give each other no gradient.
"""

from __future__ import annotations

from fanin.laws.quadrature import NODES
from fanin.plans.facts import Facts
from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Constant
from fanin.records.graph import Node, OpKind, UseKind

__all__ = ["COUPLING", "COUPLING_BOUND"]

_MIDDLE = len(NODES) // 2
_CLOSE = 1e-6


def _coupling(case: Case) -> Claim | None:
    role, node, facts = case.role, case.node, case.facts
    if role.kind != UseKind.WEIGHT or node is None:
        return None
    scaled = _scaled(facts, node)
    if not scaled or not all(_shifts(facts, node.id, r, scaled) for r in _others(facts, node)):
        return None
    return Claim(
        scheme="zeros",
        draw=Constant(value=0.0),
        axes=case.axes,
        reason="makes the log of a scale: at zero the coupling starts as the identity",
        evidence=(f"exp of its output multiplies another part of the signal: {case.place}",),
        references=("D. Kingma, P. Dhariwal, Glow, 2018, section 3.3",),
    )


def _bound(case: Case) -> Claim | None:
    node, facts = case.node, case.facts
    if node is None or node.kind != OpKind.PRODUCT or not _zero_at_zero(facts, node):
        return None
    behind: Node | None = node
    while behind is not None and _zero_at_zero(facts, behind) and len(set(behind.inputs)) == 1:
        behind = facts.nodes.get(behind.inputs[0])
    makers = [
        Case(facts=facts, parameter=p, use=u)
        for p in facts.graph.parameters
        for u in p.uses
        if behind is not None and u.node == behind.id and u.kind == UseKind.WEIGHT
    ]
    if not any(_coupling(maker) for maker in makers):
        return None
    return Claim(
        scheme="ones",
        draw=Constant(value=1.0),
        reason="bounds the log of a coupling's scale: what makes that starts at zero, so this does not",
        evidence=(f"the weight behind it is zero: {case.place}",),
    )


def _chain(facts: Facts, node: Node) -> tuple[list[Node], list[Node]]:
    """What makes an exponential of an output, through odd functions and constants, and its other readers."""
    exponentials, others = [], []
    waiting, seen = list(facts.readers.get(node.id, ())), set()
    while waiting:
        reader = waiting.pop()
        if reader.id in seen:
            continue
        seen.add(reader.id)
        if _exponential(facts, reader):
            exponentials.append(reader)
        elif len(set(reader.inputs)) == 1 and _zero_at_zero(facts, reader):
            waiting += facts.readers.get(reader.id, ())
        else:
            others.append(reader)
    return exponentials, others


def _others(facts: Facts, node: Node) -> list[Node]:
    return _chain(facts, node)[1]


def _exponential(facts: Facts, node: Node) -> bool:
    """Whether a node computes exp(c x), c of either sign: 1 at 0, and f(x) f(-x) = 1."""
    if node.activation is None:
        return False
    values = facts.graph.activations[node.activation].values
    pairs = zip(values, reversed(values), strict=True)
    return (
        abs(values[_MIDDLE] - 1.0) < _CLOSE
        and min(values[0], values[-1]) < 0.5
        and all(abs(a * b - 1.0) < 1e-3 for a, b in pairs)
    )


def _zero_at_zero(facts: Facts, node: Node) -> bool:
    """A function of one signal that keeps zero: an odd one, a constant or learned factor, a bias.

    (The exponential of a square is no scale.)
    """
    if node.activation is not None:
        values = facts.graph.activations[node.activation].values
        pairs = zip(values, reversed(values), strict=True)
        return all(abs(a + b) < _CLOSE * max(1.0, abs(a)) for a, b in pairs)
    scaling = (
        node.kind == OpKind.POINTWISE and node.factor is not None and node.setting("offset") in ((), (0.0,))
    )
    learned = node.kind == OpKind.PRODUCT and bool(node.parameters)  # (its one signal times a parameter)
    return scaling or learned or (node.kind == OpKind.ADD and bool(node.parameters))


def _scaled(facts: Facts, node: Node) -> set[int]:
    """Products in which the exponential of a weight's output scales a signal that comes from elsewhere."""
    found: set[int] = set()
    for exponential in _chain(facts, node)[0]:
        readers = facts.readers.get(exponential.id, ())
        if any(r.kind != OpKind.PRODUCT for r in readers):
            return set()  # Summed it is a weight of an average, not a scale, here or at another turn.
        found |= {r.id for r in readers if any(i != exponential.id and _of_data(facts, i) for i in r.inputs)}
    return found


def _of_data(facts: Facts, id: int) -> bool:
    """Whether a signal depends on the model's input: noise and tables of constants do not."""
    waiting, seen = [id], set()
    while waiting:
        node = facts.nodes.get(waiting.pop())
        if node is None or node.id in seen:
            continue
        if node.kind == OpKind.INPUT and node.op == "input":
            return True
        seen.add(node.id)
        waiting += node.inputs
    return False


def _shifts(facts: Facts, source: int, reader: Node, scaled: set[int]) -> bool:
    """Whether another reader adds its part to the scaled signal, before or after, or to a log-determinant."""
    if reader.kind == OpKind.POOL or _tallied(facts, reader):
        return True
    if reader.kind != OpKind.ADD:
        return False
    after = {r.id for r in facts.readers.get(reader.id, ())}
    return bool(after & scaled) or any(i in scaled for i in reader.inputs if i != source)


def _tallied(facts: Facts, reader: Node) -> bool:
    """Whether a sum leads to no further weight: a log-determinant of parts that are one number wide."""
    if reader.kind not in (OpKind.ADD, OpKind.POINTWISE) or reader.activation is not None:
        return False
    waiting, seen = [reader], set()
    while waiting:
        node = waiting.pop()
        if node.kind in (OpKind.CONTRACTION, OpKind.CONVOLUTION) and node.parameters:
            return False
        if node.id not in seen:
            seen.add(node.id)
            waiting += facts.readers.get(node.id, ())
    return True


COUPLING = Rule(name="coupling", claim=_coupling)
COUPLING_BOUND = Rule(name="coupling bound", claim=_bound)
