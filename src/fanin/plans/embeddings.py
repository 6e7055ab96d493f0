"""Rules for tables: token embeddings, tied ones, learned positions."""

from __future__ import annotations

import math

from fanin.plans.facts import Facts
from fanin.plans.logits import LOGIT_STD
from fanin.plans.outputs import ends, meeting, paired, summands
from fanin.plans.rule import Case, Claim, Rule
from fanin.records.axes import Role
from fanin.records.draw import Constant, Normal
from fanin.records.graph import OpKind, UseKind
from fanin.records.plan import Status

__all__ = ["EMBEDDINGS", "POSITION", "POSITION_STD", "SMALL_STD", "TIED", "TOKEN"]

POSITION_STD = math.sqrt(0.5)
"""The power of sinusoidal positions, beside features of power 1. In a Vision Transformer on digits (width
48, three seeds, 8 epochs of Adam) the accuracy is 0.84 with the customary 0.02, which the features drown
out; 0.93 with 0.1, 0.96 with 0.25, 0.97 with 0.5 and 0.98 with this."""

SMALL_STD = 0.02
"""Vision Transformers and Swin: learned tokens, and what is added to attention's scores, start small."""


def _width(case: Case) -> int:
    """Numbers in one row of the table."""
    shape, axes = case.parameter.shape, case.axes
    width = axes.size(shape, Role.OUT) if axes is not None else 1
    return width if width > 1 else math.prod(shape[1:])


def _tied(case: Case) -> Claim | None:
    uses = case.parameter.uses
    tables = [use for use in uses if use.kind == UseKind.EMBEDDING]
    heads = [use for use in uses if use.kind == UseKind.WEIGHT and use.head]
    if not tables or not heads:
        return None
    width = _width(Case(facts=case.facts, parameter=case.parameter, use=tables[0]))
    # The largest constant asks for the smallest std.
    constant, told = max(case.facts.constant_around(use) for use in heads)
    gain, share = LOGIT_STD / constant, "" if constant == 1.0 else f"/{constant:.4g}"
    return Claim(
        scheme="normal",
        draw=Normal(std=gain / math.sqrt(width)),
        axes=heads[0].axes,
        gain=gain,
        reason=f"embedding tied to the head, whose logits it makes: std {LOGIT_STD:g}/√{width}{share}",
        evidence=(
            f"looked up by {len(tables)} and multiplied by {len(heads)} operations of the run",
            f"of features of power 1 the head makes logits of std × √{width}",
            *([told] if told else []),
        ),
        references=("O. Press, L. Wolf, Using the Output Embedding, 2017",),
    )


def _position(case: Case) -> Claim | None:
    role, facts = case.role, case.facts
    if role.kind == UseKind.EMBEDDING:
        by_input = facts.looked_up_by_input(role)
        if (by_input or facts.added_to_embedding(role)) and not _in_scores(facts, role.node):
            return None
        evidence = f"{case.place} selects its rows by numbers that do not depend on the input"
        if by_input:
            evidence = f"what {case.place} looks up is added to the scores that a softmax reads"
    elif role.kind == UseKind.SHIFT and len(case.parameter.shape) >= 2 and not _of_outputs(case):
        evidence = f"enters as a whole at {case.place}"
    else:
        return None
    std, source = SMALL_STD, "A. Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, appendix D.4"
    if case.node is not None and case.node.kind == OpKind.CONCAT:
        reason = f"a learned token starts small beside features of power 1: std {std:g}"
    elif _in_scores(facts, role.node):
        reason = f"what is added to attention's scores starts small, so that it starts even: std {std:g}"
    else:
        std, source = POSITION_STD, "A. Vaswani et al., Attention Is All You Need, 2017, section 3.5"
        reason = (
            f"learned positions have the power of sinusoidal ones, beside features of power 1: std {std:.4g}"
        )
    return Claim(
        scheme="normal",
        draw=Normal(std=std),
        axes=role.axes,
        reason=reason,
        evidence=(evidence,),
        references=(source,),
    )


def _of_outputs(case: Case) -> bool:
    """Whether one row is added to what nothing sums over any more: a bias of outputs, a log of a scale."""
    one_row = sum(size > 1 for size in case.parameter.shape) <= 1
    if not one_row or case.node is None or case.node.kind != OpKind.ADD:
        return False
    return ends(case.facts, case.role.node)


def _in_scores(facts: Facts, node: int) -> bool:
    """Whether rows are added to attention's scores, as they are or multiplied by the queries."""
    readers = facts.readers.get(node, ())
    by_queries = bool(readers) and all(r.kind == OpKind.PRODUCT and facts.scores(r.id) for r in readers)
    return by_queries or facts.scores(node)


def _bias_of_rows(case: Case) -> Claim | None:
    """One number for each row, added to outputs: how far a user or an item is from the mean."""
    if case.role.kind != UseKind.EMBEDDING or math.prod(case.parameter.shape[1:]) != 1:
        return None
    if len(case.parameter.shape) < 2 or not _added(case):
        return None
    if not ends(case.facts, case.role.node) and not summands(case.facts, case.role.node):
        return None
    return Claim(
        scheme="zeros",
        draw=Constant(value=0.0),
        axes=case.role.axes,
        reason="a bias of outputs for each row: the rows beside it break the symmetry",
        evidence=(f"one number a row, looked up by {case.place} and added to the output",),
    )


def _added(case: Case) -> bool:
    """Whether rows are added to something, the rows of one sample to each other before."""
    readers = case.facts.readers.get(case.role.node, ())
    if len(readers) == 1 and readers[0].kind == OpKind.POOL and ".sum" in readers[0].op:
        readers = case.facts.readers.get(readers[0].id, ())
    return bool(readers) and all(reader.kind == OpKind.ADD for reader in readers)


def _token(case: Case) -> Claim | None:
    if case.role.kind != UseKind.EMBEDDING:
        return None
    facts, role = case.facts, case.role
    met = paired(case) or meeting(case)
    if met is not None:
        std, reason = met.value, f"an embedding; {met.reason}"
    elif facts.looked_up_by_input(role) or not facts.added_to_embedding(role):
        constant = facts.constant_after(role.node)
        std = 1.0 / constant
        reason = "an embedding: its numbers have power 1, which the next layer expects"
        if constant != 1.0:
            reason = f"an embedding, which the run multiplies by {constant:.4g}: power 1 after that"
    else:
        std = _neighbour_std(case)
        reason = f"a table of positions or types, as large as the embedding it is added to: std {std:.4g}"
    evidence = [f"rows are looked up by {case.place}, so no sum over the table changes their power"]
    evidence += met.evidence if met else ()
    if role.normalised:
        evidence.append("a norm reads it")
    return Claim(
        scheme="normal",
        draw=Normal(std=std),
        axes=role.axes,
        reason=reason,
        evidence=tuple(evidence),
        references=(met.references if met else ()) or ("S. Takase et al., Spike No More, 2023, section 4",),
    )


def _neighbour_std(case: Case) -> float:
    """Std of the rows of the tied table that positions are added to; 1 where no table is tied."""
    for parameter in case.facts.graph.parameters:
        if parameter.name != case.parameter.name and parameter.uses:
            claim = _tied(Case(facts=case.facts, parameter=parameter))
            if claim is not None and claim.draw is not None:
                table = next(use for use in parameter.uses if use.kind == UseKind.EMBEDDING)
                return claim.draw.std * case.facts.constant_after(table.node)
    return 1.0


def _other_shift(case: Case) -> Claim | None:
    if case.role.kind != UseKind.SHIFT:
        return None
    return Claim(
        scheme="keep",
        status=Status.KEPT,
        reason="a learned shift: its constructor's value is the law",
        evidence=(f"added by {case.place}",),
    )


TIED = Rule(name="tied embedding", claim=_tied)
POSITION = Rule(name="positions", claim=_position)
TOKEN = Rule(name="embedding", claim=_token)
SHIFT = Rule(name="shift", claim=_other_shift)

ROW_BIAS = Rule(name="bias of rows", claim=_bias_of_rows)

EMBEDDINGS = (POSITION, ROW_BIAS, TOKEN, SHIFT)
