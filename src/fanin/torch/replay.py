"""Run recorded operators again, on numbers of our choice, to learn what function they are."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, prod
from typing import Any

import torch

from fanin.graphs.steps import Region
from fanin.laws.quadrature import NODES
from fanin.torch.ops import UNIFORM, base_name, form_of
from fanin.torch.record import Op, Operand, Recording

__all__ = ["Replay"]

_LARGEST = 1 << 20
"""Largest number of elements that a trial computes on."""

_SLOPE = 0.25
"""Value of a learnable slope that is not known yet: torch's own start for PReLU."""

_SCALE, _FACTOR = 3.0, 3.0
"""A norm is tried on inputs this large, where its epsilon is nothing (and a softmax is not saturated,
which would be as invariant), and on this multiple of them."""

_INVARIANT = 1e-3


class _CannotReplayError(Exception):
    pass


class Replay:
    """Evaluates regions of a recording; see `fanin.graphs.steps.Run`."""

    def __init__(self, recording: Recording) -> None:
        self._ops = recording.ops
        self._tensors = {entry.name: entry.tensor for entry in recording.tensors}
        self._nodes = torch.from_numpy(NODES.copy())
        self._verdicts: dict[tuple[object, ...], str] = {}

    def table(self, region: Region) -> tuple[float, ...] | None:
        """Values of a region on the nodes of the quadrature; None if it is no function of one number."""
        try:
            out = _Evaluation(self._ops, region.root, self._nodes, self._scalar, flat=True).op(region.end)
        except Exception:  # noqa: BLE001 - any operator may refuse; the region is then not a known function
            return None
        if out.shape != self._nodes.shape or not out.dtype.is_floating_point:
            return None
        values = out.double()
        return tuple(values.tolist()) if bool(torch.isfinite(values).all()) else None

    def trial(self, region: Region) -> str:
        """Try whether a region that reduces is a norm or a softmax, on random numbers."""
        key = self._signature(region)
        if key not in self._verdicts:
            self._verdicts[key] = self._try(region)
        return self._verdicts[key]

    def offset(self, id: int, position: int) -> float | None:
        """What is added to a parameter on its way to an operand; None if it is something else than a sum."""
        operand = self._ops[id].operands[position]
        if operand.op is None or prod(operand.shape) > _LARGEST:
            return 0.0
        found: list[float] = []
        for value in (0.0, 1.0):
            try:
                out = self._derived(operand, value)
            except Exception:  # noqa: BLE001 - as above
                return 0.0
            first = float(out[0]) if out.numel() else 0.0
            if not isfinite(first) or not bool((out == first).all()):
                return 0.0
            found.append(first)
        return found[0] if abs(found[1] - found[0] - 1.0) < _INVARIANT else None

    def spread(self, id: int, position: int) -> float | None:
        """Root mean square of a derived weight, if that does not depend on the scale of its parameter."""
        operand = self._ops[id].operands[position]
        if operand.op is None or prod(operand.shape) > _LARGEST:
            return None
        main = {source.name for source in operand.sources if source.main and len(source.shape) > 1}
        try:
            first, second = (self._scaled(operand, main, factor) for factor in (1.0, _FACTOR))
        except Exception:  # noqa: BLE001 - as above
            return None
        same = first > 0.0 and isfinite(second) and abs(second / first - 1.0) < _INVARIANT
        return first if same else None

    def _scaled(self, operand: Operand, main: set[str], factor: float) -> float:
        """Root mean square of a derived operand, for random numbers in the main parameters."""
        generator = torch.Generator().manual_seed(0)

        drawn: dict[str, torch.Tensor] = {}

        def numbers(o: Operand) -> torch.Tensor:
            name = o.sources[0].name
            if name not in main:
                return torch.ones(o.shape, dtype=torch.float64)
            if name not in drawn:  # the same at every reading
                drawn[name] = factor * torch.randn(o.shape, generator=generator, dtype=torch.float64)
            return drawn[name]

        out = _Evaluation(self._ops, -1, self._nodes, numbers, flat=False).operand(operand)
        return float(out.double().square().mean().sqrt())

    def _derived(self, operand: Operand, value: float) -> torch.Tensor:
        """A derived operand, where all numbers of the parameters behind it are the same."""
        filled = _Evaluation(
            self._ops, -1, self._nodes, lambda o: torch.full(o.shape, value).double(), flat=False
        )
        return filled.operand(operand).double().flatten()

    def _try(self, region: Region) -> str:
        shape = self._ops[region.root].shape
        small = tuple(min(n, 2) for n in shape[:-1]) + shape[-1:]
        first = tuple(min(n, 2) for n in shape[:1]) + shape[1:]
        # Operators with sizes among their arguments (views) refuse the smaller shapes.
        candidates = (shape,) if prod(shape) <= _LARGEST // 64 else (small, first, shape)
        for candidate in dict.fromkeys(candidates):
            if prod(candidate) > _LARGEST * 4:
                continue
            verdict = self._verdict(region, candidate)
            if verdict is not None:
                return verdict
        return ""

    def _verdict(self, region: Region, shape: tuple[int, ...]) -> str | None:
        generator = torch.Generator().manual_seed(0)
        x = _SCALE * torch.randn(shape, generator=generator, dtype=torch.float64)

        def f(at: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                ones = _Evaluation(
                    self._ops, region.root, at, lambda o: torch.ones(o.shape).double(), flat=False
                )
                return ones.op(region.end).double()

        try:
            y = f(x)
            smaller = y.numel() < x.numel() // 2
            if not bool(torch.isfinite(y).all()) or y.numel() < 2 or float(y.std()) == 0.0:
                return "pool" if smaller else ""
            size = float(y.square().mean().sqrt())
            # (On average: where a few values make a variance, it can be small beside the epsilon.)
            if float((f(_FACTOR * x) - y).square().mean().sqrt()) <= _INVARIANT * size:
                return "norm"  # of a sum over streams too, which is smaller than what it reads
            if smaller:
                return "pool"
            shifted = float((f(x + _FACTOR) - y).abs().max()) <= _INVARIANT
        except Exception:  # noqa: BLE001 - as above
            return None
        sums = [y.sum(dim) for dim in range(y.ndim)]
        is_softmax = shifted and bool((y >= 0).all()) and any(bool((s - 1).abs().max() < 1e-6) for s in sums)
        return "softmax" if is_softmax else ""

    def _scalar(self, operand: Operand) -> torch.Tensor:
        tensor = self._tensors[operand.sources[0].name]
        if tensor.is_meta or tensor.numel() == 0:
            return torch.tensor(_SLOPE, dtype=torch.float64)
        value = float(tensor.detach().double().mean())
        return torch.tensor(value if isfinite(value) else _SLOPE, dtype=torch.float64)

    def _signature(self, region: Region) -> tuple[object, ...]:
        key: list[object] = [self._ops[region.root].shape]
        for id in region.members:
            op = self._ops[id]
            places = [o.op - region.root if o.op is not None else None for o in op.operands]
            plain = [repr(a) for a in op.args if not isinstance(a, Operand | list | tuple)]
            sizes = [
                tuple(a) for a in op.args if isinstance(a, list | tuple) and all(type(x) is int for x in a)
            ]
            key.append((op.name, tuple(places), tuple(plain), tuple(sizes), repr(dict(op.kwargs))))
        return tuple(key)


class _Evaluation:
    """Operators evaluated on demand; `flat` treats every move of elements as the identity."""

    def __init__(
        self,
        ops: tuple[Op, ...],
        root: int,
        x: torch.Tensor,
        parameter: Callable[[Operand], torch.Tensor],
        *,
        flat: bool,
    ) -> None:
        self._ops, self._root, self._x = ops, root, x
        self._parameter, self._flat = parameter, flat
        self._done: dict[int, Any] = {}

    def operand(self, operand: Operand) -> torch.Tensor:
        if operand.op is None or (operand.sources and self._flat):
            if operand.sources:
                return self._parameter(operand)
            if operand.value is None or (self._flat and operand.value.numel() != 1):
                raise _CannotReplayError
            value = operand.value.detach()
            value = value.reshape(()) if self._flat else value
            return value.double() if value.dtype.is_floating_point else value
        return self.op(operand.op, operand.index)

    def op(self, id: int, index: int = 0) -> torch.Tensor:
        if id == self._root:
            return self._x
        if id < self._root and not self._ops[id].constant and not self._ops[id].sources:
            raise _CannotReplayError
        if id not in self._done:
            self._done[id] = self._run(self._ops[id])
        out = self._done[id]
        result = out[index] if isinstance(out, list | tuple) else out
        if not isinstance(result, torch.Tensor):
            raise _CannotReplayError
        return result

    def _run(self, op: Op) -> Any:
        if op.func is None:
            raise _CannotReplayError
        name = base_name(op.func)
        if self._flat and op.constant and name in UNIFORM:
            value = UNIFORM[name]
            filled = op.args[0] if name == "scalar_tensor" else op.args[-1]
            return torch.tensor(float(filled) if value is None else value, dtype=torch.float64)
        # Before the check of sizes: a tensor of one value stays one, however it is reshaped or cast.
        if op.operands and (name == "_to_copy" or (self._flat and form_of(op.func) is None)):
            return [self.operand(op.operands[0])] * len(op.outputs)
        if op.constant and prod(op.shape) > (1 if self._flat else _LARGEST):
            raise _CannotReplayError
        args = self._mapped(op.args)
        kwargs = {key: self._mapped(value) for key, value in op.kwargs.items()}
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        if op.mutates:
            args = tuple(a.clone() if isinstance(a, torch.Tensor) else a for a in args)
        with torch.no_grad():
            return op.func(*args, **kwargs)

    def _mapped(self, value: Any) -> Any:
        if isinstance(value, Operand):
            return self.operand(value)
        if isinstance(value, list | tuple):
            return type(value)(self._mapped(item) for item in value)
        if isinstance(value, torch.dtype) and value.is_floating_point:
            return torch.float64
        return value
