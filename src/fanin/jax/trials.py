"""Run single operations of a model on numbers of our choice, to learn what they do to a signal."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fanin.jax.flow import bind, seats_of
from fanin.jax.probe import Run
from fanin.jax.recording import Op, Operand
from fanin.predictions.layout import orders_of
from fanin.predictions.trial import SPENT, Counted, Drawn, Outcome, counted, drawn
from fanin.predictions.weights import Moments
from fanin.records.draw import Normal
from fanin.records.graph import Node
from fanin.sampling.engine import generate

__all__ = ["Trials"]

_LARGEST = 1 << 22
"""Elements of the inputs and of the output of an operation that is still tried."""
_ENOUGH, _MOST, _LEAST = 1 << 17, 16, 3
"""Elements that are looked at in all, and the number of draws that they are at most and at least."""
_OPERATIONS = 256
"""Operations of one region."""
_CHANCE = 4.0
"""Standard errors within which a mean, or a likeness, is taken for none."""
_SAME = 0.02
"""Relative distance of moments up to which weights are the model's own."""
_COMPILED = 12
"""Operations that are compiled to be tried: each takes some tenths of a second."""

Floats = NDArray[np.float64]


class Trials:
    """Trials of a model's operations; see `fanin.predictions.trial.Trial`.

    Parameters
    ----------
    run
        What was measured.
    seed
        Of the numbers drawn.
    """

    def __init__(self, run: Run, *, seed: int = 0) -> None:
        self._ops, self._leaves, self._seed = run.recording.ops, run.subject.leaves, seed
        self._given = dict(zip(run.recording.inputs, run.subject.inputs, strict=True))
        self._seats, self._orders = seats_of(run.recording), orders_of(run.graph)
        self._known: dict[bytes, Outcome | str] = {}
        self._left = _COMPILED

    def __call__(
        self, node: Node, inputs: tuple[Drawn, ...], weights: Mapping[str, Moments], unit: int
    ) -> Outcome | str:
        """What the operation makes of such inputs, or why it cannot be run."""
        elements = sum(math.prod(spec.shape) for spec in inputs) + math.prod(node.shape)
        if elements > _LARGEST:
            return f"it is too large to be tried alone ({elements:,} elements)"
        end = self._seats.of(node.id)
        roots = {place: spec.node for spec in inputs for place in (spec.node, self._seats.of(spec.node))}
        region = self._region(end, set(roots))
        if len(region) > _OPERATIONS:
            return f"it consists of more than {_OPERATIONS} operations"
        case = self._case(region, inputs, weights, unit)
        if case not in self._known:
            if self._left <= 0:
                return SPENT
            self._left -= 1
            self._known[case] = self._tried(end, inputs, roots, weights, unit)
        found = self._known[case]
        if isinstance(found, str):
            return found
        # Equal operations elsewhere have other nodes before them, in the same order.
        back = dict(zip((spec.node for spec in inputs), found.back.values(), strict=True))
        return Outcome(output=found.output, error=found.error, back=back, draws=found.draws)

    def _region(self, end: int, roots: set[int]) -> tuple[int, ...]:
        """Operations between the roots and the end; one too many where they are too many."""
        found: set[int] = set()
        ahead = [end]
        while ahead and len(found) <= _OPERATIONS:
            id = ahead.pop()
            if id not in roots and id not in found:
                found.add(id)
                ahead += [o.op for o in self._ops[id].operands if o.op is not None]
        return tuple(sorted(found))

    def _case(
        self, region: tuple[int, ...], inputs: tuple[Drawn, ...], weights: Mapping[str, Moments], unit: int
    ) -> bytes:
        """What makes two trials the same: operations, shapes and settings, and the moments."""
        place = {id: k for k, id in enumerate([*(spec.node for spec in inputs), *region])}
        place |= {self._seats.of(spec.node): place[spec.node] for spec in inputs}
        words: list[object] = [unit]
        for id in region:
            op = self._ops[id]
            read: list[object] = []
            for o in op.operands:
                if o.parameter is not None:
                    name = self._leaves[o.parameter].name
                    moments = weights.get(name)
                    read.append((name if moments is None else (moments.mean, moments.variance), o.shape))
                elif o.op is not None:
                    read.append((place.get(o.op, -1), o.index, o.shape))
                else:
                    held = b"" if o.value is None else hashlib.blake2b(o.value.tobytes()).digest()
                    read.append((o.shape, held))
            words.append((op.name, op.shape, read, repr(sorted(op.params.items(), key=str))))
        words += [
            (s.shape, s.unit, s.batch, s.mean, s.power, s.near, s.far, s.likeness, repr(s.marginal))
            for s in inputs
        ]
        return hashlib.blake2b(repr(words).encode()).digest()

    def _tried(
        self,
        end: int,
        inputs: tuple[Drawn, ...],
        roots: Mapping[int, int],
        weights: Mapping[str, Moments],
        unit: int,
    ) -> Outcome | str:
        op = self._ops[end]
        draws = min(_MOST, max(_LEAST, _ENOUGH // max(math.prod(op.shape), 1)))
        batch, order = inputs[0].batch, self._order(end, op)
        seen: list[Counted] = []
        back: list[list[list[float]]] = []
        try:
            alone = jax.jit(self._alone(end, roots))
            for k in range(draws):
                values = self._drawn(inputs, k)
                held = {n: self._weight(n, weights, k) for n in self._parameters(end, set(roots))}
                cotangents = [
                    self._laid(_likeness(op, order, unit, batch, near), end, self._normals_of(k))
                    for near in (0.0, 1.0)
                ]
                out, powers = jax.device_get(alone(values, held, cotangents))
                wide = np.asarray(out, dtype=np.float64)
                seen.append(counted(wide.transpose(order) if order else wide, unit, batch))
                sizes = [float(np.square(np.asarray(c, dtype=np.float64)).sum()) for c in cotangents]
                back.append([[float(p[n]) / s for n in values] for p, s in zip(powers, sizes, strict=True)])
        except Exception as error:  # noqa: BLE001 - any operation may refuse what it is given
            line = str(error).partition("\n")[0][:120]
            return f"it cannot be run alone ({type(error).__name__}: {line})"
        powers = np.array([c.power for c in seen])
        if not np.isfinite(powers).all():
            return "it gives infinite values when run alone"
        mean = float(powers.mean())
        spread = float(powers.std(ddof=1)) / math.sqrt(draws) / mean if mean > 0.0 else 0.0
        middle = _beside(np.array([c.mean for c in seen]), 0.0)
        factors = np.array(back).mean(axis=0)
        return Outcome(
            output=Counted(
                mean=middle,
                power=mean,
                near=_beside(np.array([c.near for c in seen]), middle**2),
                far=_beside(np.array([c.far for c in seen]), middle**2),
            ),
            error=spread,
            back={spec.node: (float(factors[0, j]), float(factors[1, j])) for j, spec in enumerate(inputs)},
            draws=draws,
        )

    # ------------------------------------------------------------------ numbers
    def _normals_of(self, draw: int) -> Callable[[str, tuple[int, ...]], Floats]:
        law = Normal(mean=0.0, std=1.0)

        def normals(name: str, shape: tuple[int, ...]) -> Floats:
            address = ("prediction", f"{draw}/{name}")
            return np.asarray(generate(law, shape, seed=self._seed, name=address), dtype=np.float64)

        return normals

    def _order(self, id: int, op: Op) -> tuple[int, ...]:
        """Dimensions in the order in which the laws count them."""
        return self._orders.get(self._node(id), tuple(range(len(op.shape))))

    def _node(self, id: int) -> int:
        return next((node for node, place in self._seats.place.items() if place == id), id)

    def _laid(self, spec: Drawn, id: int, normals: Callable[..., Floats], first: Floats | None = None) -> Any:
        """Drawn numbers as the operation lays them out."""
        return self._back(drawn(spec, normals, first), id)

    def _back(self, values: Floats, id: int) -> Any:
        op = self._ops[id]
        order = self._order(id, op)
        dtype = op.dtype if op.dtype.startswith(("float", "bfloat")) else "float32"
        return jnp.asarray(values.transpose(np.argsort(order)) if order else values, dtype)

    def _drawn(self, inputs: tuple[Drawn, ...], draw: int) -> dict[int, Any]:
        first: Floats | None = None
        found = {}
        for spec in inputs:
            values = drawn(spec, self._normals_of(draw), first)
            sd = math.sqrt(max(spec.power - spec.mean**2, 0.0))
            first = (values - spec.mean) / sd if first is None and sd > 0.0 else first
            found[spec.node] = self._back(values, spec.node)
        return found

    def _parameters(self, end: int, roots: set[int]) -> list[int]:
        """Places of the leaves that are read between the roots and the end."""
        read = {o.parameter for id in self._region(end, roots) for o in self._ops[id].operands}
        return sorted(place for place in read if place is not None)

    def _weight(self, place: int, weights: Mapping[str, Moments], draw: int) -> Any:
        """A parameter: the model's own numbers where these have the moments that are predicted from."""
        leaf = self._leaves[place]
        value, moments = np.asarray(leaf.value), weights.get(leaf.name)
        if moments is None or _has(value, moments):
            return leaf.value
        numbers = self._normals_of(draw)(leaf.name, leaf.shape)
        return jnp.asarray(moments.mean + math.sqrt(moments.variance) * numbers, leaf.value.dtype)

    # ------------------------------------------------------------------ the operation
    def _alone(self, end: int, roots: Mapping[int, int]) -> Callable[..., Any]:
        """A function of drawn inputs, weights and cotangents: output, and powers of what comes back."""

        def call(values: Mapping[int, Any], held: Mapping[int, Any], cotangents: Any) -> Any:
            def forward(given: Mapping[int, Any]) -> Any:
                done: dict[tuple[int, int], Any] = {(p, 0): given[n] for p, n in roots.items()}
                return self._made(end, 0, done, held)

            out, back = jax.vjp(forward, dict(values))
            powers = [
                {n: jnp.square(g).sum() for n, g in back(c.astype(out.dtype))[0].items()} for c in cotangents
            ]
            return out, powers

        return call

    def _made(self, id: int, index: int, done: dict[tuple[int, int], Any], held: Mapping[int, Any]) -> Any:
        if (id, index) not in done:
            op = self._ops[id]

            def value(o: Operand) -> Any:
                if o.op is not None:
                    return self._made(o.op, o.index, done, held)
                if o.parameter is not None:
                    return held[o.parameter] if o.parameter in held else self._leaves[o.parameter].value
                return o.key if o.value is None else jnp.asarray(o.value)

            if id in self._given:
                found: Any = [self._given[id]]
            elif op.whole is not None and not any(op.whole.first <= root < id for root, _ in done):
                args = [value(o) for o in op.whole.operands]
                made = bind(op.whole.primitive, op.whole.params, args)
                several = op.whole.primitive.multiple_results
                found = [made[op.params["index"]] if several else made]
            elif op.primitive is None:
                raise ValueError(f"{op.name} is a choice between branches")
            else:
                made = bind(op.primitive, op.params, [value(o) for o in op.operands])
                found = made if op.primitive.multiple_results else [made]
            done.update({(id, k): x for k, x in enumerate(found)})
        return done[id, index]


def _likeness(op: Op, order: tuple[int, ...], unit: int, batch: int, near: float) -> Drawn:
    """A cotangent of independent positions, or of positions that are alike."""
    shape = tuple(op.shape[d] for d in order)
    return Drawn(node=-1, shape=shape, unit=unit, batch=batch, mean=0.0, power=1.0, near=near, far=0.0)


def _beside(found: Floats, none: float) -> float:
    """Mean over draws; `none` where it may be that but for chance."""
    mean = float(found.mean())
    error = float(found.std(ddof=1)) / math.sqrt(len(found))
    return none if abs(mean - none) <= _CHANCE * error else mean


def _has(value: NDArray[Any], moments: Moments) -> bool:
    """Whether an array's numbers have these moments."""
    if value.dtype.kind not in "fV" or value.size == 0:
        return True
    power = float(np.square(value.astype(np.float64)).mean())
    if moments.variance == 0.0 and moments.mean == 0.0:
        return power == 0.0
    return abs(power - moments.power) <= _SAME * moments.power
