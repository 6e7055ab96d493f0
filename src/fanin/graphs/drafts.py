"""Semantic nodes while they are being found out, with who reads whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fanin.graphs.regions import Regions, find_regions, part_of
from fanin.graphs.splits import find_splits, is_affine
from fanin.graphs.steps import Form, Part, Read, Run, Step
from fanin.graphs.uses import DraftUse, use_of
from fanin.laws.quadrature import NODES
from fanin.records.axes import Role
from fanin.records.graph import OpKind, UseKind

__all__ = ["Draft", "Drafts", "draft"]

_KINDS = {
    Form.INPUT: OpKind.INPUT,
    Form.LOOKUP: OpKind.EMBEDDING,
    Form.NORM: OpKind.NORM,
    Form.SOFTMAX: OpKind.SOFTMAX,
    Form.ATTENTION: OpKind.ATTENTION,
    Form.POOL: OpKind.POOL,
    Form.REDUCTION: OpKind.POOL,
    Form.DROPOUT: OpKind.DROPOUT,
    Form.CONCAT: OpKind.CONCAT,
    Form.RECURRENCE: OpKind.RECURRENCE,
    Form.GLU: OpKind.PRODUCT,
}


@dataclass(slots=True, kw_only=True)
class Draft:
    """A node and the tensors that it reads."""

    step: Step
    kind: OpKind
    reads: tuple[Read, ...]
    uses: list[DraftUse] = field(default_factory=list)
    values: tuple[float, ...] | None = None
    activation: int | None = None
    factor: float | None = None
    offset: float = 0.0
    """Value at 0 of a node that multiplies by a constant."""
    loss: bool = False
    batched: bool = False
    """Whether a norm that is written out takes its statistics over the batch."""
    readers: list[tuple[int, Read]] = field(default_factory=list)
    _seen: tuple[Read, ...] | None = None
    _inputs: tuple[int, ...] = ()
    """Nodes behind `_seen`: `inputs` is asked for again and again, and `reads` hardly ever changes."""

    @property
    def id(self) -> int:
        """The step's id."""
        return self.step.id

    @property
    def inputs(self) -> tuple[int, ...]:
        """Nodes that are read."""
        if self._seen is not self.reads:
            self._seen = self.reads
            self._inputs = tuple(dict.fromkeys([r.step for r in self.reads if r.step is not None]))
        return self._inputs

    @property
    def weighted(self) -> bool:
        """Whether a weight or a table is read here."""
        return any(use.axes is not None for use in self.uses)

    @property
    def contracts(self) -> bool:
        """Whether each output is a sum over many inputs."""
        return self.kind in {OpKind.CONTRACTION, OpKind.CONVOLUTION, OpKind.RECURRENCE}


@dataclass(slots=True, kw_only=True)
class Drafts:
    """All nodes by id, in execution order, and the nodes that the model returns."""

    nodes: dict[int, Draft]
    outputs: tuple[int, ...]

    def link(self) -> None:
        """Find out again who reads whom."""
        for node in self.nodes.values():
            node.readers = []
        for node in self.nodes.values():
            for read in node.reads:
                if read.step is not None:
                    self.nodes[read.step].readers.append((node.id, read))


def draft(run: Run) -> Drafts:
    """Turn steps into nodes: regions become one node each, norms take in their scale and shift."""
    steps = {step.id: step for step in run.steps}
    regions = find_regions(
        run.steps, run.outputs, run.buffers, lambda found, ends: find_splits(found, ends, run)
    )
    carried = _carried(run.steps)
    wanted = {read.step for read in run.outputs if read.step is not None}
    made: list[Draft] = []
    for step in reversed(run.steps):
        regional = step.id in regions.root
        if not step.signal and step.form != Form.INPUT:
            continue
        if regional and step.id not in wanted:
            continue
        node = _regional(step, steps, regions, carried, run) if regional else _plain(step, carried, run)
        made.append(node)
        wanted.update(node.inputs)
    nodes = {node.id: node for node in reversed(made)}
    returned = [r.step for r in run.outputs if r.step is not None and r.step in nodes]
    # A model may return an object that hides its tensors: then the last node stands for them.
    outputs = tuple(dict.fromkeys(returned or list(nodes)[-1:]))
    drafts = Drafts(nodes=nodes, outputs=outputs)
    drafts.link()
    _fold_norms(drafts)
    _name_shifts(drafts)
    _name_products(drafts)
    return drafts


def _carried(steps: Sequence[Step]) -> dict[int, tuple[int, ...]]:
    """For steps of indices and masks: the nodes that they come from."""
    carried: dict[int, tuple[int, ...]] = {}
    for step in steps:
        if step.signal or step.form == Form.INPUT:
            continue
        found: dict[int, None] = {}
        for read in step.reads:
            if read.step is not None:
                found.update(dict.fromkeys(carried.get(read.step, (read.step,))))
        carried[step.id] = tuple(found)
    return carried


def _plain(step: Step, carried: dict[int, tuple[int, ...]], run: Run) -> Draft:
    reads: list[Read] = []
    for read in step.reads:
        if read.step is None:
            continue
        if read.step in carried:
            # Only a table's index says where its rows come from; a router's choice is no signal.
            if read.part == Part.INDEX:
                reads += [_bare(id) for id in carried[read.step][:1]]
        else:
            reads.append(read)
    node = Draft(step=step, kind=_KINDS.get(step.form, OpKind.OTHER), reads=tuple(reads))
    if step.form == Form.POINTWISE:
        node.kind = OpKind.ADD if step.adds else OpKind.PRODUCT if step.multiplies else OpKind.POINTWISE
        if len(reads) < 2 and not step.adds:
            node.kind = OpKind.POINTWISE
    elif step.form == Form.CONTRACTION:
        weighted = any(r.sources and r.labels and r.part != Part.BIAS for r in step.reads)
        node.kind = OpKind.CONTRACTION if weighted else OpKind.PRODUCT
    elif step.form == Form.CONVOLUTION:
        weighted = any(r.sources and r.part == Part.WEIGHT for r in step.reads)
        node.kind = OpKind.CONVOLUTION if weighted else OpKind.PRODUCT
    node.loss = step.form == Form.LOSS
    for read in step.reads:
        for source in read.sources:
            node.uses.append(use_of(step, read, source, run))
    return node


def _regional(
    step: Step, steps: dict[int, Step], regions: Regions, carried: dict[int, tuple[int, ...]], run: Run
) -> Draft:
    region = regions.region(step.id)
    read = Read(step=region.root, place=region.place, shape=steps[region.root].shape)
    reads = tuple(_bare(id) for id in carried[region.root][:1]) if region.root in carried else (read,)
    node = Draft(step=step, kind=OpKind.POINTWISE, reads=reads)
    if region.root in carried:  # a mask turned into numbers
        return node
    if len(region.members) == 1 and step.id in regions.cuts and regions.foreign(step, regions.root[step.id]):
        for read in step.reads:
            for source in read.sources:
                node.uses.append(use_of(step, read, source, run))
        if node.uses and (step.adds or step.multiplies):
            node.kind = OpKind.ADD if step.adds else OpKind.PRODUCT
        elif any(r.random for r in step.reads) and step.multiplies:
            node.kind = OpKind.DROPOUT
        elif all(read.part != Part.SLOPE for read in step.reads):
            return node
        if node.kind != OpKind.POINTWISE:
            return node
    if region.reduces:
        _read_statistics(node, region.members, steps, regions, run)
        return node
    values = run.table(region)
    inner = [name for name in region.parameters if name not in run.buffers]
    node.uses += [DraftUse(name=name, node=step.id, kind=UseKind.ACTIVATION_PARAMETER) for name in inner]
    if values is not None and not is_affine(values):
        node.kind = OpKind.ACTIVATION
        node.values = tuple(values)
    else:
        node.factor = None if values is None or inner else _slope(values)
        if values is not None and node.factor is not None:
            node.offset = 0.5 * (values[0] + values[-1])
    return node


def _read_statistics(
    node: Draft, members: tuple[int, ...], steps: dict[int, Step], regions: Regions, run: Run
) -> None:
    region = regions.region(node.id)
    if len(members) == 1:
        node.kind = OpKind.POOL
        return
    verdict = run.trial(region)
    node.kind = {"norm": OpKind.NORM, "softmax": OpKind.SOFTMAX, "pool": OpKind.POOL}.get(
        verdict, OpKind.POINTWISE
    )
    node.batched = node.kind == OpKind.NORM and any(_over_batch(steps[id]) for id in members)
    for id in members:
        for read in steps[id].reads:
            for source in read.sources:
                use = use_of(steps[id], read, source, run)
                use.node = node.id
                if node.kind == OpKind.NORM and _folds(use):
                    scales = use.kind == UseKind.SCALE
                    use.kind = UseKind.NORM_SCALE if scales else UseKind.NORM_SHIFT
                node.uses.append(use)


def _over_batch(step: Step) -> bool:
    """Whether a statistic is one of all samples, for each of several units."""
    rank = len(step.reads[0].shape) if step.reads else 0
    given = dict(step.settings).get("dim", ())
    dims = {int(d) % rank for d in given} if step.form == Form.REDUCTION and rank else set()
    return 0 in dims and len(dims) < rank


def _fold_norms(drafts: Drafts) -> None:
    """A norm whose only reader multiplies or shifts it by a parameter is one node with it."""
    for id in list(drafts.nodes):
        node = drafts.nodes.get(id)
        if node is None or node.kind != OpKind.NORM:
            continue
        while len(node.readers) == 1 and node.id not in drafts.outputs:
            reader = drafts.nodes[node.readers[0][0]]
            alone = reader.inputs == (node.id,) and reader.kind in {OpKind.ADD, OpKind.PRODUCT}
            vectors = alone and bool(reader.uses) and all(_folds(use) for use in reader.uses)
            if not vectors or any(use.name in {u.name for u in node.uses} for use in reader.uses):
                break
            for use in reader.uses:
                scales = use.kind == UseKind.SCALE
                use.kind = UseKind.NORM_SCALE if scales else UseKind.NORM_SHIFT
            for use in node.uses:
                use.node = reader.id
            reader.uses = [*node.uses, *reader.uses]
            reader.reads, reader.kind, reader.batched = node.reads, OpKind.NORM, node.batched
            del drafts.nodes[node.id]
            node = reader
    drafts.link()


def _folds(use: DraftUse) -> bool:
    """Whether a scale or a shift of a normalised tensor is the norm's own.

    One number for all features is a temperature, what has passed an exponential too; a table that is
    added holds positions.
    """
    if use.kind == UseKind.SCALE:
        return use.rank > 0 and use.shifted
    return use.kind == UseKind.SHIFT and use.rank == 1


def _name_shifts(drafts: Drafts) -> None:
    """A vector added to a contraction's output is its bias."""
    for node in drafts.nodes.values():
        if node.kind == OpKind.ADD and len(node.inputs) == 2:
            _name_stacked_bias(*(drafts.nodes[id] for id in node.inputs))
        if node.kind != OpKind.ADD or len(node.inputs) != 1:
            continue
        before = drafts.nodes[node.inputs[0]]
        biased = any(use.kind == UseKind.BIAS for use in before.uses)
        # What others read without the vector is no layer with a bias: the vector shifts one use of it.
        here = [read for id, read in before.readers if id == node.id]
        part = part_of(here[0].place, before.id)
        shared = any(id != node.id and part_of(r.place, before.id) == part for id, r in before.readers)
        if before.contracts and not biased and not shared and before.kind != OpKind.RECURRENCE:
            # A table of positions has two dimensions; a bias has one, or as many as the units are laid out
            # in (heads), and one more for stacked weights.
            stacked = max((_stacks(made) + _laid(made) for made in before.uses), default=1)
            for use in node.uses:
                if use.kind == UseKind.SHIFT and use.rank <= stacked:
                    use.kind = UseKind.BIAS


def _stacks(use: DraftUse) -> int:
    """Dimensions of a weight that count copies of it."""
    return 0 if use.axes is None else sum(role == Role.BATCH for role in use.axes.roles)


def _laid(use: DraftUse) -> int:
    """Dimensions that a weight's units are laid out in."""
    return 1 if use.axes is None else max(sum(role == Role.OUT for role in use.axes.roles), 1)


def _name_stacked_bias(a: Draft, b: Draft) -> None:
    """A table whose rows are added to what stacked weights made: the biases of the experts."""
    for made, rows in ((a, b), (b, a)):
        stacked = any(use.axes is not None and Role.BATCH in use.axes.roles for use in made.uses)
        if made.contracts and stacked and rows.kind == OpKind.EMBEDDING:
            for use in rows.uses:
                if use.kind == UseKind.EMBEDDING:
                    use.kind, use.axes = UseKind.BIAS, None


def _name_products(drafts: Drafts) -> None:
    """A product of two signals is attention when one of them is a softmax."""
    for node in drafts.nodes.values():
        if node.step.form == Form.CONTRACTION and node.kind == OpKind.PRODUCT:
            for id in node.inputs:
                before = drafts.nodes[id]
                while before.kind in {OpKind.DROPOUT, OpKind.POINTWISE} and len(before.inputs) == 1:
                    before = drafts.nodes[before.inputs[0]]
                if before.kind == OpKind.SOFTMAX:
                    node.kind = OpKind.ATTENTION


def _slope(values: Sequence[float]) -> float:
    """What a straight line multiplies by."""
    return (values[-1] - values[0]) / float(NODES[-1] - NODES[0])


def _bare(id: int) -> Read:
    return Read(step=id, shape=(), signal=False)
