"""Run single operations of a model on numbers of our choice, to learn what they do to a signal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fanin.errors import FaninError
from fanin.predictions.guess import LossTrial
from fanin.predictions.trial import SPENT, Counted, Drawn, Outcome, counted, drawn
from fanin.predictions.weights import Moments
from fanin.records.draw import Normal
from fanin.records.graph import Graph, Node
from fanin.sampling.engine import generate
from fanin.torch.inputs import as_call
from fanin.torch.memo import Memo, case_of
from fanin.torch.read import graph_of
from fanin.torch.record import Op, Operand, Recording, record
from fanin.torch.sandbox import keep_random_state

__all__ = ["Run", "Trials"]

_LARGEST = 1 << 22
"""Elements of the inputs and of the output of an operation that is still tried."""
_ENOUGH, _MOST, _LEAST = 1 << 17, 16, 3
"""Elements that are looked at in all, and the number of draws that they are at most and at least."""
_OPERATORS = 256
"""Operators of one region."""
_CHANCE = 4.0
"""Standard errors within which a mean, or a likeness, is taken for none."""
_SAME = 0.02
"""Relative distance of moments up to which weights are the model's own."""
_PASSES = 3
"""Of one draw: forward, and twice back."""
_BUDGET = 1 << 27
"""Elements that all trials of a model together may make: some seconds. (Counted and not timed, so that a
slower machine says the same.)"""


class _CannotTryError(Exception):
    pass


class Trials:
    """Trials of a model's operations; see `fanin.predictions.trial.Trial`.

    The model is read again, on tensors without values, when the first operation is asked for. Numbers come
    from streams of their own, and no random state is left changed.

    Parameters
    ----------
    model, inputs, graph
        As they were given to the verb, and what was read of them.
    seed
        Of the numbers drawn.
    """

    def __init__(self, model: nn.Module, inputs: tuple[object, ...], graph: Graph, *, seed: int = 0) -> None:
        self._model, self._inputs, self._graph, self._seed = model, inputs, graph, seed
        self._recording: Recording | None = None
        self._places: dict[int, int] = {}
        self._memo, self._left = Memo(), _BUDGET
        self.loss: LossTrial | None = None

    def __call__(
        self, node: Node, inputs: tuple[Drawn, ...], weights: Mapping[str, Moments], unit: int
    ) -> Outcome | str:
        """What the operation makes of such inputs, or why it cannot be run."""
        elements = sum(math.prod(spec.shape) for spec in inputs) + math.prod(node.shape)
        if elements > _LARGEST:
            return f"it is too large to be tried alone ({elements:,} elements)"
        try:
            ops = self.ops()
        except FaninError as error:
            return str(error).partition("\n")[0]
        if not {node.id, *(spec.node for spec in inputs)} <= self._places.keys():
            return "another run of the model does not repeat it"
        here = tuple(replace(spec, node=self._places[spec.node]) for spec in inputs)
        end = self._places[node.id]
        region = _region(ops, end, {spec.node for spec in here})
        case = case_of(ops, region, here, weights, unit)
        found = self._memo.known(case)
        if found is None:
            cost = elements + sum(math.prod(ops[id].shape) for id in region)
            cost *= _draws(ops[end]) * _PASSES
            if cost > self._left:
                return SPENT
            self._left -= cost
            with keep_random_state():
                found = self._tried(ops[end], here, weights, unit, region)
            self._memo.keep(case, found)
        if isinstance(found, str):
            return found
        # Equal operations elsewhere have other nodes before them, in the same order.
        back = dict(zip((spec.node for spec in inputs), found.back.values(), strict=True))
        return replace(found, back=back)

    def ops(self) -> tuple[Op, ...]:
        """Operators of a run without values; `_places` says which of them are the graph's nodes."""
        if self._recording is None:
            args, kwargs = as_call(self._inputs)
            self._recording = record(self._model, args, kwargs, engine="fake")
            again = graph_of(self._recording, self._model).nodes
            here = self._graph.nodes
            if [(n.op, n.shape) for n in again] == [(n.op, n.shape) for n in here]:
                self._places = {n.id: m.id for n, m in zip(here, again, strict=True)}
        return self._recording.ops

    def places(self) -> Mapping[int, int]:
        """For each node of the graph, the operator of the other run."""
        return self._places

    def nodes(self) -> Mapping[int, int]:
        """For each operator of the other run that is a node, that node of the graph."""
        return {op: node for node, op in self._places.items()}

    def outputs(self) -> tuple[Operand, ...]:
        """The tensors that the model returned in the other run."""
        return () if self._recording is None else self._recording.outputs

    def returned(self) -> Any:
        """What the model returned in the other run; its tensors have no values."""
        return None if self._recording is None else self._recording.returned

    def _tried(
        self,
        end: Op,
        inputs: tuple[Drawn, ...],
        weights: Mapping[str, Moments],
        unit: int,
        region: tuple[int, ...],
    ) -> Outcome | str:
        if len(region) > _OPERATORS:
            return f"it consists of more than {_OPERATORS} operators"
        draws = _draws(end)
        seen: list[Counted] = []
        back: list[list[tuple[float, float]]] = []
        try:
            for k in range(draws):
                run = Run(self, end, inputs, weights, k)
                seen.append(run.output(unit))
                back.append(run.backward(unit))
        except Exception as error:  # noqa: BLE001 - any operator may refuse what it is given
            return (
                f"it cannot be run alone ({type(error).__name__}: {str(error).partition(chr(10))[0][:120]})"
            )
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
            back={spec.node: (float(f[0]), float(f[1])) for spec, f in zip(inputs, factors, strict=True)},
            draws=draws,
        )

    def normals(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Standard normals of a name."""
        law = Normal(mean=0.0, std=1.0)
        return np.asarray(generate(law, shape, seed=self._seed, name=("prediction", name)), dtype=np.float64)

    def given(self, op: Op) -> torch.Tensor:
        """An input of the model, as it was given."""
        found = [t for t in _tensors(self._inputs) if not t.is_meta]
        if op.id >= len(found) or tuple(found[op.id].shape) != op.shape:
            raise _CannotTryError("an input has no values")
        return found[op.id].detach()

    def weight(self, operand: Operand, weights: Mapping[str, Moments], draw: int) -> torch.Tensor:
        """A parameter: the model's own numbers where these have the moments that are predicted from."""
        name = operand.sources[0].name
        recording = self._recording
        entry = next(t for t in (recording.tensors if recording else ()) if t.name == name)
        # A batch norm writes to its running statistics, though its schema does not say so.
        tensor = entry.tensor.detach().clone() if entry.buffer else entry.tensor.detach()
        moments = weights.get(name)
        if not tensor.is_meta and (moments is None or _has(tensor, moments)):
            return tensor
        if moments is None:
            raise _CannotTryError(f"{name} has no values")
        values = moments.mean + math.sqrt(moments.variance) * self.normals(
            f"{draw}/{name}", tuple(tensor.shape)
        )
        return torch.from_numpy(values).to(tensor.dtype)


def _beside(found: NDArray[np.float64], none: float) -> float:
    """Mean over draws; `none` where it may be that but for chance."""
    mean = float(found.mean())
    error = float(found.std(ddof=1)) / math.sqrt(len(found))
    return none if abs(mean - none) <= _CHANCE * error else mean


class Run:
    """One draw: the region on numbers with the predicted moments, forward and back."""

    def __init__(
        self,
        trials: Trials,
        end: Op | None,
        inputs: tuple[Drawn, ...],
        weights: Mapping[str, Moments],
        draw: int,
    ) -> None:
        self._trials, self._weights, self._draw = trials, weights, draw
        self._ops = trials.ops()
        self._batch, self._values = inputs[0].batch, end is None
        self._done: dict[int, Any] = {}
        self._roots: dict[int, torch.Tensor] = {}
        first: NDArray[np.float64] | None = None
        for spec in inputs:
            values = drawn(spec, self._normals, first)
            sd = math.sqrt(max(spec.power - spec.mean**2, 0.0))
            first = (values - spec.mean) / sd if first is None and sd > 0.0 else first
            dtype = self._ops[spec.node].dtype
            root = torch.from_numpy(values).to(dtype if dtype.is_floating_point else torch.float32)
            self._roots[spec.node] = root.requires_grad_()
        if end is None:
            return
        with torch.enable_grad():
            self._out = self._op(end.id)
        if tuple(self._out.shape) != end.shape or not self._out.dtype.is_floating_point:
            raise _CannotTryError("its output has another shape")

    def _normals(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return self._trials.normals(f"{self._draw}/{name}", shape)

    def at(self, operand: Operand) -> torch.Tensor:
        """An operand's values."""
        return self._operand(operand)

    def output(self, unit: int) -> Counted:
        """Moments of the output."""
        return counted(self._out.detach().double().numpy(), unit, self._batch)

    def backward(self, unit: int) -> list[tuple[float, float]]:
        """What gradients are multiplied by: of independent positions, and of positions that are alike."""
        shape = tuple(self._out.shape)
        found = []
        for near in (0.0, 1.0):
            spec = Drawn(
                node=-1, shape=shape, unit=unit, batch=self._batch, mean=0.0, power=1.0, near=near, far=0.0
            )
            r = torch.from_numpy(drawn(spec, self._normals)).to(self._out.dtype)
            gradients = torch.autograd.grad(
                self._out, list(self._roots.values()), r, retain_graph=True, allow_unused=True
            )
            size = float(r.double().square().sum())
            found.append([0.0 if g is None else float(g.double().square().sum()) / size for g in gradients])
        return list(zip(*found, strict=True))

    def _op(self, id: int, index: int = 0) -> torch.Tensor:
        if id in self._roots:
            if index:
                raise _CannotTryError("it reads a second output")
            return self._roots[id]
        if id not in self._done:
            self._done[id] = self._run(self._ops[id])
        out = self._done[id]
        result = out[index] if isinstance(out, list | tuple) else out
        if not isinstance(result, torch.Tensor) or index < 0:
            raise _CannotTryError("it reads a part of a memory that is written to")
        return result

    def _run(self, op: Op) -> Any:
        if op.func is None:
            return self._trials.given(op)
        args = self._mapped(op.args)
        kwargs = {key: self._mapped(value) for key, value in op.kwargs.items()}
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        if self._values and op.name == "aten.detach.default":
            return args[
                0
            ]  # (autograd itself detaches what it keeps of an operator, and later reads name that)
        if op.mutates:
            args = tuple(a.clone() if isinstance(a, torch.Tensor) else a for a in args)
        return op.func(*args, **kwargs)

    def _mapped(self, value: Any) -> Any:
        if isinstance(value, Operand):
            return self._operand(value)
        if isinstance(value, list | tuple):
            return type(value)(self._mapped(item) for item in value)
        return value

    def _operand(self, operand: Operand) -> torch.Tensor:
        if operand.op is not None:
            return self._op(operand.op, operand.index)
        if operand.sources:
            return self._trials.weight(operand, self._weights, self._draw)
        if operand.value is None:
            raise _CannotTryError("it reads a tensor from outside that is not kept")
        return operand.value.detach().clone()


def _region(ops: tuple[Op, ...], end: int, roots: set[int]) -> tuple[int, ...]:
    """Operators between the roots and the end, in order; one too many where they are too many."""
    found: set[int] = set()
    ahead = [end]
    while ahead and len(found) <= _OPERATORS:
        id = ahead.pop()
        if id in roots or id in found:
            continue
        found.add(id)
        ahead += [o.op for o in ops[id].operands if o.op is not None]
    return tuple(sorted(found))


def _draws(end: Op) -> int:
    """How often an operator is tried."""
    return min(_MOST, max(_LEAST, _ENOUGH // max(math.prod(end.shape), 1)))


def _has(tensor: torch.Tensor, moments: Moments) -> bool:
    """Whether a tensor's numbers have these moments."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    values = tensor.double()
    power = float(values.square().mean())
    if moments.variance == 0.0 and moments.mean == 0.0:
        return power == 0.0
    return abs(power - moments.power) <= _SAME * moments.power


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for item in value.values() for t in _tensors(item)]
    if isinstance(value, list | tuple):
        return [t for item in value for t in _tensors(item)]
    return []
