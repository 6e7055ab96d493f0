"""Operations without a law: one layer, tried on inputs that have the predicted moments.

A framework runs the real operation (a `Trial`); here is what it is run on, and what is counted of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fanin.predictions.context import Context
from fanin.predictions.gradient import Gradient, reasoned
from fanin.predictions.joint import joint
from fanin.predictions.signal import Marginal, Signal, joined
from fanin.predictions.weights import Moments
from fanin.records.graph import Node
from fanin.records.prediction import Certainty

__all__ = [
    "SPENT",
    "Counted",
    "Drawn",
    "Outcome",
    "Trial",
    "counted",
    "drawn",
    "gradients_of",
    "specified",
    "tried",
]

Floats = NDArray[np.float64]
Normals = Callable[[str, tuple[int, ...]], Floats]
"""Independent standard normals of a shape, the same for the same name."""

SPENT = "trials of the model's other operations have used up what trials may cost"
"""Why an operation is not tried that could be."""

_REASON = "{op} is taken from a trial of it alone (one-layer Monte-Carlo, {draws} draws)"
_DIGITS = 3
_FAR, _STEPS = 6.0, 1200
"""Deviations up to which a normal number's rank is looked up, and steps of that table."""
_RANKS = np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in np.linspace(-_FAR, _FAR, _STEPS + 1)])
_ALIKE = 1e-3
"""Correlation from which on two inputs are drawn together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What an input of an operation is drawn as.

    Parameters
    ----------
    node
        Whose output it is.
    shape, unit, batch
        Its shape, the dimension of its units, and the number of samples.
    mean, power, near, far, marginal
        Its moments; see `fanin.predictions.signal.Signal`.
    likeness
        Correlation with the first input, unit by unit.
    """

    node: int
    shape: tuple[int, ...]
    unit: int
    batch: int
    mean: float
    power: float
    near: float
    far: float
    marginal: Marginal | None = None
    likeness: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Moments of one output, as in `fanin.predictions.signal.Signal`."""

    mean: float
    power: float
    near: float
    far: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What trials found.

    Parameters
    ----------
    output
        Mean over the trials.
    error
        Standard error of the output's power, relative to it.
    back
        For each input what a gradient is multiplied by on its way there: of positions that have nothing in
        common, and of positions that are alike.
    draws
        Number of trials.
    """

    output: Counted
    error: float
    back: Mapping[int, tuple[float, float]]
    draws: int


class Trial(Protocol):
    """Runs a node's own operation on drawn inputs."""

    def __call__(
        self, node: Node, inputs: tuple[Drawn, ...], weights: Mapping[str, Moments], unit: int
    ) -> Outcome | str:
        """What came out, or why it cannot be run."""
        ...


def tried(context: Context, node: Node) -> tuple[Signal | None, str]:
    """A node's output as trials find it; None, and why, where there are none."""
    if context.trial is None:
        return None, ""
    inputs = specified(context, node.inputs)
    if isinstance(inputs, str):
        return None, inputs
    outcome = context.trial(node, inputs, context.weights, context.units.get(node.id, len(node.shape) - 1))
    if isinstance(outcome, str):
        if outcome == SPENT:
            context.spent.append(node.id)
        return None, outcome
    context.outcomes[node.id] = outcome
    before = [context.signals[drawn.node] for drawn in inputs]
    reason = _REASON.format(op=node.op, draws=outcome.draws)
    certainty, reasons = joined(((s.certainty, s.reasons) for s in before), Certainty.APPROXIMATE, reason)
    main = max(before, key=lambda s: s.power)
    out = outcome.output
    found = Signal(
        mean=out.mean,
        power=out.power,
        near=out.near,
        far=out.far,
        pairs=out.mean**2,
        scatter=main.scatter,
        gaussian=False,
        width=context.width(node),
        luck=main.luck.drawn(-node.id - 1, outcome.error),
        certainty=certainty,
        reasons=reasons,
    )
    return found, ""


def gradients_of(context: Context, node: Node, g: Gradient) -> list[tuple[int, Gradient]] | None:
    """What a node's inputs get, as trials find it; None where there are none."""
    if node.id not in context.outcomes and tried(context, node)[0] is None:
        return None
    outcome = context.outcomes[node.id]
    reason = _REASON.format(op=node.op, draws=outcome.draws)
    near = min(max(g.near, 0.0), 1.0)
    return [
        (
            read,
            reasoned(
                replace(g, power=g.power * (apart * (1.0 - near) + alike * near), profile=None, along=0.0),
                reason,
            ),
        )
        for read, (apart, alike) in outcome.back.items()
    ]


def specified(context: Context, nodes: tuple[int, ...]) -> tuple[Drawn, ...] | str:
    """How these nodes' outputs are drawn, rounded so that a network's equal layers are tried once."""
    unknown = [i for i in nodes if i not in context.signals]
    if unknown:
        return "its inputs are not known"
    if not nodes:
        return "it reads no signal"
    found: list[Drawn] = []
    for i in dict.fromkeys(nodes):
        signal, source = context.signals[i], context.nodes[i]
        likeness = 0.0
        first = context.signals[nodes[0]]
        if found and source.shape == found[0].shape and first.variance > 0.0 and signal.variance > 0.0:
            together = joint(context, (nodes[0],), (i,)) - first.mean * signal.mean
            likeness = together / math.sqrt(first.variance * signal.variance)
        found.append(
            Drawn(
                node=i,
                shape=source.shape,
                unit=context.units.get(i, len(source.shape) - 1),
                batch=context.batch,
                mean=_rounded(signal.mean, signal.power),
                power=_rounded(signal.power, signal.power),
                near=_rounded(signal.near, signal.power),
                far=_rounded(signal.far, signal.power),
                marginal=signal.marginal,
                likeness=0.0 if abs(likeness) < _ALIKE else round(min(1.0, max(-1.0, likeness)), _DIGITS),
            )
        )
    return tuple(found)


def _rounded(value: float, power: float) -> float:
    """Digits of a moment beside the power, which says what a digit is worth."""
    return 0.0 if abs(value) < 1e-4 * power else float(f"{value:.{_DIGITS}g}")


def _layout(shape: tuple[int, ...], unit: int, batch: int) -> tuple[list[int], tuple[int, ...], int]:
    """Dimensions in the order samples, positions, units; their sizes in that order; the number of samples."""
    rank = len(shape)
    others = [d for d in range(rank) if d != unit % max(rank, 1)]
    whole = [d for d in others if shape[d] == batch] or [d for d in others if shape[d] % batch == 0]
    first = whole[:1]
    order = [*first, *(d for d in others if d not in first), *([unit % rank] if rank else [])]
    samples = batch if first and batch > 0 else 1
    return order, tuple(shape[d] for d in order), samples


def drawn(spec: Drawn, normals: Normals, first: Floats | None = None) -> Floats:
    """Numbers with the moments of an input: what all samples share, one sample's places share, and the rest.

    Parameters
    ----------
    spec
        The moments.
    normals
        Where numbers come from.
    first
        The first input's numbers in units of its deviation, for an input that is like it.
    """
    order, sizes, samples = _layout(spec.shape, spec.unit, spec.batch)
    units = sizes[-1] if sizes else 1
    positions = max(1, math.prod(sizes) // max(samples * units, 1))
    square = spec.mean**2
    variance = max(spec.power - square, 0.0)
    near, far = (min(max(c - square, 0.0), variance) for c in (spec.near, spec.far))
    everywhere = min(near, far)
    parts = (
        ("all", everywhere, (1, 1, units)),
        ("sample", near - everywhere, (samples, 1, units)),
        ("place", far - everywhere, (1, positions, units)),
        ("own", max(variance - max(near, far), 0.0), (samples, positions, units)),
    )
    z = np.zeros((samples, positions, units))
    for name, part, shape in parts:
        if part > 0.0:
            z = z + math.sqrt(part) * normals(f"{spec.node}/{name}", shape)
    sd = math.sqrt(variance)
    if sd > 0.0:
        z = z / sd
    values = np.moveaxis(z.reshape(sizes), range(len(order)), order) if sizes else z.reshape(())
    if first is not None and spec.likeness:
        c = spec.likeness
        values = c * first + math.sqrt(max(0.0, 1.0 - c * c)) * values
    if spec.marginal is not None:
        values = _through(values, spec.marginal)
    return spec.mean + sd * values


def _through(values: Floats, marginal: Marginal) -> Floats:
    """Normal numbers turned into ones of another law, rank by rank."""
    points, masses = marginal.table()
    table = points[np.minimum(np.searchsorted(np.cumsum(masses), _RANKS), len(points) - 1)]
    # (Linear between the table's points; they are evenly spaced, so none is searched for.)
    at = np.clip((values + _FAR) * (_STEPS / (2.0 * _FAR)), 0.0, _STEPS)
    left = np.minimum(at.astype(np.int64), _STEPS - 1)
    found: Floats = table[left] + (at - left) * (table[left + 1] - table[left])
    return found


def counted(x: Floats, unit: int, batch: int) -> Counted:
    """Moments of an output: over all elements, over pairs of positions, over pairs of samples."""
    order, sizes, samples = _layout(x.shape, unit, batch)
    units = sizes[-1] if sizes else 1
    table = np.transpose(x, order).reshape(samples, -1, max(units, 1))
    places = table.shape[1]
    power = float((table**2).mean())
    mean = float(table.mean())
    near, far = power, power
    if places > 1:
        sums = table.sum(axis=1) ** 2 - (table**2).sum(axis=1)
        near = float(sums.mean()) / (places * (places - 1))
    if samples > 1:
        sums = table.sum(axis=0) ** 2 - (table**2).sum(axis=0)
        far = float(sums.mean()) / (samples * (samples - 1))
    return Counted(mean=mean, power=power, near=near, far=far)
