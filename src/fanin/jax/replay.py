"""Run traced operations on numbers of our choice, to learn what function they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, prod
from typing import Any

import numpy as np

from fanin.graphs.steps import Region
from fanin.jax.leaves import Leaf
from fanin.jax.numbers import Array, CannotComputeError, computed, exact
from fanin.jax.primitives import SAME, form_of
from fanin.jax.recording import Op, Operand, Recording
from fanin.laws.quadrature import NODES

__all__ = ["Replay"]

_LARGEST = 1 << 22
"""Largest number of elements that a trial computes on."""
_PART = 1 << 19
"""Elements from which on a part of the batch is tried."""
_SLOPE = 0.25
"""Value of a learnable slope that is not known: what PReLU starts from."""
_SCALE, _FACTOR = 3.0, 3.0
"""A norm is tried on inputs this large, where its epsilon is nothing (and a softmax is not saturated,
which would be as invariant), and on this multiple of them."""
_INVARIANT = 1e-3


class Replay:
    """Evaluates regions of a recording; see `fanin.graphs.steps.Run`."""

    def __init__(self, recording: Recording, leaves: Sequence[Leaf]) -> None:
        self._ops, self._leaves = recording.ops, leaves
        self._of_parameters = _of_parameters(recording.ops)
        self._verdicts: dict[tuple[object, ...], str] = {}
        self.untried: dict[int, int] = {}
        """Regions that were too large to be tried, by their ends, with the elements of what they read."""

    def table(self, region: Region) -> tuple[float, ...] | None:
        """Values of a region on the nodes of the quadrature; None if it is no function of one number."""
        try:
            out = self._evaluation(region.root, NODES, self._scalar, flat=True).op(region.end)
        except Exception:  # noqa: BLE001 - any operation may refuse; the region is then not a known function
            return None
        if out.shape != NODES.shape or out.dtype.kind != "f" or not np.isfinite(out).all():
            return None
        return tuple(out.astype(np.float64).tolist())

    def trial(self, region: Region) -> str:
        """Try whether a region that reduces is a norm or a softmax, on random numbers."""
        key = self._signature(region)
        if key not in self._verdicts:
            self._verdicts[key] = self._verdict(region)
        return self._verdicts[key]

    def offset(self, id: int, position: int) -> float | None:
        """What is added to a parameter on its way to an operand; None if it is something else than a sum."""
        operand = self._ops[id].operands[position]
        if operand.op is None or prod(operand.shape) > _LARGEST:
            return 0.0
        found: list[float] = []
        for value in (0.0, 1.0):
            try:
                out = self._filled(operand, value)
            except Exception:  # noqa: BLE001 - as above
                return 0.0
            first = float(out.flat[0]) if out.size else 0.0
            if not isfinite(first) or not bool((out == first).all()):
                return 0.0
            found.append(first)
        return found[0] if abs(found[1] - found[0] - 1.0) < _INVARIANT else None

    def spread(self, id: int, position: int) -> float | None:
        """Root mean square of a derived weight, if that does not depend on the scale of its parameter."""
        operand = self._ops[id].operands[position]
        if operand.op is None or prod(operand.shape) > _LARGEST:
            return None
        try:
            first, second = (self._scaled(operand, factor) for factor in (1.0, _FACTOR))
        except Exception:  # noqa: BLE001 - as above
            return None
        same = first > 0.0 and isfinite(second) and abs(second / first - 1.0) < _INVARIANT
        return first if same else None

    def _evaluation(
        self,
        root: int,
        x: Array,
        parameter: Callable[[int], Array],
        *,
        flat: bool,
        batch: tuple[int, int] | None = None,
    ) -> _Evaluation:
        return _Evaluation(self._ops, self._of_parameters, root, x, parameter, flat=flat, batch=batch)

    def _scaled(self, operand: Operand, factor: float) -> float:
        """Root mean square of a derived operand, for random numbers in the matrices behind it."""

        def numbers(place: int) -> Array:
            shape = self._leaves[place].shape
            if len(shape) < 2:
                return np.ones(shape)
            drawn = np.random.default_rng(place).standard_normal(shape)  # the same at every reading
            return np.asarray(factor * drawn)

        out = self._evaluation(-1, NODES, numbers, flat=False).operand(operand)
        return float(np.sqrt(np.mean(np.square(out))))

    def _filled(self, operand: Operand, value: float) -> Array:
        """A derived operand, where all numbers of the parameters behind it are the same."""
        return self._evaluation(
            -1, NODES, lambda place: np.full(self._leaves[place].shape, value), flat=False
        ).operand(operand)

    def _verdict(self, region: Region) -> str:
        op = self._ops[region.root]
        shape = op.shape
        if prod(shape) > _PART:
            # A part of the batch shows as well what a region does.
            shape = (max(1, _PART * shape[0] // prod(shape)), *shape[1:])
        if prod(shape) > _LARGEST:
            self.untried[region.end] = prod(shape)
            return ""
        batch = None if shape == op.shape else (op.shape[0], shape[0])
        x = _SCALE * np.random.default_rng(0).standard_normal(shape)

        def ones(place: int) -> Array:
            return np.ones(self._leaves[place].shape)

        def f(at: Array) -> Array:
            run = self._evaluation(region.root, at, ones, flat=False, batch=batch)
            return run.op(region.end).astype(np.float64)

        try:
            y = f(x)
            smaller = y.size < x.size // 2
            if not np.isfinite(y).all() or y.size < 2 or float(y.std()) == 0.0:
                return "pool" if smaller else ""
            size = float(np.sqrt(np.mean(np.square(y))))
            # (On average: where a few values make a variance, it can be small beside the epsilon.)
            if float(np.sqrt(np.mean(np.square(f(_FACTOR * x) - y)))) <= _INVARIANT * size:
                return "norm"
            if smaller:
                return "pool"
            shifted = float(np.abs(f(x + _FACTOR) - y).max()) <= _INVARIANT
        except Exception:  # noqa: BLE001 - as above
            return ""
        for shares in (y, np.exp(np.minimum(y, 1.0))):  # the logarithm of a softmax is one too
            even = any(np.abs(shares.sum(axis) - 1.0).max() < 1e-6 for axis in range(y.ndim))
            if shifted and even and bool((shares >= 0).all()):
                return "softmax"
        return ""

    def _scalar(self, place: int) -> Array:
        value = self._leaves[place].value
        if not hasattr(value, "__array__") or prod(value.shape) == 0:
            return np.asarray(_SLOPE)
        found = float(np.asarray(value, dtype=np.float64).mean())
        return np.asarray(found if isfinite(found) else _SLOPE)

    def _signature(self, region: Region) -> tuple[object, ...]:
        key: list[object] = [self._ops[region.root].shape]
        waiting, seen = [region.end], set[int]()
        while waiting:
            id = waiting.pop()
            if id in seen or id <= region.root:
                continue
            seen.add(id)
            op = self._ops[id]
            waiting += [o.op for o in op.operands if o.op is not None]
            places = [o.op - region.root if o.op is not None else None for o in op.operands]
            values = [
                o.value.tobytes() if o.value is not None and o.value.size < 16 else None for o in op.operands
            ]
            sizes = repr({k: v for k, v in op.params.items() if isinstance(v, int | float | tuple)})
            key.append((op.name, id - region.root, tuple(places), tuple(values), sizes))
        return tuple(key)


def _of_parameters(ops: Sequence[Op]) -> frozenset[int]:
    """Operations that read parameters and constants alone."""
    found: set[int] = set()
    for op in ops:
        if (
            op.primitive is not None
            and not op.constant
            and all(o.constant or o.parameter is not None or o.op in found for o in op.operands)
        ):
            found.add(op.id)
    return frozenset(found)


class _Evaluation:
    """Operations evaluated on demand.

    `flat` treats every move of elements as the identity. With `batch`, the first dimension of what is read
    has the second size where it had the first: sums that are divided by their number of terms stay means.
    """

    def __init__(
        self,
        ops: tuple[Op, ...],
        of_parameters: frozenset[int],
        root: int,
        x: Array,
        parameter: Callable[[int], Array],
        *,
        flat: bool,
        batch: tuple[int, int] | None = None,
    ) -> None:
        self._ops, self._of_parameters, self._batch = ops, of_parameters, batch
        self._root, self._x, self._parameter, self._flat = root, x, parameter, flat
        self._done: dict[int, Any] = {}

    def operand(self, operand: Operand) -> Array:
        if operand.parameter is not None:
            return self._parameter(operand.parameter)
        if operand.op is None:
            value = operand.value
            if value is None:
                raise CannotComputeError
            if self._flat:
                if value.size == 0 or not bool((value == value.flat[0]).all()):
                    raise CannotComputeError
                value = value.flat[0]
            return exact(np.asarray(value))
        return self.op(operand.op, operand.index)

    def op(self, id: int, index: int = 0) -> Array:
        if id == self._root:
            return self._x
        op = self._ops[id]
        if id < self._root and not op.constant and id not in self._of_parameters:
            raise CannotComputeError
        if id not in self._done:
            self._done[id] = self._run(op)
        out = self._done[id]
        found: Array = out[index] if isinstance(out, list) else out
        return found

    def _run(self, op: Op) -> Any:
        if op.primitive is None or op.random or op.stands_for:
            raise CannotComputeError
        if op.name == "convert_element_type":
            x = self.operand(op.operands[0])
            if op.dtype.startswith(("float", "bfloat")):
                return x.astype(np.float64)
            return x.astype(np.bool_) if op.dtype == "bool" else np.trunc(x)
        if op.operands and (op.name in SAME or (self._flat and form_of(op.name) is None)):
            return [self.operand(op.operands[0])] * len(op.outputs)
        if self._flat and op.name == "iota":
            raise CannotComputeError
        if prod(op.shape) > _LARGEST and not self._flat and self._batch is None:
            raise CannotComputeError
        args = [self.operand(o) for o in op.operands]
        if self._batch is not None:
            found = self._smaller(op, args)
            if found is not None:
                return found
        if op.name == "split":
            edges = np.cumsum(op.params["sizes"])[:-1]
            return list(np.split(args[0], edges, axis=op.params["axis"]))
        if op.name == "unstack":
            return list(np.moveaxis(args[0], op.params["axis"], 0))
        return computed(op.name, op.params, args)

    def _smaller(self, op: Op, args: list[Array]) -> Array | None:
        """An operation whose parameters say sizes, on a part of the batch."""
        whole, part = self._batch or (1, 1)
        if op.name == "broadcast_in_dim":
            laid = [1] * len(op.shape)
            for place, dim in enumerate(op.params["broadcast_dimensions"]):
                laid[dim] = args[0].shape[place]
            return args[0].reshape(laid)  # sizes that are missing follow when it meets something larger
        if op.name == "reshape" and op.shape and op.operands[0].shape[:1] == op.shape[:1] == (whole,):
            return args[0].reshape((args[0].shape[0], *op.shape[1:]))
        source = op.operands[0].op if op.name == "div" else None
        if source is not None and self._ops[source].name == "reduce_sum" and args[1].size == 1:
            summed = self._ops[source].operands[0].shape
            axes = self._ops[source].params["axes"]
            if 0 in axes and float(args[1].flat[0]) == prod(summed[d] for d in axes):
                return np.asarray(args[0] / (args[1] * (part / whole)))
        return None
