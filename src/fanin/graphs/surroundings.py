"""What follows a weight: its activation, a norm, a gate, the output; and how its output is split."""

from __future__ import annotations

from itertools import pairwise

from fanin.graphs.ancestry import Ancestry
from fanin.graphs.drafts import Draft, Drafts
from fanin.graphs.regions import elements_of, part_of
from fanin.graphs.steps import Form, Read
from fanin.graphs.uses import DraftUse
from fanin.records.axes import Role
from fanin.records.graph import OpKind, UseKind

__all__ = ["find_blocks", "find_gates", "find_heads", "follow_activations"]

_WEIGHTS = {UseKind.WEIGHT, UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE}
_HARMLESS = {OpKind.SOFTMAX, OpKind.POOL, OpKind.DROPOUT, OpKind.POINTWISE, OpKind.CONCAT}
_STEPS = 8
"""How many nodes are passed on the way from a weight to what consumes it."""


def follow_activations(drafts: Drafts) -> None:
    """For every weight: the activation that all readers of its output apply, and a norm before it."""
    for node in drafts.nodes.values():
        if not node.weighted:
            continue
        normalised, activation = _consumer(drafts, node)
        for use in node.uses:
            if use.axes is not None:
                use.activation, use.normalised = activation, normalised


def _consumer(drafts: Drafts, node: Draft) -> tuple[bool, int | None]:
    normalised = False
    here = [node]
    for _ in range(_STEPS):
        after = _after(drafts, here)
        if not after:
            return normalised, None
        kinds = {n.kind for n in after}
        if kinds == {OpKind.ACTIVATION} and len({n.activation for n in after}) == 1:
            return normalised, after[0].activation
        if OpKind.ACTIVATION in kinds and all(
            n.kind == OpKind.ACTIVATION or _gates_it(drafts, n, here) for n in after
        ):
            chosen = {n.activation for n in after if n.kind == OpKind.ACTIVATION}
            return normalised, chosen.pop() if len(chosen) == 1 else None
        if kinds == {OpKind.NORM} and not normalised:
            normalised = True
        elif not all(_passes(n) for n in after):
            return normalised, None
        here = after
    return normalised, None


def _after(drafts: Drafts, here: list[Draft]) -> list[Draft]:
    ids = dict.fromkeys(id for node in here for id, _ in node.readers)
    return [drafts.nodes[id] for id in ids]


def _gates_it(drafts: Drafts, node: Draft, here: list[Draft]) -> bool:
    """Whether a product's other factor comes from the same tensor through an activation."""
    if node.kind != OpKind.PRODUCT or len(node.inputs) < 1:
        return False
    ids = {n.id for n in here}
    return all(
        id in ids or (drafts.nodes[id].kind == OpKind.ACTIVATION and set(drafts.nodes[id].inputs) <= ids)
        for id in node.inputs
    )


def _passes(node: Draft) -> bool:
    """Nodes that change a signal by a factor or a shift at most."""
    if len(node.inputs) != 1:
        return False
    if node.kind in {OpKind.DROPOUT, OpKind.POINTWISE}:
        return True
    return node.kind in {OpKind.ADD, OpKind.PRODUCT} and node.step.form == Form.POINTWISE


def find_gates(drafts: Drafts, ancestry: Ancestry) -> None:
    """Products of two values that descend from one input are gates: mark their weights.

    The weights that make the factors are `gated`; a weight that reads the product learns the
    gate's activation.
    """
    gates: dict[int, int | None] = {}
    for node in drafts.nodes.values():
        if node.kind != OpKind.PRODUCT:
            continue
        if node.step.form == Form.GLU:
            makers = [m for m in [_maker(drafts, node.inputs[0])[0]] if m is not None]
            gates[node.id] = node.activation
            _mark(makers)
            for maker in makers:
                for use in maker.uses:
                    use.activation = node.activation if use.axes is not None else None
            continue
        if node.step.form != Form.POINTWISE or len(node.reads) != 2:
            continue
        factors = [_maker(drafts, read.step) for read in node.reads if read.step is not None]
        makers = [maker for maker, _ in factors if maker is not None]
        if len(factors) != 2 or not makers:
            continue
        a, b = (read.step for read in node.reads)
        # Factors of different sizes (squeeze and excitation, the weight of an expert) are scales.
        if a is None or b is None or len({elements_of(read) for read in node.reads}) > 1:
            continue
        # One factor alone gates if it is squashed, or if it meets the very tensor that it comes from.
        squashed = any(maker is not None and activation is not None for maker, activation in factors)
        shared = ancestry.common(a, b)
        if shared is None or not (len(makers) == 2 or squashed or shared in (a, b)):
            continue
        activations = [activation for _, activation in factors if activation is not None]
        gates[node.id] = activations[0] if activations else None
        _mark(makers)
    for node in drafts.nodes.values():
        if node.contracts and node.weighted:
            for read in node.reads:
                gate = _gate_behind(drafts, read, gates)
                if gate is not None:
                    for use in node.uses:
                        if use.kind in _WEIGHTS:
                            use.gate_activation = gates[gate]


def _maker(drafts: Drafts, id: int) -> tuple[Draft | None, int | None]:
    """The contraction that makes a factor, and the activation passed on the way back to it."""
    activation: int | None = None
    node = drafts.nodes[id]
    for _ in range(_STEPS):
        if node.contracts and node.weighted:
            return node, activation
        if node.kind == OpKind.ACTIVATION and activation is None:
            activation = node.activation
        elif not _passes(node) and node.kind != OpKind.NORM:
            return None, activation
        node = drafts.nodes[node.inputs[0]]
    return None, activation


def _mark(makers: list[Draft]) -> None:
    for maker in makers:
        for use in maker.uses:
            if use.kind in _WEIGHTS:
                use.gated = True


def _gate_behind(drafts: Drafts, read: Read, gates: dict[int, int | None]) -> int | None:
    if read.step is None:
        return None
    node = drafts.nodes[read.step]
    for _ in range(_STEPS):
        if node.id in gates:
            return node.id
        if _passes(node):  # past a norm the power is 1 whatever the gate took
            node = drafts.nodes[node.inputs[0]]
        else:
            return None
    return None


def find_heads(drafts: Drafts, near_linear: frozenset[int], joins: frozenset[int]) -> None:
    """A contraction after which only the output follows is a head.

    Parameters
    ----------
    near_linear
        Activations that leave a head a head: sigmoids that turn logits into probabilities, and
        soft caps that are straight lines where signals are.
    joins
        Residual joins: what they add to goes on, so a branch's end is no head.
    """
    alive = _alive(drafts)
    weighted = {id for id, node in drafts.nodes.items() if node.weighted}
    touched: set[int] = set()
    for id, node in drafts.nodes.items():
        if id in weighted or any(i in touched for i in node.inputs):
            touched.add(id)
    compared = _compared(drafts, touched)
    final: set[int] = set()
    outputs = set(drafts.outputs)
    for id in reversed(drafts.nodes):
        node = drafts.nodes[id]
        readers = [r for r, _ in node.readers if r in alive]
        if not all(
            r in final and r not in joins and (_ends(drafts.nodes[r], touched, near_linear) or r in compared)
            for r in readers
        ):
            continue
        if readers or id in outputs:
            final.add(id)
    for id in final:
        node = drafts.nodes[id]
        if node.contracts and node.weighted:
            for use in node.uses:
                if use.kind == UseKind.WEIGHT:
                    use.head = True


def _compared(drafts: Drafts, touched: set[int]) -> set[int]:
    """Nodes at and after a meeting with data that no weight has touched.

    Where no weight follows, that is the arithmetic of a loss (the log of a density, a distance), or an
    average over neighbours that the data name: whatever it is, what comes before made the outputs.
    """
    data: set[int] = set()
    found: set[int] = set()
    for id, node in drafts.nodes.items():
        if node.kind == OpKind.INPUT or any(i in data for i in node.inputs):
            data.add(id)
        if node.weighted:
            continue
        meets = node.kind in {OpKind.ADD, OpKind.PRODUCT} and id in touched
        with_data = meets and any(i in data and i not in touched for i in node.inputs)
        if with_data or any(i in found for i in node.inputs):
            found.add(id)
    return found


def _alive(drafts: Drafts) -> set[int]:
    alive = set(drafts.outputs)
    for id in reversed(drafts.nodes):
        if id in alive:
            alive.update(drafts.nodes[id].inputs)
    return alive


def _ends(node: Draft, touched: set[int], near_linear: frozenset[int]) -> bool:
    """Whether a node after a head may stand between it and the output."""
    if node.weighted:
        return False
    if node.kind in _HARMLESS or node.loss:
        return True
    if node.kind == OpKind.ACTIVATION:
        return node.activation in near_linear
    if node.kind in {OpKind.ADD, OpKind.PRODUCT}:
        # Meeting a target or a mask is part of a loss; meeting a stream is not.
        return sum(id in touched for id in node.inputs) <= 1 and node.step.form == Form.POINTWISE
    return node.kind == OpKind.OTHER and len(node.inputs) <= 1


def find_blocks(drafts: Drafts) -> None:
    """Sizes of the parts of an output whose readers do different things with them."""
    for node in drafts.nodes.values():
        if not (node.contracts and node.weighted):
            continue
        for use in node.uses:
            if use.kind in _WEIGHTS and use.axes is not None and not use.blocks:
                use.blocks = _blocks(drafts, node, use)

    slices: dict[str, list[DraftUse]] = {}
    for node in drafts.nodes.values():
        for use in node.uses:
            if use.rows is not None:
                slices.setdefault(use.name, []).append(use)
    for uses in slices.values():
        _join_slices(uses)


def _join_slices(uses: list[DraftUse]) -> None:
    """A weight of which each contraction reads a slice: the slices are its blocks."""
    edges: set[int] = set()
    for use in uses:
        start, size = use.rows or (0, 0)
        edges.update((start, start + size))
        for block in use.blocks:
            start += block
            edges.add(start)
    ordered = sorted(edges | {0})
    for use in uses:
        use.blocks = tuple(b - a for a, b in pairwise(ordered))


def _blocks(drafts: Drafts, node: Draft, use: DraftUse) -> tuple[int, ...]:
    axis = 1 if node.kind == OpKind.CONVOLUTION else len(node.step.shape) - 1
    axis = axis if node.step.units is None else node.step.units
    if axis >= len(node.step.shape) or use.axes is None or Role.OUT not in use.axes.roles:
        return ()
    size = node.step.shape[axis]
    here = node
    while True:
        cuts: set[int] = set()
        whole = False
        onward: list[tuple[Draft, int]] = []
        for id, read in here.readers:
            reader = drafts.nodes[id]
            if reader.step.form == Form.GLU:
                cuts.add(size // 2)
            part = _extent(read, here.id, axis)
            if part is None:
                whole = whole or reader.step.form != Form.GLU
                # The gates of a recurrence are split after state and input are summed.
                summed = use.kind != UseKind.WEIGHT and reader.kind == OpKind.ADD
                if (_passes(reader) or summed) and reader.step.shape:
                    along = axis + len(reader.step.shape) - len(here.step.shape)
                    place = len(reader.step.shape) - 1
                    if node.step.units is not None:
                        place = along = _along(read, reader, axis, along)
                    if place >= 0 and reader.step.shape[place] == size:
                        onward.append((reader, along))
                continue
            cuts.update(part)
        cuts -= {0, size}
        # A part beside the whole is a rotation of halves, not a block with a part of its own.
        if cuts and not whole:
            edges = [0, *sorted(cuts), size]
            return tuple(b - a for a, b in pairwise(edges))
        single = len(onward) == 1 and len(here.readers) == 1
        if not onward or not (single or use.kind != UseKind.WEIGHT):
            return ()
        here, axis = onward[0]


def _along(read: Read, reader: Draft, axis: int, unmoved: int) -> int:
    """The dimension of a reader's output that an axis of what it reads becomes; -1 where it is none."""
    if read.place is None:
        return unmoved if unmoved < len(reader.step.shape) else -1
    found = [j for j, spans in enumerate(read.place.dims) if any(span.dim == axis for span in spans)]
    along = found[0] + len(reader.step.shape) - len(read.place.dims) if len(found) == 1 else -1
    return along if along < len(reader.step.shape) else -1


def _extent(read: Read, id: int, axis: int) -> tuple[int, int] | None:
    """First and last place (exclusive) along an axis that a read reaches; None for all of it."""
    place = read.place
    if place is None or place.name != str(id) or axis >= len(place.shape):
        return None
    if not part_of(place, id):
        return None
    reach = 1 + sum((s.size - 1) * s.step for spans in place.dims for s in spans if s.dim == axis)
    start = place.start[axis]
    if reach == place.shape[axis]:
        return None
    # Interleaved parts (every other place) are no blocks.
    if any(s.step > 1 and s.size > 1 for spans in place.dims for s in spans if s.dim == axis):
        taken = 1
        for spans in place.dims:
            for span in spans:
                taken *= span.size if span.dim == axis else 1
        if taken != reach:
            return None
    return start, start + reach
