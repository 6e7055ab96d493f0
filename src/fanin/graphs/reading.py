"""From recorded steps to a graph: nodes, uses, branches, heads and the main path."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fanin.graphs.ancestry import Ancestry
from fanin.graphs.drafts import Draft, Drafts, draft
from fanin.graphs.joins import find_joins
from fanin.graphs.path import main_path
from fanin.graphs.places import find_branch_scales, find_decays, find_routers, find_scores
from fanin.graphs.recurrence import find_recurrences
from fanin.graphs.regions import part_of
from fanin.graphs.steps import Form, Read, Run
from fanin.graphs.surroundings import find_blocks, find_gates, find_heads, follow_activations
from fanin.graphs.uses import DraftUse
from fanin.laws.quadrature import NODES
from fanin.records.graph import Activation, Branch, Node, OpKind, Use

__all__ = ["Reading", "analyse"]

_NEAR = 4.0
_STRAIGHT = 0.05
"""A soft cap that bends by less than 5 % of its range within four standard deviations is a scale."""


class Reading:
    """What the analysis found: parts of a graph, without the parameters' own properties."""

    __slots__ = ("activations", "branches", "nodes", "outputs", "path", "uses")

    def __init__(self, drafts: Drafts, activations: Sequence[Activation], branches: Sequence[Branch]) -> None:
        self.nodes = tuple(_node(drafts, id) for id in drafts.nodes)
        self.outputs = drafts.outputs
        self.path = main_path(drafts)
        self.activations = tuple(activations)
        self.branches = tuple(branches)
        self.uses: dict[str, list[Use]] = {}
        for node in drafts.nodes.values():
            for use in node.uses:
                self.uses.setdefault(use.name, []).append(_use(use))


def analyse(run: Run) -> Reading:
    """Read a recorded run.

    Parameters
    ----------
    run
        Steps in execution order, and the means to evaluate regions of them.

    Returns
    -------
    Reading
        Nodes, uses by parameter name, activations, branches, outputs and the main path.
    """
    drafts = draft(run)
    activations = _activations(drafts, run)
    ancestry = Ancestry(drafts)
    recurrent = find_recurrences(drafts, ancestry)
    follow_activations(drafts)
    find_gates(drafts, ancestry)
    branches = find_joins(drafts, ancestry, recurrent)
    find_heads(drafts, _near_linear(activations), frozenset(branch.join for branch in branches))
    find_blocks(drafts)
    find_branch_scales(drafts, ancestry, branches)
    find_decays(drafts)
    find_routers(drafts)
    find_scores(drafts)
    return Reading(drafts, activations, branches)


def _activations(drafts: Drafts, run: Run) -> list[Activation]:
    found: dict[tuple[float, ...], int] = {}
    activations: list[Activation] = []
    for node in drafts.nodes.values():
        values = node.values
        if node.step.form == Form.GLU:
            values = tuple(1.0 / (1.0 + math.exp(-x)) for x in NODES)
        if values is None:
            continue
        if values not in found:
            found[values] = len(activations)
            activations.append(Activation(name=run.identify(values) or "custom", values=values))
        node.activation = found[values]
    return activations


def _near_linear(activations: Sequence[Activation]) -> frozenset[int]:
    near = [i for i, x in enumerate(NODES) if abs(x) <= _NEAR]
    found: set[int] = set()
    for index, activation in enumerate(activations):
        if activation.name in {"sigmoid", "log_sigmoid", "logsigmoid"}:
            found.add(index)
            continue
        values = [activation.values[i] for i in near]
        slope = (values[-1] - values[0]) / (len(values) - 1)
        bend = max(abs(v - values[0] - slope * i) for i, v in enumerate(values))
        if bend <= _STRAIGHT * (max(values) - min(values)):
            found.add(index)
    return frozenset(found)


def _node(drafts: Drafts, id: int) -> Node:
    node = drafts.nodes[id]
    step = node.step
    return Node(
        id=id,
        kind=node.kind,
        op=step.name,
        inputs=node.inputs,
        parameters=tuple(dict.fromkeys(use.name for use in node.uses)),
        module=step.module,
        call=step.call,
        shape=step.shape,
        dtype=step.dtype,
        activation=node.activation if node.kind == OpKind.ACTIVATION else None,
        factor=node.factor,
        reads=tuple((read.step, *_part(read)) for read in node.reads if read.step is not None),
        settings=_settings(node),
    )


def _part(read: Read) -> tuple[int, ...]:
    """First place and size along each dimension of what is read; () for the whole or what is not known."""
    if read.place is None or read.step is None or not part_of(read.place, read.step):
        return ()
    sizes = [1] * len(read.place.shape)
    for spans in read.place.dims:
        for span in spans:
            sizes[span.dim] *= span.size
    if all(size == whole for size, whole in zip(sizes, read.place.shape, strict=True)):
        return ()  # moved, and whole
    return (*read.place.start, *sizes)


def _settings(node: Draft) -> tuple[tuple[str, tuple[float, ...]], ...]:
    if node.factor is not None:
        return (("offset", (node.offset,)),) if node.offset else ()
    if node.kind == OpKind.NORM and node.step.form != Form.NORM:
        if node.batched:
            return (("over the batch", (1.0,)), ("training", (1.0,)), ("centred", (1.0,)))
        return (("written out", (1.0,)),)
    return node.step.settings


def _use(use: DraftUse) -> Use:
    return Use(
        node=use.node,
        kind=use.kind,
        axes=use.axes,
        activation=use.activation,
        gated=use.gated,
        gate_activation=use.gate_activation,
        normalised=use.normalised,
        head=use.head,
        branch=use.branch,
        offset=use.offset,
        blocks=use.blocks,
        router=use.router,
        scores=use.scores,
        spread=use.spread,
    )
