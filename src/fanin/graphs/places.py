"""Places that have a name of their own: routers, attention scores, scales of branches, decays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fanin.graphs.ancestry import Ancestry
from fanin.graphs.drafts import Draft, Drafts
from fanin.graphs.steps import Form
from fanin.laws.quadrature import NODES
from fanin.records.graph import Branch, OpKind, UseKind

__all__ = ["find_branch_scales", "find_decays", "find_routers", "find_scores"]

_CHOICES = ("topk", "top_k", "sort", "max.dim", "argmax", "kthvalue")
"""Operators that choose among the numbers that they read."""
_STEPS = 8
"""How many nodes are passed on the way from a weight to a choice, or from scores back to a weight."""
_SCALING = {OpKind.POINTWISE, OpKind.DROPOUT, OpKind.CONCAT, OpKind.ADD, OpKind.PRODUCT}
_SQUASHES = {OpKind.SOFTMAX, OpKind.ACTIVATION}
_EXPONENTIAL = 1e-6


def find_routers(drafts: Drafts) -> None:
    """Mark the weights whose outputs are chosen from, where the choice or its strength steers others.

    A router's numbers pass a softmax or a sigmoid at most, and the largest of them multiply, or pick,
    what other weights make.
    """
    for node in drafts.nodes.values():
        if not (node.contracts and node.weighted) or node.kind == OpKind.RECURRENCE:
            continue
        # Where the choice is one of places alone, the numbers are picked by it, and multiply then.
        choices = list(_choices(drafts, node))
        if choices and (_steers(drafts, node) or any(_steers(drafts, choice) for choice in choices)):
            for use in node.uses:
                use.router = use.kind == UseKind.WEIGHT


def _choices(drafts: Drafts, start: Draft) -> Iterator[Draft]:
    here, seen = [start], {start.id}
    for _ in range(_STEPS):
        after = [drafts.nodes[id] for node in here for id, _ in node.readers if id not in seen]
        seen.update(node.id for node in after)
        here = []
        for node in after:
            if any(choice in node.step.name for choice in _CHOICES):
                yield node
            elif node.kind in _SQUASHES or (node.kind in _SCALING and len(node.inputs) == 1):
                here.append(node)


def _steers(drafts: Drafts, choice: Draft) -> bool:
    """Whether what was chosen multiplies another signal."""
    here, seen = [choice], {choice.id}
    for _ in range(2 * _STEPS):
        after = {id: drafts.nodes[id] for node in here for id, _ in node.readers if id not in seen}
        seen.update(after)
        for node in after.values():
            if node.kind == OpKind.PRODUCT and any(i not in seen for i in node.inputs):
                return True
        here = list(after.values())
    return False


def find_scores(drafts: Drafts) -> None:
    """Give weights, and scales of norms, that make queries and keys their share in the scores' power.

    A score is a sum of d products of a query's and a key's numbers. If both have power 1, and the
    constants on the way (the 1/sqrt(d) that a forward pass may have or may not) multiply to f, its power
    is ``d f^2``. Where a weight's outputs of power 1 become queries, `DraftUse.scores` is the square root
    of that, or all of it where only one side is made by a weight.
    """
    touched = _touched(drafts)
    for node in drafts.nodes.values():
        if node.kind == OpKind.PRODUCT and node.step.form == Form.CONTRACTION and len(node.reads) == 2:
            after = _until_softmax(drafts, node)
            if after is None:
                continue
            sides = [read.step for read in node.reads]
            (summed,) = dict(node.step.settings).get("summed") or (1.0,)
        elif node.kind == OpKind.ATTENTION and node.step.form == Form.ATTENTION and len(node.reads) > 2:
            settings = dict(node.step.settings)
            (summed,) = settings.get("width") or (1.0,)
            (after,) = settings.get("scale") or (1.0 / math.sqrt(summed),)
            sides = [read.step for read in node.reads[:2]]
        else:
            continue
        found = [_makers(drafts, side, touched) for side in sides if side is not None]
        factor = after * math.prod(factor for _, factor in found)
        made = [makers for makers, _ in found if makers]
        for makers in made:
            for maker in makers:
                for use in maker.uses:
                    if use.kind in (UseKind.WEIGHT, UseKind.NORM_SCALE):
                        use.scores = (summed * factor**2) ** (1.0 / len(made))


def _until_softmax(drafts: Drafts, node: Draft) -> float | None:
    """The constants between scores and the softmax that reads them; None if there is none."""
    factor = 1.0
    for _ in range(_STEPS):
        after = [drafts.nodes[id] for id in dict.fromkeys(id for id, _ in node.readers)]
        if any(reader.kind == OpKind.SOFTMAX for reader in after):
            return factor
        if len(after) != 1 or after[0].kind not in {OpKind.POINTWISE, OpKind.ADD, OpKind.DROPOUT}:
            return None
        node = after[0]
        factor *= abs(node.factor) if node.factor else 1.0
    return None


def _touched(drafts: Drafts) -> set[int]:
    """Nodes that a weight or a norm's scale has touched; the others are data, places and waves of them."""
    found: set[int] = set()
    for id, node in drafts.nodes.items():
        if node.weighted or _scaled_norm(node) or any(i in found for i in node.inputs):
            found.add(id)
    return found


def _makers(drafts: Drafts, start: int, touched: set[int]) -> tuple[list[Draft], float]:
    """The weighted contractions that make one side of a score, and the constant on the way from them.

    Rotations (halves that are turned, multiplied by waves and added) keep power, whether the waves are a
    table or made of places that the data name. A norm undoes the scale
    of the weights before it, so that its own scale takes their place. A norm without one, or anything
    else on the way, makes the scale another matter: then there is none.
    """
    makers: dict[int, Draft] = {}
    factors: list[float] = []
    waiting, seen = [(start, 1.0)], set[int]()
    while waiting:
        id, factor = waiting.pop()
        if id in seen:
            continue
        seen.add(id)
        node = drafts.nodes[id]
        if (node.contracts and node.weighted) or _scaled_norm(node):
            makers[id] = node
            factors.append(factor)
        elif node.kind in _SCALING and len(seen) <= 4 * _STEPS and not _learned(node):
            factor *= abs(node.factor) if node.factor else 1.0
            waiting += [(before, factor) for before in node.inputs]
        elif id in touched:
            return [], 1.0
    return list(makers.values()), max(factors, default=1.0)


def _scaled_norm(node: Draft) -> bool:
    return node.kind == OpKind.NORM and any(use.kind == UseKind.NORM_SCALE for use in node.uses)


def _learned(node: Draft) -> bool:
    return any(use.kind == UseKind.SCALE for use in node.uses)


def find_branch_scales(drafts: Drafts, ancestry: Ancestry, branches: Sequence[Branch]) -> None:
    """A learned scale between a branch's last projection and its join belongs to the branch."""
    starts = _finals(drafts)
    for place, branch in enumerate(branches):
        for id in ancestry.between(branch.join, branch.start):
            node = drafts.nodes[id]
            if node.kind != OpKind.PRODUCT or len(node.inputs) != 1:
                continue
            if any(ancestry.descends(id, final) for final in starts.get(place, ())):
                for use in node.uses:
                    if use.kind == UseKind.SCALE:
                        use.branch = place


def _finals(drafts: Drafts) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {}
    for node in drafts.nodes.values():
        for use in node.uses:
            if use.branch is not None:
                found.setdefault(use.branch, []).append(node.id)
    return found


def find_decays(drafts: Drafts) -> None:
    """A parameter that multiplies what an exponential then reads says how fast something is forgotten."""
    for node in drafts.nodes.values():
        scales = [use for use in node.uses if use.kind == UseKind.SCALE]
        if node.kind == OpKind.PRODUCT and scales and _feeds_exponential(drafts, node):
            for use in scales:
                use.kind = UseKind.DECAY


def _feeds_exponential(drafts: Drafts, node: Draft) -> bool:
    for _ in range(_STEPS):
        after = [drafts.nodes[id] for id in dict.fromkeys(id for id, _ in node.readers)]
        if any(reader.values is not None and _is_exponential(reader.values) for reader in after):
            return True
        if len(after) != 1 or after[0].kind != OpKind.POINTWISE or len(after[0].inputs) != 1:
            return False
        node = after[0]
    return False


def _is_exponential(values: Sequence[float]) -> bool:
    """Whether a table is that of ``exp(c x)``: its logarithm is a straight line through 0."""
    table = np.asarray(values, dtype=np.float64)
    if not (table > 0).all():
        return False
    logs = np.log(table)
    slope = logs[-1] / NODES[-1]
    return bool(slope != 0.0 and np.abs(logs - slope * NODES).max() <= _EXPONENTIAL * abs(logs).max())
