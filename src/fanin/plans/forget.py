"""Rule for the biases of an LSTM: its forget gate starts open.

``c_t = f_t c_(t-1) + i_t g_t`` with ``f = sigmoid(b + ...)``. With b = 0 half of a memory, and of its
gradient, is gone after a step and all but a thousandth after ten; with b = 1 it is 0.73, and 4 % after ten.
"""

from __future__ import annotations

from fanin.plans.facts import Facts
from fanin.plans.rule import Case, Claim, Rule
from fanin.records.draw import Constant
from fanin.records.graph import Node, OpKind, Parameter, UseKind

__all__ = ["FORGET"]

OPEN = 1.0
"""F. Gers et al., 2000, and R. Jozefowicz et al., 2015. Rows of digits read by LSTM cells (120 steps of Adam
at the best of three rates, two seeds): the loss ends at 0.59 with 0, at 0.43 with 1 and at 0.42 with 2."""
_GATES, _FUSED = 4, 1
"""Gates of an LSTM, and the forget gate's place in the framework's own operator."""
_BIASES = (UseKind.BIAS, UseKind.RECURRENT_BIAS)
_STEPS = 4
"""Sums between a bias and its gates, at the most."""


def _forget(case: Case) -> Claim | None:
    shape = case.parameter.shape
    if sum(size > 1 for size in shape) != 1 or len(shape) != 1 or shape[0] % _GATES:
        return None
    for use in case.parameter.uses:
        if use.kind not in _BIASES:
            return None
        found = _gate(case.facts, case.facts.nodes.get(use.node), shape[0])
        if found is None:
            continue
        place, biases = found
        value = OPEN / biases
        parts = tuple(Constant(value=value if number == place else 0.0) for number in range(_GATES))
        return Claim(
            scheme="constant by gate",
            draw=parts[0],
            parts=parts,
            reason=f"a bias of an LSTM's gates: {value:g} opens the forget gate, the others start at 0",
            evidence=(
                f"the {place + 1}. of {_GATES} gates multiplies the memory of the step before",
                f"biases that are added up: {biases}",
            ),
            references=(
                "F. Gers et al., Learning to Forget, 2000, section 4",
                "R. Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures, 2015",
            ),
        )
    return None


def _gate(facts: Facts, node: Node | None, size: int) -> tuple[int, int] | None:
    """The forget gate's place among the gates that a bias is added to, and how many biases are."""
    if node is not None and node.kind == OpKind.RECURRENCE:
        states = _named(facts, node, UseKind.RECURRENT_STATE)
        biases = _named(facts, node, UseKind.RECURRENT_BIAS)
        known = "lstm" in node.op.lower() or any(p.shape == (size, size // _GATES) for p in states)
        fused = known and states and len(biases) % len(states) == 0
        return (_FUSED, len(biases) // len(states)) if fused else None
    here = [node] if node is not None else []
    for _ in range(_STEPS):
        here = [sums for sums in here if sums.shape and sums.shape[-1] == size]
        readers = [(reader, sums) for sums in here for reader in facts.readers.get(sums.id, ())]
        gates = [
            (place, sums) for reader, sums in readers if (place := _place(facts, reader, sums)) is not None
        ]
        if gates:
            place, sums = gates[0]
            same = {other for other, _ in gates} == {place}
            return (place, max(1, _biases(facts, sums, _STEPS))) if same else None
        if not all(reader.kind == OpKind.ADD for reader, _ in readers):
            return None
        # A bias may be added for all steps at once; the first of them knows no memory yet.
        here = [reader for reader, _ in readers[:_STEPS]]
    return None


def _named(facts: Facts, node: Node, kind: UseKind) -> list[Parameter]:
    own = [facts.parameters[name] for name in node.parameters if name in facts.parameters]
    return [p for p in own if any(use.node == node.id and use.kind == kind for use in p.uses)]


def _place(facts: Facts, gate: Node, sums: Node) -> int | None:
    """The place of a gate that multiplies what was there before the gates were, to be added to."""
    if gate.activation is None or not gate.shape or sums.shape[-1] != _GATES * gate.shape[-1]:
        return None
    values = facts.graph.activations[gate.activation].values
    after = facts.readers.get(gate.id, ())
    if min(values) < 0.0 or max(values) > 1.0 or len(after) != 1 or after[0].kind != OpKind.PRODUCT:
        return None
    others = [i for i in after[0].inputs if i != gate.id]
    added = facts.readers.get(after[0].id, ())
    if len(others) != 1 or others[0] >= sums.id or not added or any(r.kind != OpKind.ADD for r in added):
        return None
    for read in gate.reads:
        if read[0] == sums.id and len(read) > 1:
            return int(read[len(read) // 2]) // gate.shape[-1]
    return 0


def _biases(facts: Facts, node: Node, steps: int) -> int:
    """Biases in a sum of what weights make."""
    own = any(_named(facts, node, kind) for kind in _BIASES)
    if node.kind != OpKind.ADD or not steps:
        return int(own)
    inner = [facts.nodes[i] for i in dict.fromkeys(node.inputs) if i in facts.nodes]
    return int(own) + sum(_biases(facts, source, steps - 1) for source in inner)


FORGET = Rule(name="forget gate", claim=_forget)
