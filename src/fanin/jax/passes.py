"""The passes of a check as one function that JAX compiles: forward, back, and what is measured on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fanin.jax.flow import Flow, Seats, large_constants
from fanin.jax.recording import Recording
from fanin.jax.statistics import WHOLE, Layout, rows_of_scores

__all__ = ["Measured", "Passes", "direction", "parts_side_by_side", "sizes", "smooth", "total"]

_ROW = 8192
"""Numbers that are summed in single precision; sums of rows are added in double precision, on the host."""
_FEW = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """What is run, and what is looked at.

    Parameters
    ----------
    recording, seats
        The flat trace, and where its nodes are read.
    layouts
        Of the nodes that are measured, by id.
    active, masked, weights
        Nodes whose largest value a unit is wanted, where minus infinity hides a place, and whose rows are
        weights that add up to 1.
    taps
        Nodes at which gradients are taken.
    trained
        Places of the leaves that can have a gradient.
    loss
        From the list of outputs to a number; None where there is no loss.
    silent
        From the list of outputs to the loss of outputs that say nothing.
    """

    recording: Recording
    seats: Seats
    layouts: Mapping[int, Layout]
    active: frozenset[int] = frozenset()
    masked: frozenset[int] = frozenset()
    weights: frozenset[int] = frozenset()
    taps: tuple[int, ...] = ()
    trained: tuple[int, ...] = ()
    loss: Callable[[Sequence[Any], Sequence[Any]], Any] | None = None
    silent: Callable[[Sequence[Any], Sequence[Any]], Any] | None = None

    def constants(self) -> list[Any]:
        """Values of the recording's large constants."""
        return [o.value for o in large_constants(self.recording)]

    def forward(
        self,
        values: Sequence[Any],
        inputs: Sequence[Any],
        constants: Sequence[Any],
        taps: Mapping[int, Any] | None = None,
    ) -> tuple[list[Any], Flow]:
        """Outputs, and the evaluation that has every node's."""
        flow = Flow(self.recording, values, inputs, constants, taps, self.seats)
        return flow.run(), flow

    def look(self, flow: Flow, tables: Mapping[str, Any]) -> Measured:
        """Small arrays as they are; of large ones what sums over all elements, and a few of these."""
        found = Measured()
        for node, layout in self.layouts.items():
            x = flow.made[self.seats.of(node)][0]
            if layout.size <= WHOLE:
                found.given[node] = x
                continue
            if node in self.weights:
                table = x.reshape(-1, x.shape[-1])
                found.rows[node] = table[rows_of_scores(table.shape)]
            x = parts_side_by_side(x, layout)
            if node in self.masked:
                x = jnp.where(x == -jnp.inf, 0.0, x)
            found.squares[node] = sizes(x)
            found.given[node] = x.reshape(-1)[tables[layout.key]]
            if node in self.active:
                found.highest[node] = x.max(axis=[d for d in range(x.ndim) if d != layout.unit])
        return found

    def run(
        self,
        values: Sequence[Any],
        inputs: Sequence[Any],
        constants: Sequence[Any],
        tables: Mapping[str, Any],
        directions: Sequence[Mapping[int, Any]],
        target: Sequence[Any],
    ) -> Measured:
        """One pass forward, one back for each direction, and one for the loss.

        Of the first direction, gradients at nodes are measured; of the others, at parameters alone. (Of the
        first one too, where there is no loss.)
        """

        def call(given: Sequence[Any], taps: Mapping[int, Any]) -> tuple[dict[int, Any], tuple[Any, ...]]:
            filled = list(values)
            for place, value in zip(self.trained, given, strict=True):
                filled[place] = value
            outputs, flow = self.forward(filled, inputs, constants, taps)
            floats = {k: x for k, x in enumerate(outputs) if smooth(x)}
            return floats, (outputs, self.look(flow, tables))

        zeros = {id: self._zeros(id) for id in self.taps}
        given = [values[k] for k in self.trained]
        back: Any
        found: Measured
        floats, back, (outputs, found) = jax.vjp(call, given, zeros, has_aux=True)
        found.outputs = outputs
        for first, direction in zip((True, *[False] * len(directions)), directions, strict=False):
            full = {k: direction.get(k, jnp.zeros_like(x)) for k, x in floats.items()}
            learned, arrived = back(full)
            if self.loss is None:
                found.learned.append([sizes(g) for g in learned])
            if first:
                found.arrived = {id: sizes(g) for id, g in arrived.items()}
        if self.loss is not None:
            value, pull = jax.vjp(lambda s: self._lost(s, outputs, target), floats)
            learned, _ = back(pull(jnp.ones_like(value))[0])
            found.loss, found.wanted = value, [sizes(g) for g in learned]
        if self.silent is not None:
            found.silent = self.silent([jnp.zeros_like(x) if smooth(x) else x for x in outputs], target)
        return found

    def only_forward(
        self,
        values: Sequence[Any],
        inputs: Sequence[Any],
        constants: Sequence[Any],
        tables: Mapping[str, Any],
    ) -> Measured:
        """One pass forward, where there is no way back."""
        outputs, flow = self.forward(values, inputs, constants)
        found = self.look(flow, tables)
        found.outputs = outputs
        return found

    def behind(
        self,
        node: int,
        cotangent: Any,
        values: Sequence[Any],
        inputs: Sequence[Any],
        constants: Sequence[Any],
    ) -> dict[int, tuple[Any, ...]]:
        """Gradients at nodes of a direction at a node's output, and not at the model's."""

        def call(taps: Mapping[int, Any]) -> Any:
            _, flow = self.forward(values, inputs, constants, taps)
            return flow.made[self.seats.of(node)][0]

        _, back = jax.vjp(call, {id: self._zeros(id) for id in self.taps})
        return {id: sizes(g) for id, g in back(cotangent)[0].items()}

    def _zeros(self, id: int) -> Any:
        op = self.recording.ops[id]
        return jnp.zeros(op.shape, op.dtype)

    def _lost(self, floats: Mapping[int, Any], outputs: Sequence[Any], target: Sequence[Any]) -> Any:
        assert self.loss is not None  # noqa: S101 - the caller has looked
        return self.loss([floats.get(k, x) for k, x in enumerate(outputs)], target)


@dataclass(slots=True)
class Measured:
    """What comes out of the passes; arrays, until they are fetched."""

    squares: dict[int, Any] = field(default_factory=dict)
    given: dict[int, Any] = field(default_factory=dict)
    highest: dict[int, Any] = field(default_factory=dict)
    rows: dict[int, Any] = field(default_factory=dict)
    arrived: dict[int, Any] = field(default_factory=dict)
    learned: list[Any] = field(default_factory=list)
    wanted: Any = None
    outputs: Any = None
    loss: Any = None
    silent: Any = None


jax.tree_util.register_dataclass(
    Measured,
    data_fields=list(Measured.__dataclass_fields__),
    meta_fields=[],
)


def smooth(x: Any) -> bool:
    """Whether an array can have a gradient."""
    return bool(jnp.issubdtype(x.dtype, jnp.inexact))


def parts_side_by_side(x: Any, layout: Layout) -> Any:
    """Real numbers in single precision or better; of complex ones both parts, next to each other."""
    used = np if isinstance(x, np.ndarray) else jnp
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        x = used.concatenate([x.real, x.imag], layout.unit) if x.ndim else used.stack([x.real, x.imag])
    return x if x.dtype in (jnp.float32, jnp.float64) else x.astype(jnp.float32)


def sizes(x: Any) -> tuple[Any, ...]:
    """What `total` needs: a small array itself, of a large one its largest absolute value m and sums.

    These go over rows of the squares of ``x / m``: squares of numbers that float32 holds leave its range at
    1e19 and 1e-19, those of shares do not. (Sums are compiled, each for its shape: small arrays go without.)
    """
    if x.size <= WHOLE:
        return (x,)
    x = jnp.abs(x).reshape(-1)
    x = x if x.dtype in (jnp.float32, jnp.float64) else x.astype(jnp.float32)
    largest = x.max()
    share = jnp.where((largest > 0.0) & jnp.isfinite(largest), largest, 1.0)
    whole = x.size // _ROW * _ROW
    rows = jnp.square(x[:whole].reshape(-1, _ROW) / share).sum(axis=1)
    rest = jnp.square(x[whole:] / share).sum(keepdims=True)
    return largest, jnp.concatenate([rows, rest])


def total(found: tuple[Any, ...]) -> float:
    """The sum of squares that `sizes` took apart; NaN where a number is not finite."""
    if len(found) == 1:
        wide = np.abs(found[0]).astype(np.float64)
        summed = float(np.square(wide).sum())
        return summed if math.isfinite(summed) else math.nan
    largest = float(found[0])
    if not math.isfinite(largest):
        return math.nan
    whole = float(np.asarray(found[1], dtype=np.float64).sum())
    return whole * largest * largest if largest > 0.0 else 0.0


def direction(shape: tuple[int, ...], dtype: Any, generator: np.random.Generator) -> Any:
    """A random cotangent of unit variance: normal, or signs where there are millions of numbers."""
    if math.prod(shape) <= _FEW:
        return jnp.asarray(generator.standard_normal(shape), dtype)
    return jnp.asarray(generator.integers(0, 2, shape, dtype=np.int8) * 2 - 1, dtype)
