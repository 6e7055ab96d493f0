"""Layers that sum over weights: contractions, convolutions, embeddings."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fanin.laws.band import Chance
from fanin.predictions.channels import counts_of, places_first
from fanin.predictions.context import Context
from fanin.predictions.signal import Signal, joined
from fanin.predictions.weights import Moments
from fanin.records.axes import Role
from fanin.records.graph import Node, OpKind, Parameter, Use, UseKind
from fanin.records.prediction import Certainty

__all__ = [
    "CHOSEN", "NOTICED", "WITH_MEAN", "Taps", "contraction", "embedding", "luck_of", "sampled",
    "spread_over", "taps",
]  # fmt: skip

Floats = NDArray[np.float64]

_WEIGHTS = (UseKind.WEIGHT, UseKind.RECURRENT_INPUT, UseKind.RECURRENT_STATE)
_BIASES = (UseKind.BIAS, UseKind.RECURRENT_BIAS)
CHOSEN = "places that alone are read of many are taken to be like the others"
WITH_MEAN = "weights with a mean of their own"
NOTICED = 1e-3
"""Share of the power from which on the mean of the weights is worth a word."""
_LARGEST_MAP = 1 << 17
"""Positions beyond which a map's borders are too small a part of it to be followed."""


class Taps:
    """A convolution's connections along its spatial dimensions: which input meets which output."""

    __slots__ = ("dilation", "input", "kernel", "output", "padding", "stride", "transposed")

    def __init__(self, node: Node, before: tuple[int, ...]) -> None:
        rank = len(node.setting("kernel"))
        self.kernel = _full(node.setting("kernel"), rank, 1)
        self.stride = _full(node.setting("stride"), rank, 1)
        before_first = _full(node.setting("padded"), rank, 0)
        own = _full(node.setting("padding"), rank, 0)
        self.padding = tuple(a + b for a, b in zip(own, before_first, strict=True))
        self.dilation = _full(node.setting("dilation"), rank, 1)
        self.transposed = node.setting("transposed") == (1.0,)
        self.input, self.output = before[-rank:], node.shape[-rank:]

    def forward(self, profile: Floats) -> Floats:
        """Sum of the inputs' profile that each output meets."""
        return self._walk(profile, self.output, adjoint=self.transposed)

    def backward(self, profile: Floats) -> Floats:
        """Sum of the outputs' profile that each input meets."""
        return self._walk(profile, self.input, adjoint=not self.transposed)

    def overlap(self, profile: Floats) -> float:
        """Share of the product of two places that two places of the output keep, by the kernel's mean tap.

        Of one place an output keeps the taps that lie inside; of two places only those that both have, so
        that borders take more of what places share than of their power.
        """
        size = np.sqrt(np.maximum(profile, 0.0))
        whole = float(size.mean()) ** 2
        found = 0.0
        for tap in itertools.product(*(range(k) for k in self.kernel)):
            part = size
            for axis, place in enumerate(tap):
                part = self._seen(np.moveaxis(part, axis, 0), axis, place)
                part = np.moveaxis(part, 0, axis)
            found += (float(part.sum()) / math.prod(self.output)) ** 2
        return found / whole / math.prod(self.kernel) if whole > 0.0 else 1.0

    def _seen(self, profile: Floats, axis: int, tap: int) -> Floats:
        """What the outputs see through one tap; those that it shows the padding are left out."""
        first = tap * self.dilation[axis] - self.padding[axis]
        step = self.stride[axis]
        start = max(0, math.ceil(-first / step))
        stop = min(self.output[axis], (len(profile) - 1 - first) // step + 1)
        return (
            profile[first + start * step : first + (stop - 1) * step + 1 : step]
            if stop > start
            else profile[:0]
        )

    def _walk(self, profile: Floats, target: tuple[int, ...], *, adjoint: bool) -> Floats:
        for axis in range(profile.ndim):
            profile = self._along(np.moveaxis(profile, axis, 0), axis, target[axis], adjoint=adjoint)
            profile = np.moveaxis(profile, 0, axis)
        return profile

    def _along(self, profile: Floats, axis: int, length: int, *, adjoint: bool) -> Floats:
        """One axis: the sums over a box factor into sums over its sides."""
        found = np.zeros((length, *profile.shape[1:]))
        step, pad, gap = self.stride[axis], self.padding[axis], self.dilation[axis]
        for tap in range(self.kernel[axis]):
            # Place of the wide side (a convolution's input) that the narrow side's place 0 meets.
            first = tap * gap - pad
            wide, narrow = (length, len(profile)) if adjoint else (len(profile), length)
            start = max(0, math.ceil(-first / step))
            stop = min(narrow, (wide - 1 - first) // step + 1)
            if stop <= start:
                continue
            there = slice(first + start * step, first + (stop - 1) * step + 1, step)
            here = slice(start, stop)
            if adjoint:
                found[there] += profile[here]
            else:
                found[here] += profile[there]
        return found


def _full(numbers: tuple[float, ...], rank: int, default: int) -> tuple[int, ...]:
    whole = tuple(int(n) for n in numbers)
    return whole if len(whole) == rank else (whole or (default,)) * rank


def taps(node: Node, context: Context) -> Taps | None:
    """The connections of a convolution whose map is small enough to be followed; None else."""
    rank = len(node.setting("kernel"))
    before = context.nodes[context.reads(node)[0][0]].shape if context.reads(node) else ()
    if not rank or len(before) <= rank or len(node.shape) <= rank:
        return None
    # (A model that is laid out the other way transposes before a convolution, which is no node.)
    before = places_first(before, rank, counts_of(context.uses.get(node.id, []), Role.IN))
    if max(math.prod(before[-rank:]), math.prod(node.shape[-rank:])) > _LARGEST_MAP:
        return None
    return Taps(node, before)


def spread_over(signal: Signal, shape: tuple[int, ...]) -> Floats:
    """The profile of a signal over positions of this shape: its own, or an even one."""
    if signal.profile is not None and signal.profile.size == math.prod(shape):
        return signal.profile.reshape(shape)
    return np.ones(shape)


def contraction(context: Context, node: Node) -> Signal | None:
    """``q' = K (var_w q + m_w^2 K E (mean over units)^2) + E b^2``; None where a weight is not known.

    K counts the terms of a sum. For a convolution with padding it depends on the place: the border
    meets fewer inputs, and its lack of power wanders inwards layer by layer.
    """
    reads = context.reads(node)
    found = [(p, u) for p, u in context.uses.get(node.id, []) if u.kind in _WEIGHTS and u.axes is not None]
    bias = context.moments(node, *_BIASES)
    if not found or context.unknown(node, *_WEIGHTS):
        return None
    weight, certainty, reason = _weight(context, node, found)
    if weight is None:
        return None
    added = sum(m.power for m in bias)
    offset = sum(m.mean for m in bias)
    if not reads:  # a recurrence's first state is zero
        return Signal(
            mean=offset, power=added, near=added, far=added, pairs=offset**2, width=context.width(node)
        )
    before = context.seen(reads[0])
    terms = context.connections(*found[0])
    valid, shared_by_places = 1.0, 1.0
    profile = None if node.kind == OpKind.CONVOLUTION else before.profile
    if node.kind == OpKind.CONVOLUTION and (lines := taps(node, context)) is not None:
        came = spread_over(before, lines.input)
        sums = lines.forward(came)
        # Transposed convolutions skip: their sums hold a part of the kernel, as the fan says.
        whole = math.prod(lines.kernel) / (math.prod(lines.stride) if lines.transposed else 1)
        valid = float(sums.mean()) / whole
        shared_by_places = valid if lines.transposed else lines.overlap(came)
        profile = sums / sums.mean() if sums.mean() > 0.0 else None
    scale = weight.variance * terms * valid
    among = scale * shared_by_places / valid if valid > 0.0 else 0.0
    common = weight.mean**2 * (terms * valid) ** 2
    pairs = before.pairs + max(before.power - before.pairs, 0.0) / max(terms, 1.0)
    alike = before.far_correlation
    shared = common * pairs
    power = scale * before.power + shared + added
    if common > 0.0 and shared > NOTICED * power:
        certainty, reason = Certainty.APPROXIMATE, WITH_MEAN
    if context.chosen(reads[0]):
        certainty, reason = Certainty.APPROXIMATE, CHOSEN
    mean = weight.mean * terms * valid * before.mean + offset
    carried, why = joined([(before.certainty, before.reasons)], certainty, reason)
    gaussian = Signal(
        mean=mean,
        power=power,
        near=among * before.near + common * _between(before, pairs, before.near_correlation) + added,
        far=scale * before.far + common * _between(before, pairs, alike) + added,
        pairs=shared + offset**2,
        scatter=_scattered(node, before, scale * before.power / power if power > 0.0 else 0.0),
        profile=_levelled(profile, scale * before.power, added),
        common=_joined_share(before, profile, scale * before.power, added),
        width=context.width(node),
        source=node.id,
        certainty=carried,
        reasons=why,
    )
    kept = scale * before.power / power if power > 0.0 else 0.0
    luck = Chance.blended([(kept, before.luck)]).drawn(node.id, luck_of(context, node, gaussian, None))
    return replace(gaussian, luck=luck)


def sampled(signal: Signal) -> float:
    """Scatter of cosines over n units, beside that of the law: ``(v / q)^2 (1 - c^2)^2 / n``."""
    c = signal.far_correlation
    share = signal.variance / signal.power if signal.power > 0.0 else 0.0
    return (share * (1.0 - c * c)) ** 2 / max(signal.width, 1.0)


def _scattered(node: Node, before: Signal, kept: float) -> float:
    """Scatter that a layer passes on, with that of its few inputs; a kernel's places average over theirs."""
    taps_seen = max(1.0, math.prod(node.setting("kernel")))
    near = before.near_correlation
    scatter = before.scatter + sampled(before)
    return scatter * kept * kept * (1.0 / taps_seen + (1.0 - 1.0 / taps_seen) * near * near)


def _between(before: Signal, pairs: float, correlation: float) -> float:
    """The mean over units of two inputs, multiplied: what is common to all stays, the rest by likeness."""
    constant = before.mean * before.mean
    return constant + (pairs - constant) * correlation


def _levelled(profile: Floats | None, power: float, added: float) -> Floats | None:
    if profile is None or power + added <= 0.0:
        return None
    return (profile * power + added) / (power + added)


def _joined_share(before: Signal, profile: Floats | None, power: float, added: float) -> Floats | None:
    """Share in common by place; what is added to all samples is common to them."""
    common = before.common
    if common is None or (profile is not None and profile.size != common.size):
        return None
    own = np.full(common.shape, power) if profile is None else power * profile.reshape(common.shape)
    found: Floats = (own * common + added) / np.maximum(own + added, 1e-300)
    return found


def _weight(
    context: Context, node: Node, found: list[tuple[Parameter, Use]]
) -> tuple[Moments | None, Certainty, str]:
    """Moments of the weight that is multiplied with; None where it is made in a way that no law covers."""
    magnitudes = context.moments(node, UseKind.SCALE)
    if len(found) > 1:
        return None, Certainty.UNKNOWN, ""
    parameter, use = found[0]
    if magnitudes:
        # Weight norm: every row has the length g, whatever the direction's draw.
        terms = context.connections(parameter, use)
        length = sum(m.power for m in magnitudes) / len(magnitudes)
        return Moments(mean=0.0, variance=length / terms), Certainty.EXACT, ""
    weight = context.weights[parameter.name]
    if use.offset:
        weight = weight.shifted(use.offset)
    if node.setting("derived"):
        return None, Certainty.UNKNOWN, ""
    return weight, Certainty.EXACT, ""


def luck_of(context: Context, node: Node, signal: Signal, activation: int | None) -> float:
    """Chance that the units of one draw leave in the mean of ``f(z)^2``: ``sqrt(kappa / n)``.

    ``kappa = E f(u)^2 f(v)^2 / (E f^2)^2 - 1`` over all pairs of observations of the batch: those of
    one input (the whole kurtosis), of two positions, and of two samples, which share only what is alike.
    """
    far, near = signal.far_correlation, signal.near_correlation
    far = math.copysign(math.sqrt(min(1.0, far * far + signal.scatter)), far)
    if activation is None:
        at_one, at_near, at_far = (_linear(signal, c) for c in (1.0, near, far))
    else:
        f = context.expansion(activation, signal.mean, signal.variance)
        if f.power <= 0.0:
            return 0.0
        at_one, at_near, at_far = (f.square_pair(c) / f.power**2 - 1.0 for c in (1.0, near, far))
    places, samples = context.positions(node), float(max(context.batch, 1))
    own = at_one / places + at_near * (1.0 - 1.0 / places)
    kappa = own / samples + at_far * (1.0 - 1.0 / samples)
    return math.sqrt(max(kappa, 0.0) / max(signal.width, 1.0))


def _linear(signal: Signal, c: float) -> float:
    """``E u^2 v^2 / q^2 - 1`` of a Gaussian with mean: ``2 c^2 v^2 + 4 mu^2 c v`` over ``q^2``."""
    variance, square = signal.variance, signal.mean**2
    if signal.power <= 0.0:
        return 0.0
    return (2.0 * (c * variance) ** 2 + 4.0 * square * c * variance) / signal.power**2


def embedding(context: Context, node: Node) -> Signal | None:
    """Rows of a table: ``q`` is the table's second moment, and different rows have nothing in common."""
    tables = context.moments(node, UseKind.EMBEDDING, UseKind.BIAS)
    if not tables:
        return None
    table = tables[0]
    alone = bool(node.shape) and node.shape[0] == 1 < context.batch
    constant = table.mean**2
    places = context.positions(replace(node, shape=(context.batch, *node.shape[1:]))) if alone else 1.0
    far = constant + (table.variance / places if alone else 0.0)
    return Signal(
        mean=table.mean,
        power=table.power,
        near=constant,
        far=far,
        pairs=constant,
        width=context.width(node),
    )
